"""The cache port: accepts, tells TLS from plain by the first byte, and serves each connection in its own task.

first byte 0x16? -- no --> Connection ------------------------------------> http1
                 \\- yes -> ClientHello -> name unknown: alert
                                        -> only h2 (gRPC): spliced to the origin, unread
                                        -> leaf of the name -> TlsConnection -> http1
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from nezha import log
from nezha.errors import NezhaError, RequestError
from nezha.metrics import Metrics
from nezha.model import Fields
from nezha.pki.leaves import Leaves
from nezha.proxy.arrivals import HEAD_SECONDS, Arrivals
from nezha.proxy.connection import Connection
from nezha.proxy.heads import format_head
from nezha.proxy.hello import HELLO_MAX, UNRECOGNIZED_NAME, Hello
from nezha.proxy.http1 import Exchange, read_request
from nezha.proxy.pump import Pump
from nezha.proxy.tls import TlsConnection, TlsTransport
from nezha.tasks import Tasks

IDLE_SECONDS = 75.0  # between requests
_SWEEP_SECONDS = 5.0
C = TypeVar("C", bound=Connection)
Handle = Callable[[Exchange], Awaitable[None]]
Splice = Callable[[Connection, str], Awaitable[None]]


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
        self._arrivals = Arrivals(self._admits, self._arrive)
        self._connections: set[Connection] = set()
        self._tasks = Tasks()
        self._is_draining = False
        metrics.watch("connections", lambda: len(self._connections), "cache")

    async def open(self, host: str, port: int) -> int:
        """Opens the port; gives its number. Raises OSError."""
        opened = await self._arrivals.open(host, port)
        self._tasks.start(self._sweep(), "connection-sweep")
        return opened

    def _admits(self) -> bool:
        """Whether one more connection is looked at; past twice the limit not even a 503 is said."""
        return len(self._connections) + len(self._arrivals) < 2 * self._limit

    def _arrive(self, handle: socket.socket, client: str, hello: Hello | None) -> None:
        """Takes over a connection whose kind is known."""
        if hello is None:
            self._tasks.start(self._take_plain(handle, client, self._serve), "plain")
        elif hello.wants_only_h2:
            name = hello.sni or ""
            self._tasks.start(self._take_plain(handle, client, lambda raw: self._splice(raw, name)), "h2")
        elif (context := self._leaves.peek(hello.sni)) is not None:
            self._take_tls(handle, client, hello.sni, context)
        else:
            self._tasks.start(self._mint(handle, client, hello.sni), "mint")

    async def _take_plain(
        self, handle: socket.socket, client: str, serve: Callable[[Connection], Awaitable[None]]
    ) -> None:
        connection = Connection(client=client)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, handle)
        except BaseException:
            handle.close()
            raise
        self._start(connection, serve)

    def _take_tls(self, handle: socket.socket, client: str, sni: str | None, context: ssl.SSLContext) -> None:
        connection = TlsConnection(client=client, sni=sni)
        try:
            TlsTransport(handle, context, connection)
        except OSError:  # the client has left
            handle.close()
            return
        self._start(connection, self._serve_tls)

    async def _mint(self, handle: socket.socket, client: str, sni: str | None) -> None:
        try:
            context = await self._leaves.context(sni)
        except BaseException:
            handle.close()
            raise
        if context is not None:
            self._take_tls(handle, client, sni, context)
            return
        with handle, suppress(OSError):
            handle.recv(HELLO_MAX)  # to close over unread bytes sends RST, which destroys the alert
            handle.send(UNRECOGNIZED_NAME)

    def _start(self, connection: C, serve: Callable[[C], Awaitable[None]]) -> None:
        connection.is_surplus = len(self._connections) >= self._limit
        self._connections.add(connection)
        self._tasks.start(self._own(connection, serve), "connection")

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
        self._arrivals.close()
        for connection in list(self._connections):
            connection.abort()
        await self._tasks.cancel()
