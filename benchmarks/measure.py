"""Medians with their spread, the CPU time and the memory of a process tree, and memory touched before use."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")
_TICKS = os.sysconf("SC_CLK_TCK")
_MARGIN_BYTES = 2 << 30
# The first touch of a page costs a virtual machine's host 2 to 10 times what it costs later. A child touches and ends.
_TOUCH = """
import mmap, sys
size, step = int(sys.argv[1]), 64 << 20
zeros, memory = bytes(step), mmap.mmap(-1, size)
for _ in range(size // step):
    memory.write(zeros)
"""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 0, scale: float = 1.0) -> str:
        """`median [low-high]`; the median alone where there is but one value."""
        shown = [f"{each * scale:.{digits}f}" for each in (self.median, self.low, self.high)]
        return shown[0] if self.low == self.high else f"{shown[0]} [{shown[1]}-{shown[2]}]"


def in_turn(rows: Sequence[T], round_no: int) -> list[T]:
    """The rows, backwards in every other round: a drift of the machine falls on all alike."""
    return list(rows) if round_no % 2 == 0 else list(reversed(rows))


def _tree(pid: int) -> list[tuple[int, list[str]]]:
    """A process and its descendants, each with the fields of /proc/PID/stat from `state` on."""
    found: dict[int, list[str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
    wanted, grown = {pid}, True
    while grown:
        more = {each for each, fields in found.items() if int(fields[1]) in wanted} - wanted
        wanted, grown = wanted | more, bool(more)
    return [(each, found[each]) for each in wanted if each in found]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree so far, in ticks of 10 ms, its ended children included."""
    return sum(int(field) for _, fields in _tree(pid) for field in fields[11:15]) / _TICKS


def peak_resident_bytes(pid: int) -> int:
    """The most memory that a process ever had resident (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} tells no VmHWM")


def touch_memory(most_bytes: int | None = None) -> int:
    """Has the machine's available memory, less a margin, touched once; how many bytes (0 where that failed)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    size = available - max(_MARGIN_BYTES, available // 10)
    if most_bytes is not None:
        size = min(size, most_bytes)
    if size <= 0:
        return 0
    done = subprocess.run([sys.executable, "-c", _TOUCH, str(size)], capture_output=True, check=False)
    return size if done.returncode == 0 else 0
