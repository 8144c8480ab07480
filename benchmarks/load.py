"""The client (native/client.c): what to read, by which way, and how it went. The client checks every byte."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import cpu_seconds
from benchmarks.peers import FAST, Scheme, Way
from benchmarks.processes import Failed

BIG_BYTES = 169_001_437
SMALL_BYTES = 4096
_SECONDS_MAX = 900.0
_AHEAD_SECONDS = 1.0  # by which streams run before what is measured beside them


@dataclass(frozen=True, slots=True)
class Load:
    """`connections` clients that each read `path` `repeat` times, or for `seconds`.

    With `part_bytes` they share the reading: `repeat` times all ranges of so many bytes. `header` goes with each. Each
    waits `pause` seconds before each read, which are not counted.
    """

    path: str
    scheme: Scheme
    host: str = FAST
    connections: int = 1
    repeat: int = 1
    seconds: float = 0.0
    part_bytes: int = 0
    header: str = ""
    pause: float = 0.0

    def command(self, client: Path, way: Way) -> list[str]:
        """How the client is called."""
        values: dict[str, Any] = {
            "port": way.ports[self.host, self.scheme],
            "host": self.host,
            "path": self.path,
            "connections": self.connections,
            "repeat": self.repeat,
            "seconds": self.seconds,
            "part": self.part_bytes,
            "header": self.header,
            "pause": self.pause,
        }
        if self.scheme == "https":
            values["ca"] = way.ca
        return [str(client), *(str(part) for name, value in values.items() for part in (f"--{name}", value))]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a load went; times in seconds, latencies from the request to the last byte."""

    seconds: float
    bytes: int
    requests: int
    p50: float
    p99: float
    max: float
    cpu_seconds: float  # of the client
    cipher: str
    cache_status: str
    served_cpu_seconds: float  # of the way's processes; 0 for the origin itself

    @property
    def mb_per_second(self) -> float:
        return self.bytes / self.seconds / 1e6

    @property
    def served_cpu_seconds_per_gb(self) -> float:
        return self.served_cpu_seconds / self.bytes * 1e9


def run(client: Path, way: Way, load: Load) -> Reading:
    """Runs a load. Raises Failed where an answer was not whole and right."""
    before = _cpu_seconds(way)
    with _started(load.command(client, way)) as process:
        found = _result(process, load, way)
    return Reading(**found, served_cpu_seconds=_cpu_seconds(way) - before)


def run_beside(client: Path, way: Way, streams: Load, load: Load) -> tuple[Reading, Reading]:
    """Runs a load while another, by time, has begun before and goes on until this one ends: (streams, load).

    `served_cpu_seconds` of each is that of both. Raises Failed.
    """
    with streaming(client, way, streams) as end, _started(load.command(client, way)) as process:
        read = _result(process, load, way)
        streamed = end()
    return streamed, Reading(**read, served_cpu_seconds=streamed.served_cpu_seconds)


@contextlib.contextmanager
def streaming(client: Path, way: Way, streams: Load) -> Iterator[Callable[[], Reading]]:
    """Runs a load, by time, in the background; what is given ends it, and says how it went. Raises Failed."""
    before = _cpu_seconds(way)
    with _started(streams.command(client, way)) as background:

        def end() -> Reading:
            if background.poll() is not None:
                raise Failed(f"{streams} by {way.name} ended too early: {background.communicate()[1]}")
            background.terminate()
            return Reading(**_result(background, streams, way), served_cpu_seconds=_cpu_seconds(way) - before)

        time.sleep(_AHEAD_SECONDS)
        yield end


def _cpu_seconds(way: Way) -> float:
    return cpu_seconds(way.pid) if way.pid is not None else 0.0


@contextlib.contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _result(process: subprocess.Popen[str], load: Load, way: Way) -> dict[str, Any]:
    output, errors = process.communicate(timeout=_SECONDS_MAX)
    if process.returncode != 0:
        raise Failed(f"{load} by {way.name}: {errors.strip()}")
    found: dict[str, Any] = json.loads(output)
    return found
