"""HTTP/1.1 toward clients (RFC 9112): one request after another on a connection, strict in, exact out.

Not aiohttp's server here: its parser refuses methods that it does not know, drops trailers, inflates bodies and
accepts `Transfer-Encoding` in forms that others read differently (`docs/architecture.md`). Heads are parsed by one
regular expression a line; so are chunked bodies, since h11 takes bare LF, obs-fold and endless extensions in them.
"""

import asyncio
import re
import time
from collections.abc import Sequence

from nezha.errors import RequestError
from nezha.model import Fields, Request
from nezha.proxy.connection import Connection
from nezha.proxy.pump import Piece, Pump, PumpError
from nezha.semantics.headers import end_to_end

HEAD_MAX = 64 << 10
_TARGET_MAX = 16 << 10
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([\x21-\x7e\x80-\xff]+) HTTP/(\d)\.(\d)")
# A field line without obs-fold, bare CR, NUL or other controls (RFC 9112 2.2, 5.2; RFC 9110 5.5). The space around the
# value is taken off by `strip`: a pattern that does it takes cubic time on a value of spaces.
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELD_LINE = re.compile(rf"({_TOKEN}):({_TEXT})")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_CHUNK_LINE = re.compile(rf"0*([0-9a-fA-F]{{1,15}})[ \t]*(?:;{_TEXT})?")
_CHUNK_LINE_MAX = 4 << 10
_NO_TRAILERS = frozenset({"content-length", "host", "transfer-encoding"})  # they frame and route: RFC 9110 6.5.1
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=%-]+)(?::(\d*))?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,18}")
_NO_BODY = frozenset({204, 304})


def parse_head(head: bytes, connection: Connection) -> Request:
    """A request from its head, without the empty line. Raises RequestError with the status it deserves."""
    lines = head.decode("latin-1").split("\r\n")
    start = _REQUEST_LINE.fullmatch(lines[0])
    if start is None:
        raise RequestError(400, "the request line is malformed")
    method, target, major, minor = start.groups()
    if major != "1":
        raise RequestError(505, f"HTTP/{major}.{minor} is not spoken here")
    if len(target) > _TARGET_MAX:
        raise RequestError(414, f"the request target is longer than {_TARGET_MAX} bytes")
    fields = Fields(map(_field, lines[1:]))
    if method == "CONNECT":
        raise RequestError(405, "CONNECT is not served: Nezha is no forward proxy")
    version = (1, min(int(minor), 1))
    target, authority = _origin_form(method, target)
    fields, host = _host(fields, authority, version, tls=connection.is_tls)
    length, chunked = _framing(fields, version)
    return Request(method, target, fields, host, connection.client, connection.is_tls, version, length, chunked)


def _field(line: str) -> tuple[str, str]:
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise RequestError(400, "a header line is malformed")
    return match[1], match[2].strip(" \t")


