"""The parsers that see hostile bytes, each as one function of bytes: it raises only where the parser is wrong.

Beside "no error but its own" each states what must hold of what was accepted.
"""

from collections.abc import Callable, Mapping
from typing import cast

import jsonpatch

from nezha.admission import review as reviews
from nezha.admission.injection import decide
from nezha.admission.outcomes import Injected
from nezha.admission.rules import Rule
from nezha.admission.target import ClusterTrust, Target
from nezha.dialects import Place
from nezha.errors import RequestError, ReviewError
from nezha.keytext import meant, shown
from nezha.model import Entry, Extent, Fields, Head, Request
from nezha.proxy.body import Body
from nezha.proxy.connection import Connection
from nezha.proxy.heads import parse_field_line, parse_head
from nezha.proxy.hello import BadHello, Hello, read_hello
from nezha.routes import DIALECTS
from nezha.semantics import headers, validators
from nezha.semantics.decision import on_request, select
from nezha.semantics.freshness import Policy, age, lifetime
from nezha.semantics.keys import matches, vary_of
from nezha.semantics.ranges import gaps, parse_content_range, parse_range
from nezha.semantics.storing import Context, Fail, Forward, Framing, Freshen, Store, on_response

NOW = 1_800_000_000.0


class _Came:
    """Bytes that came on a connection, a few at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.inbox = bytearray()
        self._data = data
        self._step = step

    async def more(self) -> bool:
        part, self._data = self._data[: self._step], self._data[self._step :]
        self.inbox += part
        return bool(part)

    def consume(self, count: int) -> bytes:
        data = bytes(self.inbox[:count])
        del self.inbox[:count]
        return data


def _parsed(data: bytes) -> Request | None:
    try:
        return parse_head(data, client="10.0.0.1", tls=False)
    except RequestError as error:
        if not 400 <= error.status < 600:
            raise
        return None


def heads(data: bytes) -> None:
    """A request's head: what is accepted has no second reading."""
    request = _parsed(data)
    if request is None:
        return
    lines = data.decode("latin-1").split("\r\n")
    assert list(request.lines) == lines[1:]
    assert not set("\r\n\0") & set("".join((request.method, request.target, *request.lines)))
    assert not (request.chunked and request.length is not None)
    for line in request.lines:
        assert line == line.lstrip(), "obs-fold"
    for dialect, place in (("http", Place("web", "web.test")), ("s3", Place("s3", "", frozenset({"data"})))):
        asked = DIALECTS[dialect].classify(place, request)
        if hasattr(asked, "key"):
            text = str(asked.key)
            assert meant(shown(text)).text == text


def bodies(data: bytes) -> None:
    """A chunked body: the same however it comes, and as a plain reader of RFC 9112 7.1 has it."""
    first = _body(data, len(data) or 1)
    for step in (1, 7):
        assert _body(data, step) == first
    if first is not None:
        assert first == _plainly(data)


def _body(data: bytes, step: int) -> tuple[bytes, int] | None:
    came = _Came(data, step)
    request = Request("PUT", "/", Fields(), "web.test", chunked=True)

    async def read() -> bytes:
        body = Body(cast(Connection, came), request)
        found = b""
        while part := await body.read():
            found += part
        return found

    try:
        read().send(None)
    except StopIteration as ended:
        return ended.value, len(data) - len(came.inbox) - len(came._data)
    except RequestError:
        return None
    raise AssertionError("it waits, where all that comes is there")


def _plainly(data: bytes) -> tuple[bytes, int]:
    found, at = b"", 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end].split(b";")[0].strip(b" \t"), 16)
        at = end + 2
        if size == 0:
            break
        found += data[at : at + size]
        assert data[at + size : at + size + 2] == b"\r\n"
        at += size + 2
    while (end := data.index(b"\r\n", at)) != at:
        parse_field_line(data[at:end].decode("latin-1"))
        at = end + 2
    return found, at + 2


