"""What can go wrong with an answer, as data, and the sender that does it.

    head: [delay_head] [hold] drop? garbage? interim* head(change_etag, lengths, huge_head, head_slowly)
    body: [start ... hold_after: hold ... cut: reset_after | close_after ... stop) tail(bad_chunk, trailers)

Offsets count the body's own bytes, without chunk framing, from the first byte of this answer.
"""

import asyncio
import contextlib
import fcntl
import http
import socket
import struct
import termios
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from tests.objects import Body, Reply, pieces
from tests.wire import Framing, Headers, Received

GARBAGE = b"\x16\x03SSH-2.0-not-http\r\n\r\n\x00\xff"
PIECE = 1 << 19  # bytes written at a time without a rate
FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one answer goes wrong. Several that match a request are merged, the later one wins field by field."""

    delay_head: float = 0.0
    """Seconds before the first byte of the answer."""
    hold: asyncio.Event | None = None
    """Wait for this event before the head, or where `hold_after` is given after that many body bytes."""
    hold_after: int | None = None
    rate: float | None = None
    """Bytes per second of the connection's bodies."""
    reset_after: int | None = None
    """RST once the client's kernel has this many body bytes; with `drop`, RST instead of an answer."""
    close_after: int | None = None
    """Close (FIN) after this many body bytes."""
    lie_length: int = 0
    """Content-Length is the truth plus this; the connection closes behind the body."""
    ignore_range: bool = False
    """200 and the whole body to a Range."""
    wrong_content_range: int = 0
    """Content-Range is shifted by this many bytes, the body is not."""
    change_etag: str | None = None
    """This answer says another ETag; preconditions are still judged by the object's own."""
    no_length: bool = False
    """No Content-Length: the body ends by close."""
    status: int | None = None
    """This status, with a short body, instead of what was asked; a write is not done."""
    drop: bool = False
    """Close without an answer."""
    garbage: bool | bytes = False
    """These bytes (True: GARBAGE) instead of an answer, then close."""
    huge_head: int = 0
    """A field `X-Huge` of this many bytes."""
    interim: Sequence[tuple[int, Headers]] = ()
    """1xx answers before the final one."""
    head_slowly: float = 0.0
    """The head is written byte by byte, over this many seconds."""
    both_lengths: bool = False
    """Content-Length as well as Transfer-Encoding: chunked (which is the true one)."""
    bad_chunk: bool = False
    """Half of the body, chunked, then a chunk size that is none, then close."""
    trailers: Sequence[tuple[str, str]] = ()
    """Chunked, with these fields behind the body."""
    refuse_expect: int | None = None
    """This status to `Expect: 100-continue`; the body is not read and the connection closes."""
    is_early: bool = False
    """Answer without reading the request's body, and close."""

    def merged(self, later: "Fault") -> "Fault":
        """Both faults in one; where both speak, `later` wins."""
        said = {f.name: getattr(later, f.name) for f in fields(self) if getattr(later, f.name) != f.default}
        return replace(self, **said)

    def cut(self, length: int) -> int | None:
        """After how many of `length` body bytes the connection breaks; None where it does not."""
        points = [n for n in (self.reset_after, self.close_after) if n is not None and n <= length]
        return min(points, default=None)

    def framing(self, natural: Framing, version: str) -> Framing:
        """How the body ends, given how it would without the fault."""
        if self.no_length:
            return "close"
        if self.both_lengths or self.bad_chunk or self.trailers:
            return "chunked"
        return "close" if natural == "chunked" and version == "HTTP/1.0" else natural


@dataclass(slots=True)
class FaultRule:
    """Which requests a fault harms."""

    path: str
    fault: Fault
    nth: frozenset[int] | None
    when: Callable[[Received], bool] | None
    seen: int = 0

    def applies(self, request: Received) -> bool:
        """Counts the request where it is of the kind, and says whether it is one of those to harm."""
        if self.path not in ("*", request.target, request.path) or (self.when and not self.when(request)):
            return False
        self.seen += 1
        return self.nth is None or self.seen in self.nth


def distort(reply: Reply, fault: Fault) -> Reply:
    """The reply with those faults that change what it says."""
    if fault.change_etag is not None:
        reply = reply.with_header("ETag", fault.change_etag)
    if fault.wrong_content_range and reply.status == 206 and reply.body is not None:
        start, stop = reply.start + fault.wrong_content_range, reply.stop + fault.wrong_content_range
        reply = reply.with_header("Content-Range", f"bytes {start}-{stop - 1}/{len(reply.body)}")
    if fault.huge_head:
        reply = reply.with_header("X-Huge", "h" * fault.huge_head)
    return reply


