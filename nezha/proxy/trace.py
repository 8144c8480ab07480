"""What is said of a request: one log line, one round of counting, one Cache-Status."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nezha import log
from nezha.metrics import Metrics
from nezha.proxy.http1 import Exchange
from nezha.semantics.spans import Line

if TYPE_CHECKING:
    from nezha.tracing import Asked


@dataclass(slots=True)
class Trace:
    """The outcome of one request and its reason, as far as they are known."""

    origin: str
    outcome: str = "error"  # hit | miss | partial | revalidated | stale | pass | error
    detail: str = ""
    fwd: str = ""  # why it was forwarded, as an error may say it (RFC 9211 2.2); empty: it was not
    started: float = field(default_factory=time.perf_counter)
    span: "Asked | None" = None  # where requests are traced

    def say(self, outcome: str, detail: str, status: str) -> str:
        """Notes the outcome, and gives the Cache-Status that goes with it (RFC 9211)."""
        self.outcome, self.detail = outcome, detail
        return f"nezha; {status}"

    def fail(self, word: str) -> str:
        """Notes an error, and gives its Cache-Status.

        That of a read says `miss` whatever is stored: who was not permitted to read does not learn it.
        """
        return self.say("error", word, f"fwd={self.fwd}; detail={word}" if self.fwd else f"detail={word}")

    def record(self, exchange: Exchange, metrics: Metrics) -> None:
        """Counts and logs the request at its end, which is its span's too."""
        seconds = time.perf_counter() - self.started
        request, labels = exchange.request, (self.origin, self.outcome)
        metrics.count("requests", *labels)
        if self.detail:
            metrics.count("reasons", *labels, self.detail)
        metrics.observe("request_seconds", seconds, *labels)
        if exchange.first_byte_at:
            metrics.observe("first_byte_seconds", exchange.first_byte_at - self.started, *labels)
        line: Line = {
            "origin": self.origin,
            "outcome": self.outcome,
            "detail": self.detail,
            "status": exchange.status,
            "method": request.method,
            "host": request.host,
            "target": log.masked(request.target),
            "client": request.client,
            "tls": request.tls,
            "bytes": exchange.body_bytes,
            "seconds": round(seconds, 6),
        }
        log.access(**line)
        if self.span is not None:
            self.span.end(line)