def hellos(data: bytes) -> None:
    """A ClientHello: more bytes change nothing, fewer only leave it open."""
    whole = _hello(data)
    assert whole is None or _hello(data + b"\x17\x03\x03") == whole
    if isinstance(whole, Hello):
        assert whole.sni is None or whole.sni == whole.sni.lower()
        assert _hello(data[: len(data) // 2]) in (None, whole)


def _hello(data: bytes) -> Hello | str | None:
    try:
        return read_hello(data)
    except BadHello as error:
        return str(error)


def _fields(text: str) -> Fields:
    found = []
    for line in text.split("\n"):
        try:
            found.append(parse_field_line(line))
        except RequestError:
            continue
    return Fields(found)


def fields(data: bytes) -> None:
    """Field lines of a request and, behind a blank line, of an answer: every decision on them is made."""
    asked, _, said = data.decode("latin-1").partition("\n\n")
    request = Request("GET", "/a", _fields(asked), "web.test")
    answer = _fields(said)
    for value in [value for _, value in (*request.fields, *answer)]:
        headers.members(value)
        headers.directives(value)
        validators.parse_date(value)
    for policy in (Policy(), Policy(fresh=60, grace=60, is_metadata=True)):
        entry = Entry(
            "k",
            "v",
            200,
            headers.end_to_end(answer),
            1000,
            NOW,
            NOW,
            is_open=True,
            vary=vary_of(answer, request.fields),
        )
        if "*" not in headers.members(answer.get("vary")):
            assert matches(entry.vary, request.fields)
        assert lifetime(entry.status, entry.fields, policy) >= 0
        assert age(entry, NOW + 5) >= 5
        on_request(request, entry, [Extent(0, 1000)], policy, NOW)
        selected = select(request, entry)
        assert selected.extent is None or 0 <= selected.extent.start <= selected.extent.stop <= 1000
        context = Context(
            request=request, asked=parse_range(request.fields.get("range")), shows_credential=False, policy=policy,
            may_store=True, honors_no_store=False, max_object=1 << 30, whole_fields=frozenset({"content-md5"}),
            requested_at=NOW, answered_at=NOW,
        )  # fmt: skip
        for status in (200, 206, 304):
            outcome = on_response(Head(status, answer), Framing.LENGTH, 10, context)
            assert isinstance(outcome, Store | Freshen | Forward | Fail)
            if isinstance(outcome, Store) and outcome.size is not None:
                assert outcome.extent.length == 10
                assert 0 <= outcome.extent.start <= outcome.extent.stop <= outcome.size


def ranges(data: bytes) -> None:
    """Range and Content-Range, a line each: within every object, and never more than was asked for."""
    asked, _, said = data.decode("latin-1").partition("\n")
    span, content = parse_range(asked), parse_content_range(said)
    for size in (0, 1, 10, 1000, 1 << 40):
        extent = span.within(size) if span is not None else None
        if extent is not None:
            assert 0 <= extent.start < extent.stop <= size
            missing = gaps(extent, [Extent(0, 3), Extent(5, 900)])
            assert all(extent.start <= gap.start < gap.stop <= extent.stop for gap in missing)
    if content is not None:
        assert 0 <= content.extent.start < content.extent.stop
        assert content.size is None or content.extent.stop <= content.size


def keys(data: bytes) -> None:
    """Keys as operators write them."""
    text = data.decode("latin-1")
    line = shown(text)
    assert line.isprintable()
    assert meant(f"a/b/{line}").text == f"a/b/{text}"
    try:
        named = meant(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert named.covers(named.text)


_RULES = (Rule("vision", "team", "vision"), Rule("any", "app", "x"))
_TARGET = Target(("10.0.0.1",), ("a.test", "b.test"), ClusterTrust(), dialects=frozenset({"http"}))


def admission(data: bytes) -> None:
    """A review: refused, or answered; a patch applies, and a second review adds nothing to it."""
    try:
        review = reviews.parse(data)
        outcome = decide(review, _RULES, _TARGET)
    except ReviewError:
        return
    if isinstance(outcome, Injected):
        reviews.respond(review.uid, outcome.operations, outcome.warnings)
        jsonpatch.apply_patch(review.object, list(outcome.operations))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (heads, bodies, hellos, fields, ranges, keys, admission)
}