def _origin_form(method: str, target: str) -> tuple[str, str | None]:
    """RFC 9112 3.2: origin form as it is, absolute form split into its target and authority, `*` for OPTIONS."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, None
    if match := _ABSOLUTE.fullmatch(target):
        rest = match[2].partition("#")[0]
        return (rest if rest.startswith("/") else f"/{rest}"), match[1]
    raise RequestError(400, "the request target has no form that is served here")


def _host(fields: Fields, authority: str | None, version: tuple[int, int], *, tls: bool) -> tuple[Fields, str]:
    """The authority asked for, lower case, without a default port; RFC 9112 3.2 and 3.2.2."""
    values = fields.all("host")
    if len(values) > 1:
        raise RequestError(400, "more than one Host")
    if not values and version >= (1, 1):
        raise RequestError(400, "no Host")
    if authority is not None:
        fields = fields.with_field("Host", authority)
    elif not values:
        return fields, ""
    match = _AUTHORITY.fullmatch((authority if authority is not None else values[0]).lower())
    if match is None:
        raise RequestError(400, "the Host is malformed")
    name, port = match.groups()
    return fields, name.rstrip(".") if not port or port == ("443" if tls else "80") else f"{name.rstrip('.')}:{port}"


def _framing(fields: Fields, version: tuple[int, int]) -> tuple[int | None, bool]:
    """The body's length, or whether it is chunked (RFC 9112 6); what two readers read differently is refused."""
    codings, lengths = fields.all("transfer-encoding"), fields.all("content-length")
    if codings:
        if lengths:
            raise RequestError(400, "both Content-Length and Transfer-Encoding")
        if version < (1, 1):
            raise RequestError(400, "Transfer-Encoding in HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise RequestError(501, "only the chunked transfer coding is known")
        return None, True
    if not lengths:
        return None, False
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise RequestError(400, "the Content-Length is malformed")
    return int(lengths[0]), False


class Body:
    """A request's body, read as it comes. `trailers` are known once it has ended."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection = connection
        self._left = request.length or 0  # of the body, or of the chunk
        self._is_chunked = request.chunked
        self._is_in_chunk = False
        self._trailers: list[tuple[str, str]] | None = None  # once the last chunk has come
        self._trailers_left = HEAD_MAX
        self.trailers = Fields()
        self.is_done = not request.has_body

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises RequestError where the framing breaks or the client leaves."""
        while not self.is_done:
            data = self._take_chunked() if self._is_chunked else self._take()
            if data or self.is_done:
                return data
            if not await self._connection.more():
                raise RequestError(400, "the request's body ended early")
        return b""

    def _take(self) -> bytes:
        data = self._connection.consume(min(self._left, len(self._connection.inbox)))
        self._left -= len(data)
        self.is_done = self._left == 0 and not self._is_chunked
        return data

    def _take_chunked(self) -> bytes:
        """What has come of a chunk; empty where more must come first, or at the end (RFC 9112 7.1)."""
        if self._is_in_chunk and self._left:
            return self._take()
        while (line := self._line()) is not None:
            if self._is_in_chunk:
                if line:
                    raise RequestError(400, "a chunk is longer than its size")
                self._is_in_chunk = False
            elif self._trailers is None:
                if self._begin_chunk(line):
                    return self._take()
            elif line:
                self._trailers.append(_field(line))
            else:
                self._end()
                break
        return b""

    def _line(self) -> str | None:
        """The next line of the framing, without its CRLF; None where it has not come yet."""
        inbox = self._connection.inbox
        most = 0 if self._is_in_chunk else _CHUNK_LINE_MAX if self._trailers is None else self._trailers_left
        end = inbox.find(b"\r\n", 0, most + 2)
        if end >= 0:
            if self._trailers is not None:
                self._trailers_left -= end
            return self._connection.consume(end + 2)[:-2].decode("latin-1")
        if len(inbox) >= most + 2 or b"\n" in inbox:
            raise RequestError(400, "the chunked body's framing is malformed, or too long")
        return None

    def _begin_chunk(self, line: str) -> bool:
        """Whether bytes follow: after the last chunk, trailers do."""
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RequestError(400, "a chunk's size is malformed")
        self._left = int(match[1], 16)
        self._is_in_chunk = bool(self._left)
        if not self._is_in_chunk:
            self._trailers = []
        return self._is_in_chunk

    def _end(self) -> None:
        self.trailers = Fields(self._trailers or ())
        if not _NO_TRAILERS.isdisjoint(self.trailers.names()):
            raise RequestError(400, "a trailer that would frame or route the request")
        self.is_done = True


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
        if self.request.version >= (1, 1) and not self.has_started:
            self._has_continued = self._has_continued or status == 100
            self.connection.write(format_head(status, "", end_to_end(fields)))
            await self.connection.drain()

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
        return is_awaited and (self.request.chunked or (self.request.length or 0) <= _INBOX_REST)

    async def _discard(self) -> bool:
        """Reads what little is left of a body that nobody wanted, so that the next request can follow."""
        count = 0
        try:
            async with asyncio.timeout(self.connection.linger_seconds):
                while data := await self.body.read():
                    count += len(data)
                    if count > _INBOX_REST:
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


_INBOX_REST = 64 << 10


def _keeps_alive(request: Request) -> bool:
    options = (request.fields.get("connection") or "").lower()
    if "close" in options:
        return False
    return request.version >= (1, 1) or "keep-alive" in options


def format_head(status: int, reason: str, fields: Fields) -> bytes:
    """A response head as it is sent."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status} {reason or REASONS.get(status, '')}\r\n{lines}\r\n".encode("latin-1")


REASONS = {
    100: "Continue", 103: "Early Hints", 200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    412: "Precondition Failed", 414: "URI Too Long", 416: "Range Not Satisfiable", 421: "Misdirected Request",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}  # fmt: skip


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
            if end > HEAD_MAX:
                raise RequestError(431, f"the header is larger than {HEAD_MAX} bytes")
            head = connection.consume(end + 4)
            return parse_head(head[:-4], connection)
        if len(inbox) > HEAD_MAX:
            raise RequestError(431, f"the header is larger than {HEAD_MAX} bytes")
        if _BARE_LF.search(inbox, max(0, seen - 1)):
            raise RequestError(400, "a line that does not end with CRLF")
        seen = len(inbox)
        if not await connection.more():
            if inbox.strip(b"\r\n"):
                raise RequestError(400, "the head ended early")
            return None
