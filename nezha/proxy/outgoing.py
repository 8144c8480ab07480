"""What goes out to an origin: the client's own request, byte for byte, and the little that Nezha may add."""

from collections.abc import Mapping
from dataclasses import dataclass

from nezha.dialects import Read
from nezha.model import Extent, Key, Request
from nezha.routes import Route
from nezha.semantics.headers import end_to_end
from nezha.semantics.locations import hops_left
from nezha.semantics.ranges import Span, parse_range

_NOTHING: Mapping[str, str] = {}
# They frame and route: whatever space they came with, they go out so that no two readers can differ on them.
_PLAINEST = frozenset({"content-length", "host"})


def request_head(request: Request, route: Route, more: Mapping[str, str] = _NOTHING, query: str = "") -> bytes:
    """The head of the request to the origin: end-to-end fields as they came, `more` set or replaced, `query` added."""
    fields = end_to_end(request.fields)
    if (hops := hops_left(request)) and not route.dialect.is_object_store:
        fields = fields.with_field("Max-Forwards", str(hops - 1))
    for name, value in more.items():
        fields = fields.with_field(name, value)
    pairs = zip(request.fields, request.lines, strict=False)  # a Host out of an absolute target may have no line
    came = {item: line for item, line in pairs if item[0].lower() not in _PLAINEST}
    lines = [f"{came.get(item) or ': '.join(item)}\r\n" for item in fields]
    if not route.dialect.is_object_store:
        lines.append(f"Via: {request.version[0]}.{request.version[1]} nezha\r\n")
    if request.chunked:
        lines.append("Transfer-Encoding: chunked\r\n")
    target = f"{request.target}{'&' if '?' in request.target else '?'}{query}" if query else request.target
    return f"{request.method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1")


@dataclass(frozen=True, eq=False, slots=True)
class Ask:
    """A read that wants something: the client's request, what its dialect made of it, and its route.

    `request` speaks as RFC 9110 does, and is what decisions are made by; `came` is what goes out. `is_aside`: it names
    the version that is stored as the object's own, so that its answer does not say whether that still is the object.
    """

    came: Request
    read: Read
    route: Route
    is_aside: bool = False

    @property
    def key(self) -> Key:
        """Under which key the version that is read is stored."""
        return self.read.current if self.is_aside and self.read.current is not None else self.read.key

    @property
    def request(self) -> Request:
        """The client's request in the words of RFC 9110."""
        return self.read.plain or self.came

    @property
    def span(self) -> Span | None:
        """The range that the client asks for."""
        return parse_range(self.request.fields.get("range"))

    @property
    def may_range(self) -> bool:
        """Whether Nezha may ask for parts of the object with this request's credential."""
        return "range" in self.read.may_set and self.request.method == "GET"

    def head(self, more: Mapping[str, str] = _NOTHING, query: str = "") -> bytes:
        """The head of this request toward the origin."""
        return request_head(self.came, self.route, more, query)

    def part(self, extent: Extent, etag: str | None) -> dict[str, str]:
        """The fields that ask for `extent` of the version `etag`, as far as they may be set."""
        fields = {self.read.range_name: f"bytes={extent.start}-{extent.stop - 1}"}
        if etag is not None and "if-match" in self.read.may_set:
            fields["If-Match"] = etag
        return fields
