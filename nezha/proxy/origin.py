"""Our own HTTP/1.1 client toward origins: bytes out as they came in, bodies straight into fill buffers.

Requests are written by hand, because every line of one may be signed; answers are read by h11 (heads, chunked
framing), while a body of known length is received by `recv_into` into whatever buffer the caller gives.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import h11

from nezha.errors import OriginError, OriginMismatch, OriginTimeout, OriginUnreachable
from nezha.metrics import Metrics
from nezha.model import Fields, Head
from nezha.proxy.connection import transport_of
from nezha.routes import Route, Target
from nezha.semantics.decision import Framing

QUANTUM = 256 << 10  # most bytes received in one turn of the loop
_HEAD_MAX = 128 << 10
_BACKLOG_HIGH = 1 << 20
_IDLE_SECONDS = 50.0  # shorter than what origins allow: a reused connection should be alive
_IDLE_MAX = 64  # kept per origin
_IDEMPOTENT = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"})
Interim = Callable[[int, Fields], Awaitable[None]]
Arrived = Callable[[int], None]


class _Line(asyncio.BufferedProtocol):
    """The receiving half of a connection: into a target while there is one, else into a bounded backlog."""

    def __init__(self) -> None:
        self.backlog = bytearray()
        self.is_ended = False
        self.error: Exception | None = None
        self.last_arrival = 0.0
        self.last_sent = 0.0
        self._spare = memoryview(bytearray(64 << 10))
        self._target: memoryview | None = None
        self._arrived: Arrived | None = None
        self._got = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_paused = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport_of(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._target is not None:
            return self._target[self._got : self._got + QUANTUM]
        return self._spare

    def buffer_updated(self, nbytes: int) -> None:
        self.last_arrival = asyncio.get_running_loop().time()
        if self._target is None:
            self.backlog += self._spare[:nbytes]
            if len(self.backlog) > _BACKLOG_HIGH:
                self._pause()
            self._wake()
            return
        self._got += nbytes
        if self._arrived is not None:
            self._arrived(nbytes)
        if self._got == len(self._target):
            self._target = None
            self._wake()

    def _pause(self) -> None:
        if not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.is_ended = True
        self._target = None
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_ended = True
        self.error = error
        self._target = None
        self._wake()
        if self._room is not None and not self._room.done():
            self._room.set_exception(OriginUnreachable("the connection ended while the request was sent"))

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def drain(self) -> None:
        """Waits while the transport's buffer is above its mark."""
        if self._is_full and not self.is_ended:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, seconds: float, *, since_sent: bool = False) -> None:
        """Waits for more in the backlog, a full target, or the end. Raises OriginTimeout after so long without a byte.

        `since_sent`: after so long since the request's last byte, whatever comes.
        """
        if self.is_ended:
            return
        loop = asyncio.get_running_loop()
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()
        waiter = self._waiter = loop.create_future()
        self.last_arrival = loop.time()

        timer: asyncio.Handle

        def check() -> None:
            nonlocal timer
            left = (self.last_sent if since_sent else self.last_arrival) + seconds - loop.time()
            if left > 0:
                timer = loop.call_later(left, check)
            elif not waiter.done():
                what = "no answer's head" if since_sent else "no byte"
                waiter.set_exception(OriginTimeout(f"{what} came for {seconds:g} s"))

        timer = loop.call_soon(check)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    async def fill(self, target: memoryview, arrived: Arrived, seconds: float) -> int:
        """Receives into `target` until it is full or the connection ends; how much came."""
        ready = min(len(target), len(self.backlog))
        if ready:
            target[:ready] = self.backlog[:ready]
            del self.backlog[:ready]
            arrived(ready)
        if ready == len(target) or self.is_ended:
            return ready
        self._target, self._arrived, self._got = target[ready:], arrived, 0
        try:
            await self.wait(seconds)
            return ready + self._got
        finally:
            self._target, self._arrived = None, None


