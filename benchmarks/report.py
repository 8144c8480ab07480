"""What a benchmark leaves behind: results/NAME.json, and a table in README.md between the markers of its name."""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import nginx
from benchmarks.processes import Failed

FOLDER = Path(__file__).parent
ROUNDS = 5
_LIBRARIES = ("aiohttp", "uvloop", "diskcache", "h11", "awscrt")


@dataclass(frozen=True, slots=True)
class Options:
    """How much is to be done. A quick run is for development: little of everything."""

    rounds: int
    is_quick: bool

    @property
    def is_kept(self) -> bool:
        """Whether the result is worth keeping."""
        return not self.is_quick and self.rounds >= ROUNDS


def options(module: str, description: str | None) -> Options:
    """From the command line."""
    parser = argparse.ArgumentParser(f"python -m {module}", description=description)
    parser.add_argument("--quick", action="store_true", help="small, for development; nothing is kept")
    parser.add_argument(
        "--rounds", type=int, default=None, help=f"default {ROUNDS}, quick 1; fewer than {ROUNDS} are not kept"
    )
    found = parser.parse_args()
    return Options(found.rounds or (1 if found.quick else ROUNDS), found.quick)


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark; what hinders it is one line, not a traceback."""
    try:
        main()
    except Failed as error:
        say(f"benchmarks: {error}")
        sys.exit(1)


def say(text: str) -> None:
    """Tells how far a run has come."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must be at least, or at most, something."""

    least: float | None = None
    most: float | None = None

    def is_met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def cells(self, value: float) -> list[str]:
        """`>= 0.85` and `met`, or two empty cells where there is no target."""
        if self.least is None and self.most is None:
            return ["", ""]
        wanted = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return [wanted, "met" if self.is_met(value) else "**not met**"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def surroundings(*, with_nginx: bool = True) -> dict[str, Any]:
    """Where and when a run was made."""
    peers = {"nginx": nginx.version(nginx.executable())} if with_nginx else {}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "processors": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "kernel": platform.release(),
            "load_average": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION.split()[1],
            **peers,
            "nezha": importlib.metadata.version("nezha"),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
    }


def summary(around: dict[str, Any]) -> str:
    """The surroundings in two sentences."""
    machine, versions = around["machine"], around["versions"]
    shown = ", ".join(
        f"{name} {versions[name]}" for name in ("python", "uvloop", "openssl", "nginx") if name in versions
    )
    return (
        f"{around['date'][:10]}, commit {around['commit']}; {machine['processors']} CPUs ({machine['processor']}), "
        f"{machine['memory_bytes'] / 1e9:.0f} GB, Linux {machine['kernel']}, load average before the run "
        f"{machine['load_average']:.1f}. {shown}."
    )


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=FOLDER.parent, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "nezha") else "")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def finish(name: str, chosen: Options, document: dict[str, Any], text: str) -> None:
    """Prints a result and, where it is worth it, keeps it."""
    print(text)
    if not chosen.is_kept:
        say(f"{name}: not kept")
        return
    file = FOLDER / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
    readme = FOLDER / "README.md"
    readme.write_text(between(readme.read_text(), name, text))
    say(f"{name}: kept in {file} and {readme}")


def between(readme: str, name: str, text: str) -> str:
    """A text whose part between the markers of `name` is replaced. Raises ValueError where they are missing."""
    first, last = f"<!-- {name}: written by its run -->\n", f"<!-- end of {name} -->"
    start, stop = readme.find(first), readme.find(last)
    if start < 0 or stop < start:
        raise ValueError(f"README.md has no markers for {name}")
    return f"{readme[: start + len(first)]}\n{text}\n\n{readme[stop:]}"
