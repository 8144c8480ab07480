"""One connection to an origin, and the request that it serves now: heads and chunked framing, read by h11."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import h11

from nezha.errors import OriginMismatch, OriginUnreachable
from nezha.model import Fields, Head
from nezha.proxy.line import Line
from nezha.routes import Target
from nezha.semantics.storing import Framing

_HEAD_MAX = 128 << 10
_IDLE_SECONDS = 50.0  # shorter than what origins allow: a reused connection should be alive
_IDLE_MAX = 64  # kept per origin
Interim = Callable[[int, Fields], Awaitable[None]]


class Link:
    """Kept in the `pool` it was given between two requests, and closed where it cannot be."""

    def __init__(self, line: Line, target: Target, pool: "list[Link]") -> None:
        self.line = line
        self.target = target
        self._parser = h11.Connection(h11.CLIENT)
        self.is_reused = False
        self.is_sent = True  # the request is; before, nothing else may be sent here
        self.has_answered = False
        self._pool = pool
        self._keeps_alive = False
        self._idle: asyncio.TimerHandle | None = None
        self._count: Callable[[int], None] = lambda _: None

    @property
    def transport(self) -> asyncio.Transport:
        assert self.line.transport is not None
        return self.line.transport

    def count(self, received: int) -> None:
        if received:
            self._count(received)

    def begin(self, method: str, count: Callable[[int], None], *, has_body: bool) -> None:
        """Prepares for one more request."""
        self.is_sent = not has_body
        self.has_answered = False
        self.line.last_sent = asyncio.get_running_loop().time()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._count = count
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
        # What goes out is written by hand; h11 learns only what it needs to read the answer.
        self._parser.send(h11.Request(method=method, target="/", headers=[("Host", "-")]))
        self._parser.send(h11.EndOfMessage())

    async def head(self, method: str, interim: Interim | None) -> tuple[Head, Framing, int | None]:
        """Reads an answer's head, relaying 1xx ones: with it, how the body ends and its length. Raises OriginError."""
        line = self.line
        while True:
            event = self._next_event("the origin's answer is not HTTP/1.1")
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    raise OriginMismatch("the origin switched protocols unasked")
                if interim is not None:
                    await interim(event.status_code, _fields(event.headers))
            elif isinstance(event, h11.Response):
                return self._begin_body(method, event)
            elif line.is_ended and not line.backlog:
                raise OriginUnreachable("the origin ended the connection without an answer")
            else:
                await line.wait(self.target.head_timeout, since_sent=True)

    def chunk(self) -> bytes | Fields:
        """What has come of a chunked body, empty where more must come first; its trailers at its end.

        Raises OriginMismatch.
        """
        event = self._next_event("chunked body")
        if isinstance(event, h11.EndOfMessage):
            return _fields(event.headers)
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def _next_event(self, fault: str) -> object:
        try:
            if self.line.backlog:
                self.has_answered = True
                self._parser.receive_data(bytes(self.line.backlog))
                self.line.backlog.clear()
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            raise OriginMismatch(f"{fault}: {error}") from error

    def _begin_body(self, method: str, event: h11.Response) -> tuple[Head, Framing, int | None]:
        fields = _fields(event.headers)
        head = Head(event.status_code, fields, bytes(event.reason).decode("latin-1"))
        options = (fields.get("connection") or "").lower()
        old = bytes(event.http_version) < b"1.1"
        self._keeps_alive = "close" not in options and (not old or "keep-alive" in options)
        framing, length = _framing(method, head)
        if framing is not Framing.CHUNKED:
            rest, _ = self._parser.trailing_data
            self.line.backlog[:0] = rest
        if framing is Framing.CLOSE:
            self._keeps_alive = False
        return head, framing, length

    def release(self) -> None:
        """The answer is read: keeps the connection for the next request, if that is possible."""
        rest = self._parser.trailing_data[0] if self._parser.their_state is h11.DONE else b""
        is_clean = self.is_sent and not (self.line.is_ended or self.line.backlog or rest)
        if not (is_clean and self._keeps_alive) or len(self._pool) >= _IDLE_MAX:
            self.close()
            return
        self.is_reused = True
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self.close)
        self._pool.append(self)

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self in self._pool:
            self._pool.remove(self)
        self.transport.abort()


def _framing(method: str, head: Head) -> tuple[Framing, int | None]:
    """How the body ends (RFC 9112 6.3); h11 has refused lengths that contradict each other. Raises OriginMismatch."""
    if method == "HEAD" or head.status in {204, 304}:
        return Framing.LENGTH, 0
    codings = [coding.lower() for coding in head.fields.all("transfer-encoding")]
    lengths = head.fields.all("content-length")
    if codings:
        if codings != ["chunked"]:
            raise OriginMismatch("the origin's transfer coding is not known")
        if lengths:
            raise OriginMismatch("the origin's answer has both Content-Length and Transfer-Encoding")
        return Framing.CHUNKED, None
    return (Framing.LENGTH, int(lengths[0].partition(",")[0])) if lengths else (Framing.CLOSE, None)


def _fields(headers: object) -> Fields:
    items: Sequence[tuple[bytes, bytes]] = headers.raw_items()  # type: ignore[attr-defined]  # h11's are untyped
    return Fields((name.decode("latin-1"), value.decode("latin-1")) for name, value in items)
