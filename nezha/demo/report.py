"""What came of the demonstration: as one JSON object, or as a table for people."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from nezha.demo.client import Reading
from nezha.demo.content import HOST, PATH

_SAMPLE = re.compile(r"(nezha_[a-z_]+)(?:\{(.*)\})? ([^ ]+)")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
_SERVED = ("hit", "revalidated", "stale")


class Samples:
    """Values out of a text exposition; only what Nezha's own metrics need of that format."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (match[1], dict(_LABEL.findall(match[2] or "")), float(match[3]))
            for line in text.splitlines()
            if (match := _SAMPLE.fullmatch(line))
        ]

    def total(self, name: str, where: Callable[[dict[str, str]], bool] = lambda labels: True) -> float:
        """The sum over all label sets that `where` accepts."""
        return sum(value for found, labels, value in self._samples if found == name and where(labels))

    def requests(self) -> float:
        """Requests for objects so far."""
        return self.total("nezha_requests_total")

    def hit_ratio(self) -> float:
        """By requests: (hit + revalidated + stale) / (all - pass)."""
        served = self.total("nezha_requests_total", lambda labels: labels["outcome"] in _SERVED)
        return served / (self.total("nezha_requests_total", lambda labels: labels["outcome"] != "pass") or 1)

    def byte_hit_ratio(self) -> float:
        """By bytes: cache / all."""
        cache = self.total("nezha_response_bytes_total", lambda labels: labels["source"] == "cache")
        return cache / (self.total("nezha_response_bytes_total") or 1)


@dataclass(frozen=True, slots=True)
class Report:
    """The finished demonstration. `expected` is the digest that was computed, not read."""

    size: int
    rate: int
    expected: str
    direct: Reading
    cold: Reading
    warm: Reading
    hit_ratio: float
    byte_hit_ratio: float

    def readings(self) -> Iterator[tuple[str, Reading]]:
        """By name, in the order they were made."""
        yield from (("direct", self.direct), ("cold", self.cold), ("warm", self.warm))

    def differing(self) -> list[str]:
        """The reads whose bytes are not those of the object."""
        return [name for name, reading in self.readings() if reading.sha256 != self.expected]

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints; sizes in bytes, MB = 10^6."""
        return {
            **{name: self._row(reading) for name, reading in self.readings()},
            "hit_ratio": round(self.hit_ratio, 4),
            "byte_hit_ratio": round(self.byte_hit_ratio, 4),
            "identical": not self.differing(),
            "size": self.size,
            "rate": self.rate,
            "sha256": self.expected,
        }

    def _row(self, reading: Reading) -> dict[str, Any]:
        return {
            "seconds": round(reading.seconds, 4),
            "mb_per_s": round(reading.mb_per_s, 2),
            "times_direct": round(self.direct.seconds / reading.seconds, 2),
            "sha256": reading.sha256,
            "cache_status": reading.cache_status,
        }

    def show(self, console: Console) -> None:
        """The table and what was verified."""
        table = Table()
        table.add_column("read")
        for title in ("seconds", "MB/s", "times faster than direct"):
            table.add_column(title, justify="right")
        for name, reading in self.readings():
            times = self.direct.seconds / reading.seconds
            table.add_row(name, f"{reading.seconds:.3f}", f"{reading.mb_per_s:.1f}", f"{times:.1f}")
        console.print(table)
        console.print(f"hit ratio {self.hit_ratio:.0%} of requests, {self.byte_hit_ratio:.0%} of bytes (/metrics)")
        console.print(f"digests identical: {'no' if self.differing() else 'yes'} (SHA-256 {self.expected[:16]}...)")


def introduce(console: Console, size: int, rate: int) -> None:
    """What is about to be read, and what of it is not real."""
    console.print(f"Reading https://{HOST}{PATH}", soft_wrap=True)
    console.print(f"{size:,} bytes over HTTPS, from a bundled origin that gives {rate / 1e6:g} MB/s a connection")
    console.print("(its bytes are generated, not the real data set; name, TLS and cache are real)\n")
    console.print("  direct  from the origin, on one connection")
    console.print("  cold    through Nezha, which has nothing stored")
    console.print("  warm    through Nezha once more\n")
