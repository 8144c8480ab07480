"""Processes that never outlive the benchmark: each is stopped on every way out, even when this process is killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

STOP_SECONDS = 15.0
READY_SECONDS = 30.0


class Failed(Exception):
    """The benchmark cannot go on; the message says why and what to do."""


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, *, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command, its output in `log`; TERM at the end, KILL if that does not help."""
    # The kernel sends TERM when this process dies before it could.
    guarded = ["setpriv", "--pdeathsig", "TERM", *map(str, command)]
    with log.open("ab") as output:
        process = subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for a started process. Raises Failed with its log where it ends or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_so():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{process.args!r} did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def json_line(log: Path, key: str) -> dict[str, Any] | None:
    """The first line of a log that is a JSON object with this key."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{") and line.endswith("}"):
            found: dict[str, Any] = json.loads(line)
            if key in found:
                return found
    return None


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def accepts(port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def end_on_signals() -> None:
    """Lets TERM and HUP end the benchmark as an exception does, so that everything is stopped."""

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def install(package: str, reason: str) -> None:
    """Installs a Debian package by name, without starting its service. Raises Failed where that cannot be."""
    if os.geteuid() != 0 or not Path("/usr/bin/apt-get").exists():
        raise Failed(f"{reason}; install the package {package} (apt-get install {package}) and run again")
    print(f"{reason}: installing {package}", file=sys.stderr)
    guard = Path("/usr/sbin/policy-rc.d")
    is_ours = not guard.exists()
    if is_ours:
        guard.write_text("#!/bin/sh\nexit 101\n")
        guard.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            subprocess.run(["apt-get", "update", "--quiet"], env=environment, capture_output=True, check=False)
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        if is_ours:
            guard.unlink()
    if done.returncode != 0:
        raise Failed(f"{reason}; apt-get could not install {package}: {done.stderr[-500:]}")