def head_bytes(status: int, headers: Headers) -> bytes:
    """A raw head."""
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = "Unassigned"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST."""
    if (endpoint := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):  # it is closed already
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Sender:
    """Writes the answers of one connection.

    `count` is told of body bytes as they are written, `holding` +1 and -1 around each wait for `Fault.hold`.
    """

    def __init__(
        self, writer: asyncio.StreamWriter, count: Callable[[int], None], holding: Callable[[int], None]
    ) -> None:
        self._writer = writer
        self._count = count
        self._holding = holding
        self._due = 0.0  # the loop's time at which the rate allows the next byte

    async def send(self, reply: Reply, fault: Fault, *, method: str, version: str, keeps_alive: bool) -> bool:
        """Sends one answer; True where the connection may carry another."""
        await asyncio.sleep(fault.delay_head)
        if fault.hold is not None and fault.hold_after is None:
            await self._held(fault.hold)
        if fault.drop:
            return self._break(fault)
        if fault.garbage:
            self._writer.write(GARBAGE if fault.garbage is True else fault.garbage)
            return False
        for status, headers in fault.interim:
            self._writer.write(head_bytes(status, headers))
        reply = distort(reply, fault)
        framing = fault.framing(reply.framing, version) if reply.body is not None else "none"
        keeps_alive = keeps_alive and framing != "close"
        await self._head(reply, fault, framing, keeps_alive)
        if reply.body is None or method == "HEAD":
            await self._writer.drain()
            return keeps_alive
        return await self._body(reply.body, reply, fault, framing) and keeps_alive

    async def _head(self, reply: Reply, fault: Fault, framing: Framing, keeps_alive: bool) -> None:
        headers = list(reply.headers)
        if framing == "length" or fault.both_lengths:
            headers.append(("Content-Length", str(reply.length + fault.lie_length)))
        if framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        if fault.trailers:
            headers.append(("Trailer", ", ".join(name for name, _ in fault.trailers)))
        if not keeps_alive:
            headers.append(("Connection", "close"))
        raw = head_bytes(reply.status, headers)
        if not fault.head_slowly:
            self._writer.write(raw)
            return
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), fault.head_slowly / len(raw)
        for number in range(len(raw)):
            await asyncio.sleep(began + number * pause - loop.time())
            self._writer.write(raw[number : number + 1])

    async def _body(self, body: Body, reply: Reply, fault: Fault, framing: Framing) -> bool:
        """Sends the body with its tail; False where the connection ends behind it."""
        cut = fault.cut(reply.length)
        stop = reply.start + (reply.length // 2 if fault.bad_chunk else reply.length if cut is None else cut)
        middle = reply.start
        if fault.hold is not None and fault.hold_after is not None and middle + fault.hold_after <= stop:
            middle += fault.hold_after
            await self._stream(pieces(body, reply.start, middle, self._step(fault)), fault, framing)
            await self._held(fault.hold)
        await self._stream(pieces(body, middle, stop, self._step(fault)), fault, framing)
        if fault.bad_chunk:
            self._writer.write(b"not a size\r\nnot a chunk\r\n")
            return False
        if cut is not None:
            if cut == fault.reset_after:
                await self._flush()
            return self._break(fault if cut == fault.reset_after else Fault())
        if framing == "chunked":
            trailers = "".join(f"{name}: {value}\r\n" for name, value in fault.trailers)
            self._writer.write(b"0\r\n" + trailers.encode("latin-1") + b"\r\n")
        await self._writer.drain()
        return framing in ("length", "chunked") and not fault.lie_length

    async def _stream(self, chunks: Iterator[memoryview], fault: Fault, framing: Framing) -> None:
        for chunk in chunks:
            if fault.rate:
                await self._pace(len(chunk), fault.rate)
            if framing == "chunked":
                self._writer.write(b"%x\r\n" % len(chunk))
            self._writer.write(chunk)
            if framing == "chunked":
                self._writer.write(b"\r\n")
            self._count(len(chunk))
            await self._writer.drain()
            await asyncio.sleep(0)  # a client that reads as fast as we write must not starve the others

    def _step(self, fault: Fault) -> int:
        return PIECE if not fault.rate else max(1, min(PIECE, int(fault.rate / 50)))  # 20 ms of the rate

    async def _pace(self, size: int, rate: float) -> None:
        """Returns when the connection's rate allows `size` more bytes; idle time earns nothing."""
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time())
        await asyncio.sleep(self._due - loop.time())
        self._due += size / rate

    async def _held(self, event: asyncio.Event) -> None:
        await self._writer.drain()
        self._holding(+1)
        try:
            await event.wait()
        finally:
            self._holding(-1)

    def _break(self, fault: Fault) -> bool:
        if fault.reset_after is not None:
            reset(self._writer)
        return False

    async def _flush(self) -> None:
        """Returns when the peer's kernel has every byte: RST drops what is still queued on this side.

        The kernel tells its queue only when asked (SIOCOUTQ). Two looks, one turn of the loop apart, since
        between them the transport may hand over what it has buffered itself.
        """
        self._writer.transport.set_write_buffer_limits(high=1)  # with 0 asyncio's TLS transport pauses for ever
        await self._writer.drain()
        descriptor = self._writer.get_extra_info("socket").fileno()
        clock = asyncio.get_running_loop().time
        deadline, empty_looks = clock() + FLUSH_SECONDS, 0
        while empty_looks < 2 and clock() < deadline:
            queued = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
            empty_looks = 0 if queued else empty_looks + 1
            await asyncio.sleep(0.001 if queued else 0)
