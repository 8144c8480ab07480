"""Traces: spans of requests, by OpenTelemetry's library, sent by a thread of its own to a collector (OTLP over HTTP).

This module alone knows the library, and is imported only where `tracing.endpoint` is set.

    a request with `traceparent` (W3C Trace Context)  its span is a child of the client's, sampled as the client says
    a request without                                 its span begins a trace, one of `tracing.sample`
    a request to an origin                            a child of the span of whoever caused it, be it over by then

Nothing is ever added to what goes to an origin. A collector that is slow or away costs spans, and nothing else.
"""

import asyncio
import logging
import threading
import time

from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from nezha import __version__, log
from nezha.errors import SettingsError
from nezha.model import Request
from nezha.routes import Route
from nezha.semantics import spans

FLUSH_SECONDS = 2.0
_COMPLAINT_SECONDS = 60.0
_W3C = TraceContextTextMapPropagator()
_NOBODY = Context()


class Tracing:
    """Begins spans. Made before the event loop runs, for it reads the library's `OTEL_` variables and starts a thread.

    Raises SettingsError where the library cannot use those.
    """

    def __init__(self, endpoint: str, sample: float) -> None:
        _listen_to_the_library()
        try:
            self._exporter = OTLPSpanExporter(f"{endpoint}/v1/traces")
            processor = BatchSpanProcessor(self._exporter)
        except (ImportError, RuntimeError, ValueError) as error:
            raise SettingsError(f"the OTEL_ variables of the environment: {error}") from error
        own = Resource.create({"service.name": "nezha", "service.version": __version__})
        self._provider = TracerProvider(
            ParentBased(TraceIdRatioBased(sample)),
            own.merge(OTELResourceDetector().detect()),  # OTEL_SERVICE_NAME and the like count more
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nezha", __version__)

    def begin(self, request: Request) -> "Asked":
        """The span of a client's request that has just come; until its end, it is the parent of what it causes."""
        parent, value = _NOBODY, request.fields.get("traceparent")
        if value is not None:
            parent = _W3C.extract({"traceparent": value}, _NOBODY)
        started = time.time_ns()
        name = spans.name(request.method)
        return Asked(self._tracer.start_span(name, parent, SpanKind.SERVER, start_time=started), started)

    def ask(self, route: Route, head: bytes) -> "Question":
        """The span of a request to an origin, whose head is about to be sent."""
        method, target, _ = head.decode("latin-1").split(" ", 2)
        span = self._tracer.start_span(spans.name(method), kind=SpanKind.CLIENT)
        if span.is_recording():
            span.set_attributes(spans.of_question(route.name, route.target.base, method, log.masked(target)))
        return Question(span)

    async def close(self) -> None:
        """Sends what is left, within `FLUSH_SECONDS`; what could not be sent by then is lost."""
        await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        # The library would wait longer, for a thread that a collector may keep: a daemon, which no exit waits for.
        ending = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()
            log.warn("tracing_failed", message="the last spans could not be sent in time")


class Asked:
    """The span of a client's request."""

    __slots__ = ("_span", "_started", "_token")

    def __init__(self, span: Span, started: int) -> None:
        self._span = span
        self._started = started  # nanoseconds since the epoch
        self._token = attach(set_span_in_context(span, _NOBODY))

    def end(self, line: spans.Line) -> None:
        """Ends it with what is said of the request."""
        detach(self._token)
        if self._span.is_recording():
            self._span.set_attributes(spans.of_request(line))
            if spans.fault(line):
                self._span.set_status(StatusCode.ERROR)
        self._span.end(self._started + round(line["seconds"] * 1e9))


class Question:
    """The span of a request to an origin."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, status: int, word: str = "") -> None:
        """Ends it when the answer's head has come, or `word` says why none came (status 0)."""
        if self._span.is_recording():
            found = spans.of_answer(status, word)
            self._span.set_attributes(found)
            if "error.type" in found:
                self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _Complaints(logging.Handler):
    """What the library complains of becomes one event, once a minute at most."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last = -_COMPLAINT_SECONDS
        self._kept_back = 0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._last < _COMPLAINT_SECONDS:
            self._kept_back += 1
            return
        self._last = now
        # Others may show what they were given, such as OTEL_EXPORTER_OTLP_HEADERS.
        is_known = record.name.startswith(("opentelemetry.exporter.", "opentelemetry.sdk."))
        message = record.getMessage() if is_known else str(record.msg)
        log.warn("tracing_failed", message=message, kept_back=self._kept_back)
        self._kept_back = 0


_COMPLAINTS = _Complaints()


def _listen_to_the_library() -> None:
    library = logging.getLogger("opentelemetry")
    library.handlers[:] = [_COMPLAINTS]
    library.propagate = False
