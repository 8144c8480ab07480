"""Nezha as its users run it: `nezha serve` in a process of its own."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.peers import FAST, HOSTS, LIMITED, PRIVATE, PUBLIC, SCHEMES, Way
from benchmarks.peers.origin import Origin
from benchmarks.processes import json_line, running, until

BUFFERS_BYTES = 256 << 20


NOT_HOT = "nezha, no hot tier"


@contextlib.contextmanager
def nezha(folder: Path, origin: Origin, size: str, name: str = "nezha") -> Iterator[Way]:
    """Runs it with an empty cache of at most `size` (as Nezha writes it: `8GiB`).

    NOT_HOT has memory for heads only, so that bodies come from files, as those of a larger set do.
    """
    folder.mkdir(parents=True)
    connects = {FAST: origin.port, LIMITED: origin.limited_port}
    settings = {
        "cache": {
            "listen": "127.0.0.1:0",
            "directory": str(folder / "cache"),
            "size": size,
            "buffers": BUFFERS_BYTES,
            **({"memory": "1MiB"} if name == NOT_HOT else {}),
            "drain": "2s",
        },
        "admission": {"listen": "127.0.0.1:0", "address": "192.0.2.1"},  # of documentation: nothing connects to it
        "tls": {"directory": str(folder / "tls")},
        "log": {"access": False},
        "origins": [
            {
                "name": host.partition(".")[0],
                "dialect": "http",
                "hosts": [host],
                "connect": f"http://127.0.0.1:{port}",
                "fresh": "1d",
            }
            for host, port in connects.items()
        ]
        + [
            {
                "name": host.partition(".")[0],
                "dialect": "s3",
                "hosts": [host],
                "connect": f"http://127.0.0.1:{origin.limited_port}",
                **more,
            }
            for host, more in {PRIVATE: {}, PUBLIC: {"fresh": "1d", "grant": "1d"}}.items()
        ],
    }
    file, log = folder / "nezha.yaml", folder / "nezha.log"
    file.write_text(yaml.safe_dump(settings))
    with running([sys.executable, "-m", "nezha", "serve", "--config", file], log) as process:
        until(lambda: json_line(log, "cache_port") is not None, process, log)
        ready = json_line(log, "cache_port")
        assert ready is not None
        ports = {(host, scheme): int(ready["cache_port"]) for host in HOSTS for scheme in SCHEMES}
        admission = (int(ready["admission_port"]), folder / "tls" / "admission-ca.crt")
        yield Way(name, ports, folder / "tls" / "ca.crt", process.pid, admission)