class Answer:
    """An origin's answer, its body not read yet. It ends by `read` to the end, or by `abandon`."""

    def __init__(self, link: "_Link", head: Head, framing: Framing, length: int | None) -> None:
        self.head = head
        self.framing = framing
        self.length = length
        self.trailers = Fields()
        self.is_done = framing is Framing.LENGTH and not length
        self._link = link
        self._left = length or 0
        if self.is_done:
            link.release()

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises OriginError where it breaks off."""
        while not self.is_done:
            data = self._take()
            if data or self.is_done:
                return data
            await self._link.line.wait(self._link.target.idle_timeout)
            if self._link.line.is_ended and not self._link.line.backlog:
                self._ended()
        return b""

    def _take(self) -> bytes:
        line = self._link.line
        if self.framing is Framing.CHUNKED:
            return self._take_chunked()
        count = min(len(line.backlog), QUANTUM)
        if self.framing is Framing.LENGTH:
            count = min(count, self._left)
        data = bytes(memoryview(line.backlog)[:count])
        del line.backlog[:count]
        self._received(count)
        return data

    def _take_chunked(self) -> bytes:
        line, parser = self._link.line, self._link.parser
        try:
            if line.backlog:
                parser.receive_data(bytes(line.backlog))
                line.backlog.clear()
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            self.abandon()
            raise OriginMismatch(f"chunked body: {error}") from error
        if isinstance(event, h11.Data):
            self._link.count(len(event.data))
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self.trailers = _fields(event.headers)
            self.is_done = True
            self._link.release()
        return b""

    async def fill(self, target: memoryview, arrived: Arrived) -> int:
        """Receives the body into `target` until it is full or the body ends; how much came. Raises OriginError."""
        if self.framing is not Framing.LENGTH:
            return await self._fill_by_reading(target, arrived)
        target = target[: self._left]
        if not target:
            return 0
        got = await self._link.line.fill(target, arrived, self._link.target.idle_timeout)
        self._received(got)
        if got < len(target):
            self._ended()
        return got

    async def _fill_by_reading(self, target: memoryview, arrived: Arrived) -> int:
        got = 0
        while got < len(target):
            data = self._rest or await self.read()
            if not data:
                break
            count = min(len(data), len(target) - got)
            target[got : got + count] = data[:count]
            self._rest = data[count:]
            got += count
            arrived(count)
        return got

    _rest = b""

    def _received(self, count: int) -> None:
        self._link.count(count)
        if self.framing is Framing.LENGTH:
            self._left -= count
            if self._left == 0 and not self.is_done:
                self.is_done = True
                self._link.release()

    def _ended(self) -> None:
        """The connection has ended: the end of a body framed by that, a fault of any other."""
        self.abandon()
        if self.framing is not Framing.CLOSE or self._link.line.error is not None:
            raise OriginUnreachable("the origin ended the connection in the middle of the body")

    def abandon(self) -> None:
        """Gives up on what is left of the body, and on the connection."""
        self.is_done = True
        self._link.close()

    async def drain(self, most_bytes: int) -> None:
        """Reads a short rest so that the connection can be kept; a longer one is abandoned."""
        if self.is_done:
            return
        if self.length is None or self.length > most_bytes:
            self.abandon()
            return
        with suppress(OriginError):
            while await self.read():
                pass


class _Link:
    """One connection to an origin, and the request that it serves now."""

    def __init__(self, line: _Line, target: Target, pool: "list[_Link]") -> None:
        self.line = line
        self.target = target
        self.parser = h11.Connection(h11.CLIENT)
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
        self.parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
        # What goes out is written by hand; h11 learns only what it needs to read the answer.
        self.parser.send(h11.Request(method=method, target="/", headers=[("Host", "-")]))
        self.parser.send(h11.EndOfMessage())

    async def head(self, method: str, interim: Interim | None) -> Answer:
        """Reads the answer's head, relaying 1xx ones. Raises OriginError."""
        line = self.line
        while True:
            event = self._next_event()
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    raise OriginMismatch("the origin switched protocols unasked")
                if interim is not None:
                    await interim(event.status_code, _fields(event.headers))
            elif isinstance(event, h11.Response):
                return self._answer(method, event)
            elif line.is_ended and not line.backlog:
                raise OriginUnreachable("the origin ended the connection without an answer")
            else:
                await line.wait(self.target.head_timeout, since_sent=True)

    def _next_event(self) -> object:
        line = self.line
        try:
            if line.backlog:
                self.has_answered = True
                self.parser.receive_data(bytes(line.backlog))
                line.backlog.clear()
            return self.parser.next_event()
        except h11.RemoteProtocolError as error:
            raise OriginMismatch(f"the origin's answer is not HTTP/1.1: {error}") from error

    def _answer(self, method: str, event: h11.Response) -> Answer:
        fields = _fields(event.headers)
        head = Head(event.status_code, fields, bytes(event.reason).decode("latin-1"))
        options = (fields.get("connection") or "").lower()
        old = bytes(event.http_version) < b"1.1"
        self._keeps_alive = "close" not in options and (not old or "keep-alive" in options)
        framing, length = _framing(method, head)
        if framing is not Framing.CHUNKED:
            rest, _ = self.parser.trailing_data
            self.line.backlog[:0] = rest
        if framing is Framing.CLOSE:
            self._keeps_alive = False
        return Answer(self, head, framing, length)

    def release(self) -> None:
        """The answer is read: keeps the connection for the next request, if that is possible."""
        rest = self.parser.trailing_data[0] if self.parser.their_state is h11.DONE else b""
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


