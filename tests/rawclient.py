"""A raw HTTP/1.1 client: sends exactly the bytes it is given, and shows exactly what came back.

    async with await RawClient.open("127.0.0.1", port) as client:
        response = await client.get("/a", headers=[("Range", "bytes=0-9")])

Every wait ends after the client's `timeout` (seconds) with TimeoutError. A body that ends early raises `Truncated`,
which has what did arrive and whether the end was RST.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from tests.cache_status import check_cache_status
from tests.faults import reset
from tests.wire import Headers, body_framing, lookup, parse_head, read_chunked, read_head, read_sized

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0  # a bound on a hang, not on speed: the machine may be busy
BUFFER_BYTES = 1 << 18  # past twice this much unread, the client stops reading its socket


class Head(NamedTuple):
    """Status line and field lines of one response; `raw` is all of it."""

    status: int
    reason: str
    headers: Headers
    raw: bytes = b""

    def get(self, name: str) -> str | None:
        """The value of `name`, in any case; repeated lines joined by a comma."""
        return lookup(self.headers, name)


@dataclass(slots=True)
class Response:
    """A complete response; `interim` holds the 1xx heads before it."""

    status: int
    headers: Headers
    body: bytes
    reason: str = ""
    interim: list[Head] = field(default_factory=list)
    trailers: Headers = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The value of header `name`, in any case; repeated lines joined by a comma."""
        return lookup(self.headers, name)


class Truncated(Exception):
    """The connection ended inside a response: `head` (None: inside the head), the `partial` body, RST or not."""

    def __init__(self, head: Head | None, partial: bytes, *, is_reset: bool) -> None:
        super().__init__(f"{'RST' if is_reset else 'end'} after {len(partial)} body bytes")
        self.head = head
        self.partial = partial
        self.is_reset = is_reset


class _Reader(asyncio.StreamReader):
    """Hands out what arrived before an error, where a StreamReader forgets it."""

    failure: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        self.failure = exc
        self.feed_eof()


class RawClient:
    """One connection."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter, authority: str, timeout: float) -> None:
        self.writer = writer
        self.authority = authority
        self.timeout = timeout
        self.trailers: Headers = []
        self._reader = reader

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        limit: int = BUFFER_BYTES,
    ) -> Self:
        """Connects, with TLS where a context is given (its name defaults to `host`)."""
        loop = asyncio.get_running_loop()
        reader = _Reader(limit=limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        name = (server_hostname or host) if tls is not None else None
        async with asyncio.timeout(timeout):
            transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=tls, server_hostname=name)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return cls(reader, writer, f"{server_hostname or host}:{port}", timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_reset(self) -> bool:
        """The connection ended by an error (RST, or TLS cut off) and not by a clean end."""
        return self._reader.failure is not None

    # -- writing

    async def send(self, raw: bytes) -> None:
        """Writes these bytes; returns when the socket has taken most of them."""
        self.writer.write(raw)
        async with asyncio.timeout(self.timeout):
            await self.writer.drain()

    def send_eof(self) -> None:
        """Ends the sending side (FIN), and goes on reading; not with TLS."""
        self.writer.write_eof()

    def abort(self) -> None:
        """Ends the connection with RST."""
        reset(self.writer)

    async def close(self) -> None:
        """Ends the connection; returns when the socket is closed."""
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.timeout):
                await self.writer.wait_closed()

    # -- reading

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes as they come, or Truncated."""
        into = bytearray()
        async with asyncio.timeout(self.timeout):
            await self._whole(None, into, read_sized(self._reader, size, into))
        return bytes(into)

    async def read_head(self) -> Head:
        """The next head, be it interim or final; its Cache-Status must be one."""
        async with asyncio.timeout(self.timeout):
            try:
                raw = await read_head(self._reader)
            except asyncio.IncompleteReadError:
                raw = b""
        if not raw:
            raise Truncated(None, b"", is_reset=self.is_reset)
        (_, status, reason), headers = parse_head(raw)
        if (said := lookup(headers, "cache-status")) is not None:
            check_cache_status(said)
        return Head(int(status), reason, headers, raw)

    async def read_body(self, head: Head, method: str = "GET") -> bytes:
        """The decoded body that follows this head; trailers go to `self.trailers`."""
        self.trailers = []
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return b""
        into = bytearray()
        framing, size = body_framing(head.headers)
        async with asyncio.timeout(self.timeout):
            if framing == "length":
                await self._whole(head, into, read_sized(self._reader, size, into))
            elif framing == "chunked":
                self.trailers = await self._whole(head, into, read_chunked(self._reader, into))
            else:
                into += await self._reader.read()
                if self.is_reset:
                    raise Truncated(head, bytes(into), is_reset=True)
        return bytes(into)

    async def eof(self) -> bool:
        """Waits for one more byte or the end: True where the peer ended the connection, cleanly or by RST."""
        async with asyncio.timeout(self.timeout):
            return not await self._reader.read(1)

    # -- both

    async def exchange(self, raw: bytes) -> Response:
        """Sends a complete request; reads interim heads and the whole response."""
        await self.send(raw)
        return await self.read_response(raw.split(b" ", 1)[0].decode("latin-1"))

    async def read_response(self, method: str = "GET") -> Response:
        """The next final response with its body, and the interim heads before it."""
        interim: list[Head] = []
        while (head := await self.read_head()).status < 200 and head.status != 101:
            interim.append(head)
        body = await self.read_body(head, method)
        return Response(head.status, head.headers, body, head.reason, interim, self.trailers)

    async def get(
        self, target: str, host: str | None = None, headers: Sequence[tuple[str, str]] = (), method: str = "GET"
    ) -> Response:
        """A request without a body; Host is the address that was opened where none is given."""
        return await self.exchange(request_bytes(method, target, host or self.authority, headers))

    async def _whole(self, head: Head | None, into: bytearray, reading: Coroutine[Any, Any, T]) -> T:
        try:
            return await reading
        except asyncio.IncompleteReadError:
            raise Truncated(head, bytes(into), is_reset=self.is_reset) from None


def request_bytes(
    method: str, target: str, host: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
) -> bytes:
    """A raw request; with a body its Content-Length is added."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
