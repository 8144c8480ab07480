"""`nezha demo`, the real thing with a small object: what it prints, how it ends, and that nothing is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nezha.demo import content
from nezha.demo.command import run
from nezha.errors import NezhaError

ROOT = Path(__file__).parents[2]
SIZE = 32 * 2**20 + 12_345  # 9 slices, the last one short: filled by parallel lanes
RATE = 40_000_000
SMALL = ["--size", str(SIZE), "--rate", str(RATE)]
WAIT_SECONDS = 60


class Demo:
    """`nezha demo` in a process of its own, whose temporary files are all in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "TMPDIR": str(directory)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self._start("-m", "nezha", "demo", *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.ended(self.start(*arguments))

    def run_with_origin(self, module: str) -> subprocess.CompletedProcess[str]:
        call = f"run({SIZE}, {RATE}, as_json=True, origin={module!r})"
        return self.ended(self._start("-c", f"import sys; from nezha.demo.command import run; sys.exit({call})"))

    def ended(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        with process:
            output, errors = process.communicate(timeout=WAIT_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def left_behind(self) -> list[str]:
        """Files in the directory, and processes that name it."""
        files = [str(path) for path in self.directory.rglob("*")]
        return files + [line for line in map(command_line, Path("/proc").glob("[0-9]*")) if str(self.directory) in line]

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has just ended


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


def test_json_is_one_object_with_identical_reads_and_the_hit_ratio(demo: Demo) -> None:
    ended = demo.run(*SMALL, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["identical"] is True
    assert report["hit_ratio"] == 0.5
    assert report["byte_hit_ratio"] == 0.5
    assert report["sha256"] == content.digest(SIZE)
    for name in ("direct", "cold", "warm"):
        read = report[name]
        assert read["sha256"] == content.digest(SIZE)
        assert read["seconds"] > 0
        assert read["mb_per_s"] == pytest.approx(SIZE / read["seconds"] / 1e6, rel=0.01)
    assert report["direct"]["cache_status"] is None
    assert report["cold"]["cache_status"].startswith("nezha; fwd=uri-miss; stored")
    assert report["warm"]["cache_status"].startswith("nezha; hit; ttl=")
    assert demo.left_behind() == []


def test_the_table_names_each_read_and_what_is_not_real(demo: Demo) -> None:
    ended = demo.run("--size", "100000")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz" in ended.stdout
    assert "generated, not the real data set" in ended.stdout
    for name in ("direct", "cold", "warm"):
        assert re.search(rf"^│ {name} +│ +[0-9.]+ │ +[0-9.]+ │ +[0-9.]+ │$", ended.stdout, re.MULTILINE)
    assert "hit ratio 50% of requests" in ended.stdout
    assert "digests identical: yes" in ended.stdout


def test_settings_of_the_environment_do_not_change_the_demonstration(demo: Demo) -> None:
    demo.environment["NEZHA_CACHE__DIRECTORY"] = "/nowhere"
    assert demo.run("--size", "1", "--json").returncode == 0


def test_a_wrong_byte_fails_and_names_the_reads(demo: Demo) -> None:
    ended = demo.run_with_origin("tests.demo.corrupting_origin")
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert report["identical"] is False
    assert report["direct"]["sha256"] == report["sha256"] != report["cold"]["sha256"]
    assert ended.stderr == "nezha: demo: wrong bytes in cold, warm: not what the origin holds\n"
    assert demo.left_behind() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(demo: Demo, number: signal.Signals) -> None:
    process = demo.start("--size", "100000000", "--rate", "1000000")  # would take 100 seconds
    wait_until(lambda: any(b'"ready"' in log.read_bytes() for log in demo.directory.glob("*/nezha.log")))
    process.send_signal(number)
    ended = demo.ended(process)
    assert ended.returncode == 128 + number
    assert ended.stderr == "nezha: demo: interrupted, nothing is left behind\n"
    assert demo.left_behind() == []


def test_an_object_that_does_not_fit_is_refused_before_anything_starts(demo: Demo) -> None:
    ended = demo.run("--size", "900TiB")
    assert ended.returncode == 1
    assert re.fullmatch(r"nezha: demo: /.* has [0-9,]+ MB free and needs [0-9,]+: free some, .*\n", ended.stderr)
    assert demo.left_behind() == []


@pytest.mark.parametrize("arguments", [("--size", "0"), ("--rate", "0")])
def test_a_size_or_rate_below_one_is_a_usage_error(demo: Demo, arguments: tuple[str, str]) -> None:
    ended = demo.run(*arguments)
    assert ended.returncode == 2
    assert ended.stderr == f"nezha: {arguments[0]}: must be at least 1\n"


def test_an_origin_that_does_not_start_is_told_with_its_last_words() -> None:
    with pytest.raises(NezhaError, match=r"^demo: the origin ended with exit code 1 at its start: .*No module named"):
        run(SIZE, RATE, as_json=True, origin="nezha.demo.missing")
