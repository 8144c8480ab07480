"""Every metric, in one table. Labels are bounded: configured origin names and fixed words only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from nezha import __version__

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric: its name without the prefix, what it is, its labels and its help."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


TABLE = (
    Row("requests", "counter", ("origin", "outcome"), "Requests on the cache port by outcome."),
    Row("response_bytes", "counter", ("origin", "source"), "Body bytes sent to clients, from the cache or the origin."),
    Row("origin_requests", "counter", ("origin", "code"), "Requests sent to the origin by status code (0: no answer)."),
    Row("origin_bytes", "counter", ("origin",), "Body bytes received from the origin."),
    Row("first_byte_seconds", "histogram", ("origin", "outcome"), "From the request's head to the answer's."),
    Row("request_seconds", "histogram", ("origin", "outcome"), "From the request's head to the answer's last byte."),
    Row("fills_running", "gauge", (), "Versions being fetched into the store."),
    Row("fill_bytes_buffered", "gauge", (), "Bytes of fill buffers in use."),
    Row("grants", "gauge", (), "Grants remembered."),
    Row("store_bytes", "gauge", (), "Bytes of bodies stored."),
    Row("store_objects", "gauge", (), "Objects stored."),
    Row("store_usable", "gauge", (), "1 while the store takes new bytes."),
    Row("store_evicted_bytes", "counter", ("reason",), "Bytes evicted, by reason."),
    Row("purged_objects", "counter", (), "Objects purged by operators."),
    Row("store_errors", "counter", ("kind",), "Errors of the store, by kind."),
    Row("corrupt_extents", "counter", (), "Extents dropped because their checksum did not agree."),
    Row("cut_responses", "counter", ("reason",), "Responses ended before their last byte, by reason."),
    Row("connections", "gauge", ("port",), "Open client connections."),
    Row("reviews", "counter", ("outcome",), "Reviews answered on the admission port, by outcome."),
    Row("review_seconds", "histogram", (), "From a review's head to its answer."),
    Row("rules_current", "gauge", (), "1 while the rules in force are those of the rules file."),
    Row("injection_ready", "gauge", (), "1 while pods that a rule names are injected."),
    Row("certificate_expiry_timestamp_seconds", "gauge", ("certificate",), "When a certificate ends."),
    Row("cluster_problems", "gauge", (), "What is not in order with the cluster; /readyz?verbose names it."),
    Row("build_info", "gauge", ("version",), "Always 1."),
)
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
                f"nezha_{row.name}", row.help, row.labels, registry=self._registry, **more
            )
        self.set("build_info", 1, __version__)

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

    def read(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of a counter or gauge as of now, by its labels' values."""
        (family,) = self._metrics[name].collect()
        return {tuple(sample.labels.values()): sample.value for sample in family.samples}

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        return generate_latest(self._registry)
