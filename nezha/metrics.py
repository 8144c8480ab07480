"""Every metric, in one table. Labels are bounded: configured origin names and fixed words only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from nezha import __version__

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Label:
    """One label: its values in words, and those that are known beforehand, which are counted from 0 on."""

    name: str
    values: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One metric: its name without the prefix, what it is, its help and its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[Label, ...] = ()


def _words(name: str, *known: str) -> Label:
    return Label(name, " ".join(known), known)


_ORIGIN = Label("origin", "the configured origins' names")
_OUTCOME = _words("outcome", "hit", "miss", "partial", "revalidated", "stale", "pass", "error")
_REASON = Label(
    "reason", "the words of `Cache-Status`: `uri-miss`, `stale`, `partial`, `credential`, `origin-timeout` …"
)

TABLE = (
    Row("requests", "counter", "Requests on the cache port by outcome.", (_ORIGIN, _OUTCOME)),
    Row("reasons", "counter", "Requests that were no plain hits, by the reason.", (_ORIGIN, _OUTCOME, _REASON)),
    Row(
        "response_bytes", "counter", "Body bytes sent to clients, from the cache or the origin.",
        (_ORIGIN, _words("source", "cache", "origin")),
    ),
    Row(
        "origin_requests", "counter", "Requests sent to the origin by status code.",
        (_ORIGIN, Label("code", "a status code; 0: no answer")),
    ),
    Row("origin_bytes", "counter", "Body bytes received from the origin.", (_ORIGIN,)),
    Row("first_byte_seconds", "histogram", "From the request's head to the answer's.", (_ORIGIN, _OUTCOME)),
    Row("request_seconds", "histogram", "From the request's head to the answer's last byte.", (_ORIGIN, _OUTCOME)),
    Row("fills_running", "gauge", "Versions being fetched into the store."),
    Row("fill_bytes_buffered", "gauge", "Bytes of fill buffers in use."),
    Row("hot_bytes", "gauge", "Bytes in the hot tier, at most `cache.memory`: heads, and what TLS reads repeatedly."),
    Row("grants", "gauge", "Grants remembered."),
    Row("store_bytes", "gauge", "Bytes of bodies stored."),
    Row("store_limit_bytes", "gauge", "Bytes of bodies that may be stored: `cache.size`."),
    Row("store_objects", "gauge", "Objects stored."),
    Row("store_usable", "gauge", "1 while the store takes new bytes."),
    Row(
        "store_evicted_bytes", "counter", "Bytes evicted: for `cache.size`, for `cache.min_free`, on a full volume.",
        (_words("reason", "size", "free", "full"),),
    ),
    Row("purged_objects", "counter", "Objects purged by operators."),
    Row(
        "store_errors", "counter", "Errors of the store, by kind.",
        (_words("kind", "io", "full", "corrupt", "checksum"),),
    ),
    Row("volume_free_bytes", "gauge", "Bytes free on the store's volume; NaN where it does not tell."),
    Row("volume_min_free_bytes", "gauge", "Bytes of the volume that the store leaves free: `cache.min_free`."),
    Row("corrupt_extents", "counter", "Extents dropped because their checksum did not agree."),
    Row(
        "cut_responses", "counter", "Responses ended before their last byte, by reason.",
        (_words("reason", "origin", "resume", "store", "checksum"),),
    ),
    Row("connections", "gauge", "Open client connections.", (Label("port", "cache"),)),
    Row("ready", "gauge", "1 while /readyz says so."),
    Row(
        "reviews", "counter", "Reviews answered on the admission port, by outcome.",
        (_words("outcome", "injected", "stamped", "untouched", "unsuitable", "unready", "invalid", "error"),),
    ),
    Row("review_seconds", "histogram", "From a review's head to its answer."),
    Row("rules_current", "gauge", "1 while the rules in force are those of the rules file."),
    Row("injection_ready", "gauge", "1 while pods that a rule names are injected."),
    Row(
        "certificate_expiry_timestamp_seconds", "gauge", "When a certificate ends; NaN where there is none.",
        (Label("certificate", "ca, next-ca, leaf, admission"),),
    ),
    Row("cluster_problems", "gauge", "What is not in order with the cluster; `/readyz?verbose` names it."),
    Row("build_info", "gauge", "Always 1.", (Label("version", "Nezha's version"),)),
)  # fmt: skip
_KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Metrics:
    """The metrics of one process; labelled children are kept, so that counting costs one call."""

    def __init__(self) -> None:
        # A second series for each counter and histogram, which says when it began: nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs is untyped
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}
        for row in TABLE:
            more = {"buckets": _SECONDS} if row.kind == "histogram" else {}
            self._metrics[row.name] = _KINDS[row.kind](
                f"nezha_{row.name}", row.help, [label.name for label in row.labels], registry=self._registry, **more
            )
        self.set("build_info", 1, __version__)

    def begin(self, origins: Iterable[str]) -> None:
        """Starts at 0 every counter whose labels are known: without a 0 before it, a rate misses the first event."""
        names = tuple(origins)
        for row in TABLE:
            known = [names if label is _ORIGIN else label.known for label in row.labels]
            if row.kind == "counter" and row.labels:
                for labels in product(*known):
                    self.count(row.name, *labels, by=0)

    def _child(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        child = self._children.get((name, *labels))
        if child is None:
            metric = self._metrics[name]
            child = self._children[(name, *labels)] = metric.labels(*labels) if labels else metric
        return child

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Adds to a counter, or to a gauge (`by` may be negative there)."""
        child = self._child(name, labels)
        assert isinstance(child, Counter | Gauge)
        child.inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Sets a gauge."""
        child = self._child(name, labels)
        assert isinstance(child, Gauge)
        child.set(value)

    def watch(self, name: str, read: Callable[[], float], *labels: str) -> None:
        """Lets a gauge be read when it is scraped."""
        child = self._child(name, labels)
        assert isinstance(child, Gauge)
        child.set_function(read)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Adds an observation to a histogram."""
        child = self._child(name, labels)
        assert isinstance(child, Histogram)
        child.observe(seconds)

    def values(self, names: Iterable[str]) -> dict[tuple[str, ...], float]:
        """The values of counters and gauges now, by name and labels' values: `("requests", "imagenet", "hit")`."""
        return {
            (name, *sample.labels.values()): sample.value
            for name in names
            for family in self._metrics[name].collect()
            for sample in family.samples
        }

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        return generate_latest(self._registry)
