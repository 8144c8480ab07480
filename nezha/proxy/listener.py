"""The cache port: accepts, tells TLS from plain by the first byte, and serves each connection in its own task.

first byte 0x16? -- no --> Connection ------------------------------------> http1
                 \\- yes -> ClientHello -> name unknown: alert
                                        -> only h2 (gRPC): spliced to the origin, unread
                                        -> leaf of the name -> TlsConnection -> http1
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from nezha import log
from nezha.errors import NezhaError, RequestError
from nezha.metrics import Metrics
from nezha.model import Fields
from nezha.pki.leaves import Leaves
from nezha.proxy.connection import Connection, transport_of
from nezha.proxy.heads import format_head
from nezha.proxy.hello import HANDSHAKE, HELLO_MAX, UNRECOGNIZED_NAME, BadHello, Hello, read_hello
from nezha.proxy.http1 import Exchange, read_request
from nezha.proxy.pump import Pump
from nezha.proxy.tls import TlsConnection
from nezha.tasks import Tasks

HEAD_SECONDS = 30.0  # for a hello, a handshake, or a head that has begun
IDLE_SECONDS = 75.0  # between requests
_SWEEP_SECONDS = 5.0
C = TypeVar("C", bound=Connection)
Handle = Callable[[Exchange], Awaitable[None]]
Splice = Callable[[Connection, str], Awaitable[None]]


class _Sniff(asyncio.Protocol):
    """A connection whose kind is not known yet."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport_of(transport)
        if not self._listener.admit(self._transport):
            self._transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._giving_up = loop.call_later(HEAD_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._data += data
        assert self._transport is not None
        if self._data[0] != HANDSHAKE:
            self._hand_over(None)
            return
        try:
            hello = read_hello(bytes(self._data))
        except BadHello:
            self._transport.abort()
            return
        if hello is not None:
            self._hand_over(hello)
        elif len(self._data) > HELLO_MAX:
            self._transport.abort()

    def _hand_over(self, hello: Hello | None) -> None:
        assert self._transport is not None
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._listener.accept(self._transport, hello, bytes(self._data))

    def connection_lost(self, error: Exception | None) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._transport is not None:
            self._listener.forget(self._transport)


class Listener:
    """The open port and its connections."""

    def __init__(
        self, leaves: Leaves, pump: Pump, handle: Handle, splice: Splice, metrics: Metrics, limit: int
    ) -> None:
        self._leaves = leaves
        self._pump = pump
        self._handle = handle
        self._splice = splice
        self._limit = limit
        self._server: asyncio.Server | None = None
        self._strangers: set[asyncio.Transport] = set()  # whose kind is not known yet
        self._connections: set[Connection] = set()
        self._tasks = Tasks()
        self._is_draining = False
        metrics.watch("connections", lambda: len(self._connections), "cache")

    async def open(self, host: str, port: int) -> int:
        """Opens the port; gives its number. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Sniff(self), host, port, backlog=1024)
        self._tasks.start(self._sweep(), "connection-sweep")
        port = self._server.sockets[0].getsockname()[1]
        return int(port)

    def admit(self, transport: asyncio.Transport) -> bool:
        """Whether one more connection is looked at; past twice the limit not even a 503 is said."""
        if len(self._connections) + len(self._strangers) >= 2 * self._limit:
            return False
        self._strangers.add(transport)
        return True

    def forget(self, transport: asyncio.Transport) -> None:
        """A connection has ended before its kind was known."""
        self._strangers.discard(transport)

    def accept(self, transport: asyncio.Transport, hello: Hello | None, data: bytes) -> None:
        """Takes over a connection whose kind is known; `data` came already."""
        peer = transport.get_extra_info("peername")
        client = str(peer[0]) if peer else ""
        handle = transport.get_extra_info("socket")
        if handle is not None and handle.family != getattr(socket, "AF_UNIX", None):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hello is None:
            self._take(Connection(transport, client=client), data, self._serve)
        elif hello.wants_only_h2:
            name = hello.sni or ""
            self._take(Connection(transport, client=client), data, lambda raw: self._splice(raw, name))
        elif (context := self._leaves.peek(hello.sni)) is not None:
            self._take(TlsConnection(transport, context, client=client, sni=hello.sni), data, self._serve_tls)
        else:
            transport.pause_reading()
            self._tasks.start(self._mint(transport, hello.sni, client, data), "mint")

    async def _mint(self, transport: asyncio.Transport, sni: str | None, client: str, data: bytes) -> None:
        try:
            context = await self._leaves.context(sni)
        except BaseException:
            transport.abort()
            raise
        if transport.is_closing():
            return
        if context is None:
            transport.write(UNRECOGNIZED_NAME)
            transport.close()
            return
        transport.resume_reading()
        self._take(TlsConnection(transport, context, client=client, sni=sni), data, self._serve_tls)

    def _take(self, connection: C, data: bytes, serve: Callable[[C], Awaitable[None]]) -> None:
        connection.transport.set_protocol(connection)
        self._strangers.discard(connection.transport)
        connection.is_surplus = len(self._connections) >= self._limit
        self._connections.add(connection)
        self._tasks.start(self._own(connection, serve), "connection")
        connection.data_received(data)

    async def _own(self, connection: C, serve: Callable[[C], Awaitable[None]]) -> None:
        connection.on_lost = asyncio.current_task()
        try:
            await serve(connection)
            await connection.end()
        except ConnectionError:
            pass  # the client left: the log line of its request says so
        finally:
            connection.on_lost = None
            if not connection.is_ending:
                connection.abort()  # an answer that was not finished must not look whole
            self._connections.discard(connection)

    async def _serve_tls(self, connection: TlsConnection) -> None:
        connection.deadline = asyncio.get_running_loop().time() + HEAD_SECONDS
        await connection.handshake()
        await self._serve(connection)

    async def _serve(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        keeps_alive = True
        while keeps_alive:
            wait = HEAD_SECONDS if connection.inbox else IDLE_SECONDS
            connection.deadline = loop.time() + wait
            try:
                request = await read_request(connection)
            except RequestError as error:
                await self._refuse(connection, error)
                return
            if request is None:
                return
            connection.deadline = None
            exchange = Exchange(connection, self._pump, request)
            if connection.is_surplus:
                exchange.keeps_alive = False
                said = ("Cache-Status", "nezha; detail=connections")
                await exchange.answer(503, "too many connections\n", ("Retry-After", "1"), said)
            else:
                exchange.keeps_alive = exchange.keeps_alive and not self._is_draining
                await self._handle(exchange)
            connection.lingers = not exchange.body.is_done
            keeps_alive = exchange.keeps_alive and not self._is_draining

    async def _refuse(self, connection: Connection, error: NezhaError) -> None:
        """Answers a head that cannot be understood; where it ended is unknown, so the connection ends."""
        connection.lingers = True
        log.event("bad_request", client=connection.client, status=error.status, message=str(error))
        body = f"{error}\n".encode()
        fields = Fields(
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Cache-Status", f"nezha; detail={error.word}"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
        )
        connection.write(format_head(error.status, "", fields) + body)
        await connection.drain()

    async def _sweep(self) -> None:
        """Ends connections whose client lets Nezha wait for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for connection in [each for each in self._connections if each.deadline and each.deadline < now]:
                if connection.inbox or connection.is_ending or not connection.has_sent_all:
                    connection.abort()
                else:
                    connection.close()

    async def drain(self, seconds: float) -> None:
        """Lets running responses end for as long as allowed, then ends the rest.

        While there are any the port stays open, so that whoever has not heard yet is answered, once a connection;
        readiness says no meanwhile.
        """
        self._is_draining = True
        for connection in list(self._connections):
            if connection.deadline is not None:  # between two requests
                connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while running := {each.on_lost for each in self._connections if each.on_lost and each.deadline is None}:
                    await asyncio.wait(running)
        if self._server is not None:
            self._server.close()
        for stranger in list(self._strangers):
            stranger.abort()
        for connection in list(self._connections):
            connection.abort()
        await self._tasks.cancel()
