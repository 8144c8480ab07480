"""A double of an OpenTelemetry collector: takes spans by OTLP over HTTP, and keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.faults import Fault
from tests.objects import Reply, plain
from tests.origin import Origin
from tests.wire import Received


@dataclass(frozen=True)
class Span:
    """One span as it came; ids in hexadecimal, times in nanoseconds since the epoch."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: Mapping[str, str | int]
    resource: Mapping[str, str | int]
    start: int
    end: int
    is_error: bool


class Collector(Origin):
    """Answers to `POST /v1/traces`."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []

    @property
    def raw(self) -> bytes:
        """All that was sent here, with the heads."""
        return b"".join(request.head + request.body for request in self.requests)

    def of_kind(self, kind: str) -> list[Span]:
        """The spans of the kind `server` or `client`, in the order of their starts."""
        return sorted((span for span in self.spans if span.kind == kind), key=lambda span: span.start)

    def reply(self, request: Received, fault: Fault) -> Reply:
        if fault.status is not None:
            return plain(fault.status)
        if (request.method, request.target) != ("POST", "/v1/traces"):
            return plain(404)
        for batch in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            resource = _mapping(batch.resource.attributes)
            self.spans += [_span(span, resource) for scope in batch.scope_spans for span in scope.spans]
        return plain(
            200, [("Content-Type", "application/x-protobuf")], ExportTraceServiceResponse().SerializeToString()
        )


def _span(span: trace_pb2.Span, resource: Mapping[str, str | int]) -> Span:
    return Span(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_mapping(span.attributes),
        resource=resource,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _mapping(pairs: "list[KeyValue]") -> dict[str, str | int]:
    return {
        pair.key: pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
        for pair in pairs
    }
