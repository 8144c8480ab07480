"""`nezha demo`: the story from an empty directory to the table, and the way back to nothing left behind."""

import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from nezha.demo import content
from nezha.demo.client import ADDRESS, Reader, Reading, page
from nezha.demo.processes import port, running
from nezha.demo.report import Report, Samples, introduce
from nezha.errors import NezhaError, SettingsError

_FRAME_SECONDS = 0.1
_SETTLE_SECONDS = 10.0
_SPARE_BYTES = 64 << 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked for the end; not an Exception, for nothing may take it for a failure and go on."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(size: int, rate: int, *, as_json: bool, origin: str = "nezha.demo.origin") -> int:
    """Runs the demonstration; its exit code: 0, 1 where a byte differs, 128 + the signal that ended it.

    `size` in bytes, `rate` in bytes per second and origin connection; `origin` is the module run as the origin.
    Raises SettingsError where they make no sense and NezhaError where something does not work.
    """
    if size < 1 or rate < 1:
        raise SettingsError(f"--{'size' if size < 1 else 'rate'}: must be at least 1")
    console = Console(highlight=False)
    try:
        with _signals_raise():
            if not as_json:
                introduce(console, size, rate)
            report = _demonstrate(size, rate, origin)
    except Interrupted as interrupted:
        print("nezha: demo: interrupted, nothing is left behind", file=sys.stderr)
        return 128 + interrupted.number
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        report.show(console)
    if differing := report.differing():
        print(f"nezha: demo: wrong bytes in {', '.join(differing)}: not what the origin holds", file=sys.stderr)
        return 1
    return 0


def _demonstrate(size: int, rate: int, origin: str) -> Report:
    """The three reads, in a directory and between processes that end with this call."""
    with ExitStack() as stack:
        # Entered first, left last: its thread reads from processes that have ended by then, and so ends too.
        thread = stack.enter_context(ThreadPoolExecutor(1))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nezha-demo-")))
        _check_room(directory, size)
        screen = stack.enter_context(_progress())
        arguments = ["-m", origin, "--size", str(size), "--rate", str(rate), "--directory", str(directory / "origin")]
        ready = stack.enter_context(running("the origin", arguments, directory / "origin.log"))
        origin_port, origin_ca = port(ready, "port"), directory / "origin" / "ca.crt"
        settings = directory / "nezha.yaml"
        settings.write_text(_settings(directory, size, origin_port, origin_ca))
        serve = ["-m", "nezha", "serve", "--config", str(settings)]
        ready = stack.enter_context(running("nezha serve", serve, directory / "nezha.log"))
        cache_port = port(ready, "cache_port")

        see = _Spectator(screen, thread, size)
        direct = see.read("direct", origin_port, origin_ca.read_text())
        nezha_ca = page(cache_port, "/ca.crt")
        cold = see.read("cold", cache_port, nezha_ca)
        _settled(cache_port, 1)
        warm = see.read("warm", cache_port, nezha_ca)
        samples = _settled(cache_port, 2)
        expected = content.digest(size)
        return Report(size, rate, expected, direct, cold, warm, samples.hit_ratio(), samples.byte_hit_ratio())


@dataclass(frozen=True, slots=True)
class _Spectator:
    """Has a read done in another thread and shows how far it is: drawing costs the read nothing."""

    screen: Progress
    thread: ThreadPoolExecutor
    size: int

    def read(self, name: str, at: int, ca_pem: str) -> Reading:
        reader = Reader(name, at, ca_pem, self.size)
        bar = self.screen.add_task(name, total=self.size)
        reading = self.thread.submit(reader.read)
        while not reading.done():
            wait([reading], _FRAME_SECONDS)
            self.screen.update(bar, completed=reader.received)
        return reading.result()


def _progress() -> Progress:
    """Bars on standard error, where they are in nobody's way; nothing at all in a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:6}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)


def _settings(directory: Path, size: int, origin_port: int, origin_ca: Path) -> str:
    """What `nezha serve` reads; JSON is YAML."""
    origin = {
        "name": "toronto",
        "dialect": "http",
        "hosts": [content.HOST],
        "connect": f"https://{ADDRESS}:{origin_port}",
        "ca_file": str(origin_ca),
        "max_object": "100%",
    }
    cache = {
        "listen": f"{ADDRESS}:0",
        "directory": str(directory / "cache"),
        "size": 2 * size + _SPARE_BYTES,
        "min_free": "0%",  # how full this machine's volume is says nothing about a temporary directory
    }
    admission = {"listen": f"{ADDRESS}:0"}
    tls = {"directory": str(directory / "tls")}
    return json.dumps({"cache": cache, "admission": admission, "tls": tls, "origins": [origin]}, indent=2)


def _settled(cache_port: int, requests: int) -> Samples:
    """The metrics once all requests are counted and their fills have ended, which is after the last byte went out."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        samples = Samples(page(cache_port, "/metrics"))
        has_settled = samples.requests() >= requests and samples.total("nezha_fills_running") == 0
        if has_settled or time.monotonic() > deadline:
            return samples
        time.sleep(0.02)


def _check_room(directory: Path, size: int) -> None:
    """Raises NezhaError where the object does not fit: once in the store, once in the client's memory."""
    needed = int(size * 1.2) + _SPARE_BYTES
    if (free := shutil.disk_usage(directory).free) < needed:
        place = directory.parent
        advice = "free some, set TMPDIR to another volume, or give a smaller --size"
        raise NezhaError(f"demo: {place} has {free / 1e6:,.0f} MB free and needs {needed / 1e6:,.0f}: {advice}")
    memory = re.search(r"^MemAvailable: +([0-9]+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if memory and int(memory[1]) * 1024 < needed:
        available = int(memory[1]) * 1024 / 1e6
        raise NezhaError(f"demo: {available:,.0f} MB of memory are free, {needed / 1e6:,.0f} needed: lower --size")


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Makes the signals that end a command raise Interrupted, once: the clean-up is not interrupted again.

    SIGHUP only where it is not ignored already, which is what nohup does.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    is_hangup_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heeded = [number for number in _SIGNALS if not (number == signal.SIGHUP and is_hangup_ignored)]
    before = [(number, signal.signal(number, interrupt)) for number in heeded]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
