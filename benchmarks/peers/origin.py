"""The origin (native/origin.c), which is also the way called `direct`."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.native import Programs
from benchmarks.peers import FAST, LIMITED, LIMITED_BYTES_PER_SECOND, LIMITED_DELAY_MS, PRIVATE, PUBLIC, Way
from benchmarks.processes import json_line, running, until


@dataclass(frozen=True, slots=True)
class Origin:
    """A running origin."""

    way: Way

    @property
    def port(self) -> int:
        """Where it sends as fast as it can."""
        return self.way.ports[FAST, "http"]

    @property
    def limited_port(self) -> int:
        return self.way.ports[LIMITED, "http"]

    def bytes_sent(self) -> int:
        """Bytes of bodies given to sockets since the start."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stats", timeout=10) as answer:
            return int(json.load(answer)["bytes_sent"])


@contextlib.contextmanager
def origin(programs: Programs, folder: Path, certificate: tuple[Path, Path]) -> Iterator[Origin]:
    """Runs it."""
    log = folder / "origin.log"
    limits = ["--rate", str(LIMITED_BYTES_PER_SECOND), "--delay", str(LIMITED_DELAY_MS)]
    command = [str(programs.origin), *limits, "--cert", str(certificate[0]), "--key", str(certificate[1])]
    with running(command, log) as process:
        until(lambda: json_line(log, "plain") is not None, process, log)
        found = json_line(log, "plain")
        assert found is not None
        yield Origin(
            Way(
                "direct",
                {(FAST, "http"): found["plain"], (FAST, "https"): found["tls"]}
                | {(host, "http"): found["plain_limited"] for host in (LIMITED, PRIVATE, PUBLIC)}
                | {(host, "https"): found["tls_limited"] for host in (LIMITED, PRIVATE, PUBLIC)},
                certificate[0],
                None,
            )
        )
