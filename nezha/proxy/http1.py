"""HTTP/1.1 toward clients (RFC 9112): one request after another on a connection, strict in, exact out.

Not aiohttp's server here: its parser refuses methods that it does not know, drops trailers, inflates bodies and
accepts `Transfer-Encoding` in forms that others read differently (`docs/architecture.md`).
"""

import asyncio
import re
import time
from collections.abc import Sequence

from nezha.errors import RequestError
from nezha.model import Fields, Request
from nezha.proxy.body import Body
from nezha.proxy.connection import Connection
from nezha.proxy.heads import format_head, parse_head
from nezha.proxy.pump import Piece, Pump, PumpError
from nezha.semantics.headers import end_to_end

_HEAD_MAX = 64 << 10
_DISCARD_MAX = 64 << 10
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NO_BODY = frozenset({204, 304})


async def read_request(connection: Connection) -> Request | None:
    """The next request of a connection; None where the client has ended. Raises RequestError."""
    seen = 0
    while True:
        inbox = connection.inbox
        if seen == 0:
            while inbox.startswith(b"\r\n"):  # RFC 9112 2.2
                del inbox[:2]
        end = inbox.find(b"\r\n\r\n", max(0, seen - 3))
        if end >= 0:
            if end > _HEAD_MAX:
                raise RequestError(431, f"the header is larger than {_HEAD_MAX} bytes")
            head = connection.consume(end + 4)
            return parse_head(head[:-4], client=connection.client, tls=connection.is_tls)
        if len(inbox) > _HEAD_MAX:
            raise RequestError(431, f"the header is larger than {_HEAD_MAX} bytes")
        if _BARE_LF.search(inbox, max(0, seen - 1)):
            raise RequestError(400, "a line that does not end with CRLF")
        seen = len(inbox)
        if not await connection.more():
            if inbox.strip(b"\r\n"):
                raise RequestError(400, "the head ended early")
            return None


def _keeps_alive(request: Request) -> bool:
    options = (request.fields.get("connection") or "").lower()
    if "close" in options:
        return False
    return request.version >= (1, 1) or "keep-alive" in options


class Exchange:
    """One request and its response. The head waits for the first bytes of the body, to leave with them."""

    def __init__(self, connection: Connection, pump: Pump, request: Request) -> None:
        self.connection = connection
        self.request = request
        self.body = Body(connection, request)
        self.status = 0
        self.body_bytes = 0
        self.first_byte_at = 0.0  # perf_counter
        self._pump = pump
        self._head = b""
        self._is_chunked = False
        self._has_continued = False
        self._left: int | None = 0
        self.keeps_alive = _keeps_alive(request)

    @property
    def has_started(self) -> bool:
        """Whether a final head was given; from then on an error can only cut the response."""
        return self.status != 0

    async def interim(self, status: int, fields: Fields) -> None:
        """Sends a 1xx head (never to HTTP/1.0, RFC 9110 15.2)."""
        self._write_interim(status, fields)
        await self.connection.drain()

    async def hint(self, status: int, fields: Fields) -> None:
        """The same while others wait for what follows: a client that is behind, or has left, is not waited for."""
        if self.connection.has_room:
            self._write_interim(status, fields)

    def _write_interim(self, status: int, fields: Fields) -> None:
        if self.request.version >= (1, 1) and not self.has_started:
            self._has_continued = self._has_continued or status == 100
            self.connection.write(format_head(status, "", end_to_end(fields)))

    def start(self, status: int, fields: Fields, *, length: int | None, reason: str = "") -> None:
        """Gives the final head. `length`: of the body in bytes; None where only its end will tell.

        `fields` hold no hop-by-hop fields; Content-Length is written here, unless there is no body to measure.
        """
        self.status = status
        self.first_byte_at = time.perf_counter()
        has_body = self.request.method != "HEAD" and status not in _NO_BODY
        items = list(fields)
        if length is not None and status != 204 and not (status == 304 and length == 0):
            items = [item for item in items if item[0].lower() != "content-length"]
            items.append(("Content-Length", str(length)))
        elif has_body or status == 204:  # another framing follows, or none may
            items = [item for item in items if item[0].lower() != "content-length"]
        self._left = length if has_body else 0
        self._is_chunked = has_body and length is None and self.request.version >= (1, 1)
        if self._is_chunked:
            items.append(("Transfer-Encoding", "chunked"))
        elif has_body and length is None:
            self.keeps_alive = False
        if not self.body.is_done and not self._may_discard():
            self.keeps_alive = False
        if not self.keeps_alive:
            items.append(("Connection", "close"))
        elif self.request.version < (1, 1):
            items.append(("Connection", "keep-alive"))
        self._head = format_head(status, reason, Fields(items))

    async def write(self, data: bytes) -> None:
        """Sends some of the body."""
        if not data or self._left == 0:
            return
        self._count(len(data))
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data
        self.connection.write(self._take_head() + framed if self._head else framed)
        await self.connection.drain()

    async def send(self, pieces: Sequence[Piece]) -> None:
        """Sends some of the body out of files, by the pump. Raises PumpError; nothing has left unless it says so."""
        head = self._take_head()
        total = sum(piece.stop - piece.start for piece in pieces)
        framed = head + b"%x\r\n" % total if self._is_chunked else head
        try:
            await self._pump.send(self.connection, framed, pieces)
        except PumpError as error:
            if not error.has_begun:
                self._head = head
            elif self._is_chunked:
                self.abort()  # a chunk that was announced cannot be taken back
            self._count(error.sent)
            raise
        self._count(total)
        if self._is_chunked:
            self.connection.write(b"\r\n")

    def _count(self, sent: int) -> None:
        self.body_bytes += sent
        if self._left is not None:
            self._left -= sent
            assert self._left >= 0, "more body than the head promised"

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    async def end(self, trailers: Fields | None = None) -> None:
        """Ends the response. One that is shorter than its head promised is cut, never padded."""
        if self._left:
            self.abort()
            return
        if self._is_chunked:
            tail = "".join(f"{name}: {value}\r\n" for name, value in trailers or ())
            self.connection.write(self._take_head() + f"0\r\n{tail}\r\n".encode("latin-1"))
        elif self._head:
            self.connection.write(self._take_head())
        await self.connection.drain()
        if not self.body.is_done:
            self.keeps_alive = self.keeps_alive and await self._discard()

    def _may_discard(self) -> bool:
        """Whether what is left of the request's body is worth reading, and will come at all (RFC 9110 10.1.1)."""
        is_awaited = "expect" not in self.request.fields or self._has_continued
        return is_awaited and (self.request.chunked or (self.request.length or 0) <= _DISCARD_MAX)

    async def _discard(self) -> bool:
        """Reads what little is left of a body that nobody wanted, so that the next request can follow."""
        count = 0
        try:
            async with asyncio.timeout(self.connection.linger_seconds):
                while data := await self.body.read():
                    count += len(data)
                    if count > _DISCARD_MAX:
                        return False
        except (RequestError, TimeoutError):
            return False
        return True

    async def answer(self, status: int, text: str, *more: tuple[str, str], kind: str = "text/plain") -> None:
        """A whole answer of Nezha's own."""
        body = text.encode()
        self.start(status, Fields([("Content-Type", f"{kind}; charset=utf-8"), *more]), length=len(body))
        await self.write(body)
        await self.end()

    def abort(self) -> None:
        """Cuts the response: the client sees that it is not whole."""
        self.keeps_alive = False
        self.connection.abort()
