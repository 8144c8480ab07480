"""The other processes of the demonstration: started, waited for, and ended whatever happens.

Each is a session of its own, so that Ctrl-C reaches the demonstration alone, which then ends them in order. Each says
on standard output, as one JSON line with the event `ready`, that it accepts and where.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nezha.errors import NezhaError

Ready = dict[str, object]
_START_SECONDS = 30.0
_END_SECONDS = 10.0


@contextmanager
def running(name: str, arguments: Sequence[str], log: Path) -> Iterator[Ready]:
    """Runs `python arguments`, its output in `log`; gives its ready line. Raises NezhaError where it does not start.

    On the way out it may finish what it does; after an error nobody is interested, and it is killed.
    """
    # A NEZHA_ variable would override the demonstration's settings.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NEZHA_")}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # this interpreter and our own modules
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        yield _ready(name, process, log)
        _terminate(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def port(ready: Ready, name: str) -> int:
    """A port number out of a ready line."""
    value = ready.get(name)
    if not isinstance(value, int):
        raise NezhaError(f"demo: the ready line holds no {name}: {json.dumps(ready)}")
    return value


def _ready(name: str, process: subprocess.Popen[bytes], log: Path) -> Ready:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        has_ended = process.poll() is not None  # asked first: what it said last is then in the log
        for line in log.read_text(errors="replace").splitlines():
            if (ready := _parsed(line)) is not None:
                return ready
        if has_ended:
            raise NezhaError(f"demo: {name} ended with exit code {process.returncode} at its start: {_last_line(log)}")
        time.sleep(0.02)
    raise NezhaError(f"demo: {name} was not ready after {_START_SECONDS:.0f} seconds: {_last_line(log)}")


def _parsed(line: str) -> Ready | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("event") == "ready" else None


def _last_line(log: Path) -> str:
    """What a process said last, for a message."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return
