"""What the status page tells, worked out of samples of the metrics: values in, values out.

A counter's value is that since the process began; what came in a period is the difference of two samples.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Series = tuple[str, ...]
"""A metric's name without its prefix, then its labels' values: `("requests", "imagenet", "hit")`."""

COUNTERS = ("requests", "reasons", "response_bytes", "origin_requests", "origin_bytes")
GAUGES = (
    "fills_running", "fill_bytes_buffered", "grants", "store_bytes", "store_limit_bytes", "store_objects",
    "store_usable", "volume_free_bytes", "volume_min_free_bytes", "corrupt_extents", "cut_responses", "connections",
    "reviews", "rules_current", "injection_ready", "certificate_expiry_timestamp_seconds", "build_info",
)  # fmt: skip
_FIELDS = {
    ("requests", "hit"): ("requests", "from_store"),
    ("requests", "revalidated"): ("requests", "from_store"),
    ("requests", "stale"): ("requests", "from_store"),
    ("requests", "miss"): ("requests",),
    ("requests", "partial"): ("requests",),
    ("requests", "pass"): ("requests", "passed"),
    ("requests", "error"): ("requests", "errors"),
    ("response_bytes", "cache"): ("cache_bytes",),
    ("response_bytes", "origin"): ("relayed_bytes",),
}
_WHATEVER_LABEL = frozenset({"origin_requests", "origin_bytes"})


@dataclass(frozen=True, slots=True)
class Sample:
    """The metrics at one moment; `at` in seconds of a clock that only goes on."""

    at: float
    values: Mapping[Series, float]
    cache_bytes: float = 0
    """Sent to clients from the cache so far, and in all: summed once, for many samples are looked at together."""
    sent_bytes: float = 0

    @classmethod
    def of(cls, at: float, values: Mapping[Series, float]) -> "Sample":
        """A sample of what was read at `at`."""
        cached = sent = 0.0
        for series, value in values.items():
            if series[0] == "response_bytes":
                sent += value
                cached += value if series[2] == "cache" else 0
        return cls(at, values, cached, sent)

    def one(self, *series: str) -> float:
        """A series' value; 0 where it was never counted."""
        return self.values.get(series, 0.0)

    def labelled(self, name: str) -> dict[str, float]:
        """The values of a metric with one label, by that label."""
        return {series[1]: value for series, value in self.values.items() if series[0] == name}


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one origin's clients asked and got, or all origins'."""

    requests: float = 0
    from_store: float = 0
    passed: float = 0
    errors: float = 0
    cache_bytes: float = 0
    relayed_bytes: float = 0
    """Sent to clients as they came from the origin."""
    origin_requests: float = 0
    origin_bytes: float = 0

    @property
    def request_ratio(self) -> float | None:
        """(hit + revalidated + stale) / (all - pass); None where nothing could be a hit."""
        counted = self.requests - self.passed
        return self.from_store / counted if counted > 0 else None

    @property
    def byte_ratio(self) -> float | None:
        """Bytes from the cache / all bytes sent; None where none was."""
        sent = self.cache_bytes + self.relayed_bytes
        return self.cache_bytes / sent if sent > 0 else None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why requests were no plain hits, and how many: in the period, and since the start."""

    origin: str
    outcome: str
    word: str
    recent: float
    total: float


def between(then: Sample, now: Sample) -> dict[Series, float]:
    """What was counted between two samples."""
    return {series: value - then.one(*series) for series, value in now.values.items() if series[0] in COUNTERS}


def traffic(values: Mapping[Series, float]) -> dict[str, Traffic]:
    """The traffic of each origin, in the order of the values."""
    sums: dict[str, dict[str, float]] = {}
    for (name, *labels), value in values.items():
        if name in COUNTERS:
            of_origin = sums.setdefault(labels[0], defaultdict(float))
            for what in _meaning(name, labels[-1]):
                of_origin[what] += value
    return {origin: Traffic(**of_origin) for origin, of_origin in sums.items()}


def _meaning(name: str, label: str) -> tuple[str, ...]:
    """The fields of `Traffic` that a series adds to, by the last label of its metric."""
    return (name,) if name in _WHATEVER_LABEL else _FIELDS.get((name, label), ())


def whole(parts: Mapping[str, Traffic]) -> Traffic:
    """The traffic of all origins together."""
    names = Traffic.__dataclass_fields__
    return Traffic(**{name: sum(getattr(part, name) for part in parts.values()) for name in names})


def reasons(recent: Mapping[Series, float], now: Sample) -> list[Reason]:
    """The reasons ever counted, those of the period first."""
    found = []
    for series, total in now.values.items():
        if series[0] == "reasons" and total:
            _, origin, outcome, word = series
            found.append(Reason(origin, outcome, word, recent.get(series, 0.0), total))
    return sorted(found, key=lambda reason: (-reason.recent, -reason.total, reason.origin, reason.word))


def rates(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Bytes a second sent to clients between each two neighbours: from the cache, and in all."""
    found = []
    for then, now in pairwise(samples):
        seconds = max(now.at - then.at, 1e-3)
        found.append(((now.cache_bytes - then.cache_bytes) / seconds, (now.sent_bytes - then.sent_bytes) / seconds))
    return found