class Call:
    """One request on its way: its head is sent, its body may follow while the answer is awaited."""

    def __init__(self, link: _Link, method: str) -> None:
        self._link = link
        self._method = method

    async def send(self, data: bytes) -> None:
        """Sends some of the request's body, framed by the caller. Raises OriginUnreachable."""
        if self._link.line.is_ended:
            raise OriginUnreachable("the origin ended the connection while the request was sent")
        self._link.transport.write(data)
        await self._link.line.drain()
        self._link.line.last_sent = asyncio.get_running_loop().time()

    async def finish(self, data: bytes) -> None:
        """Sends the last of the request's body. Raises OriginUnreachable."""
        self._link.is_sent = True
        await self.send(data)

    @property
    def may_repeat(self) -> bool:
        """Whether the request went out on a kept connection that ended without a byte of answer."""
        return self._link.is_reused and not self._link.has_answered

    async def answer(self, interim: Interim | None = None) -> Answer:
        """The answer's head. Raises OriginError; the connection is gone then."""
        try:
            return await self._link.head(self._method, interim)
        except BaseException:
            self._link.close()
            raise

    def abandon(self) -> None:
        """Gives up the request."""
        self._link.close()


class Origins:
    """Connections to all origins, kept per target."""

    def __init__(
        self, contexts: Mapping[Path | None, ssl.SSLContext], metrics: Metrics, is_own: Callable[[str, int, str], bool]
    ) -> None:
        self._contexts = contexts
        self._metrics = metrics
        self._is_own = is_own
        self._pools: dict[Target, list[_Link]] = {}

    async def fetch(self, route: Route, method: str, head: bytes, interim: Interim | None = None) -> Answer:
        """Sends a request without a body and reads the answer's head. Raises OriginError.

        A kept connection may have ended unseen: a request that no byte of answer followed is sent once more on a new
        one. One that may not be sent twice (RFC 9110 9.2.2) goes out on a new one at once.
        """
        with self.answering(route):
            call = await self.call(route, method, head, new=method not in _IDEMPOTENT)
            try:
                answer = await call.answer(interim)
            except OriginUnreachable:
                if not call.may_repeat:
                    raise
                answer = await (await self.call(route, method, head, new=True)).answer(interim)
        self._metrics.count("origin_requests", route.name, str(answer.head.status))
        return answer

    @contextmanager
    def answering(self, route: Route) -> Iterator[None]:
        """Within it, an error says whose it is, and counts as a request without an answer."""
        try:
            yield
        except OriginError as error:
            self._metrics.count("origin_requests", route.name, "0")
            raise type(error)(f"origin {route.name}: {error}") from error

    async def call(self, route: Route, method: str, head: bytes, *, new: bool = False, has_body: bool = False) -> Call:
        """Sends a request's head on a kept connection, or on a `new` one; a body needs one. Raises OriginError."""
        pool = self._pools.setdefault(route.target, [])
        link = None if new or has_body else self._kept(pool)
        if link is None:
            link = _Link(await self._connect(route.target), route.target, pool)
        received = route.name
        link.begin(method, lambda count: self._metrics.count("origin_bytes", received, by=count), has_body=has_body)
        link.transport.write(head)
        return Call(link, method)

    def _kept(self, pool: list[_Link]) -> _Link | None:
        while pool:
            link = pool.pop()
            if not link.line.is_ended and not link.line.backlog:
                return link
            link.close()
        return None

    async def splice(self, route: Route) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A plain TCP connection to the origin, for bytes that Nezha does not read. Raises OriginError."""
        transport = (await self._connect(route.target, is_raw=True)).transport
        assert transport is not None
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())

    async def _connect(self, target: Target, *, is_raw: bool = False) -> _Line:
        context = self._contexts[target.ca_file] if target.scheme == "https" and not is_raw else None
        with _translated(target):
            async with asyncio.timeout(target.connect_timeout):
                if target.proxy is not None:
                    return await self._connect_by_proxy(target, context)
                loop = asyncio.get_running_loop()
                transport, line = await loop.create_connection(
                    _Line, target.host, target.port, ssl=context, server_hostname=target.host if context else None
                )
        self._refuse_own(transport, target)
        return line

    def _refuse_own(self, transport: asyncio.BaseTransport, target: Target) -> None:
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer and own and self._is_own(peer[0], peer[1], own[0]):
            transport_of(transport).abort()
            raise OriginUnreachable(
                f"{target.host}:{target.port} is Nezha's own address: set `connect` to the real origin"
            )

    async def _connect_by_proxy(self, target: Target, context: ssl.SSLContext | None) -> _Line:
        """A tunnel through the egress proxy (RFC 9110 9.3.6), for plain origins too."""
        url = urlsplit(target.proxy or "")
        loop = asyncio.get_running_loop()
        transport, line = await loop.create_connection(_Line, url.hostname or "", url.port or 3128)
        authority = f"{target.host}:{target.port}"
        try:
            transport.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("latin-1"))
            while b"\r\n\r\n" not in line.backlog:
                if line.is_ended or len(line.backlog) > _HEAD_MAX:
                    raise OriginUnreachable("the egress proxy gave no answer")
                await line.wait(target.connect_timeout)
            status = bytes(line.backlog).split(b" ", 2)[1:2]
            if status != [b"200"]:
                raise OriginUnreachable(f"the egress proxy refused {authority}: {b''.join(status).decode('latin-1')}")
            line.backlog.clear()
            if context is not None:
                line.transport = await loop.start_tls(transport, line, context, server_hostname=target.host)
        except BaseException:
            transport.abort()
            raise
        return line

    async def close(self) -> None:
        """Ends every kept connection."""
        for pool in self._pools.values():
            for link in list(pool):
                link.close()
        await asyncio.sleep(0)  # lets the transports end


class _translated:  # reads as what it is: a context manager
    """Library errors become OriginError here, once."""

    def __init__(self, target: Target) -> None:
        self._where = f"{target.host}:{target.port}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError):
            raise OriginTimeout(f"{self._where}: no connection in time") from error
        if isinstance(error, ssl.SSLError | ssl.CertificateError):
            raise OriginUnreachable(f"{self._where}: TLS: {error}") from error
        if isinstance(error, OSError):
            raise OriginUnreachable(f"{self._where}: {error.strerror or error}") from error
