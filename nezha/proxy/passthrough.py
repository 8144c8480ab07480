"""What is not served from the store: streamed both ways, untouched, nothing kept."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate

from nezha.errors import OriginError, RequestError
from nezha.metrics import Metrics
from nezha.model import Fields, Head
from nezha.proxy.answer import Answer, Call
from nezha.proxy.connection import Connection
from nezha.proxy.hello import UNRECOGNIZED_NAME
from nezha.proxy.http1 import Exchange
from nezha.proxy.origin import Origins
from nezha.proxy.outgoing import request_head
from nezha.routes import Route, Routes
from nezha.semantics.headers import end_to_end
from nezha.tasks import Tasks

Step = Callable[[Head], Awaitable[None]]
_SPLICE_BYTES = 256 << 10


async def nothing(head: Head) -> None:
    """The step that is none."""


class Passthrough:
    """Forwards."""

    def __init__(self, origins: Origins, metrics: Metrics) -> None:
        self._origins = origins
        self._metrics = metrics

    async def forward(self, exchange: Exchange, route: Route, cache_status: str, settle: Step = nothing) -> None:
        """Sends a request as it came, with its body, and relays the answer. Raises OriginError, RequestError.

        What the answer says has happened is no news to the client before `settle` is done, which gets its head.
        """
        request = exchange.request
        head = request_head(request, route)
        if not request.has_body:
            answer = await self._origins.fetch(route, request.method, head, exchange.interim)
            await self.relay(exchange, route, answer, cache_status, settle)
            return
        tasks = Tasks()
        try:
            with self._origins.answering(route, head) as answered:
                call = await self._origins.call(route, request.method, head, has_body=True)
                sending = tasks.start_for(self._send_body(exchange, call), "request-body")
                # The origin may answer before the body has come to its end, or refuse it (Expect).
                answer = await self._answer(exchange, call, sending)
                answered(answer.head.status)
            if not exchange.body.is_done:
                exchange.keeps_alive = False  # nobody will have read the rest of it
            await self.relay(exchange, route, answer, cache_status, settle)
        finally:
            await tasks.cancel()

    async def _answer(self, exchange: Exchange, call: Call, sending: "asyncio.Task[RequestError | None]") -> Answer:
        try:
            return await call.answer(exchange.interim)
        except OriginError:
            if sending.done() and (error := sending.result()) is not None:
                raise error from None  # it was the client
            raise

    async def _send_body(self, exchange: Exchange, call: Call) -> RequestError | None:
        """Relays the request's body as it comes; what is wrong with it where it breaks off."""
        request = exchange.request
        try:
            while data := await exchange.body.read():
                await call.send(b"%x\r\n%b\r\n" % (len(data), data) if request.chunked else data)
            tail = "".join(f"{name}: {value}\r\n" for name, value in end_to_end(exchange.body.trailers))
            await call.finish(f"0\r\n{tail}\r\n".encode("latin-1") if request.chunked else b"")
        except RequestError as error:
            call.abandon()  # the origin must not take it for whole
            return error
        except OriginError:
            pass  # its answer, or the lack of one, says why
        return None

    async def relay(
        self, exchange: Exchange, route: Route, answer: Answer, cache_status: str, settle: Step = nothing
    ) -> None:
        """Streams an origin's answer to the client as it comes."""
        try:
            await settle(answer.head)
            fields = end_to_end(answer.head.fields).without({"cache-status"})
            items = [*fields, ("Cache-Status", cache_status)]
            if not route.dialect.is_object_store and "date" not in fields:
                items.append(("Date", formatdate(usegmt=True)))  # RFC 9110 6.6.1
            # Where no body follows, Content-Length speaks of one that would: it is left as it is.
            has_no_body = exchange.request.method == "HEAD" or answer.head.status in {204, 304}
            length = None if has_no_body else answer.length
            exchange.start(answer.head.status, Fields(items), length=length, reason=answer.head.reason)
            while data := await answer.read():
                await exchange.write(data)
                self._metrics.count("response_bytes", route.name, "origin", by=len(data))
            if answer.length is None:
                # S3 completes an upload in the middle of its answer: spaces until it is done, then how it went.
                await settle(answer.head)
            await exchange.end(end_to_end(answer.trailers))
        finally:
            if not answer.is_done:
                answer.abandon()


class Splicer:
    """Joins a client that cannot speak HTTP/1.1 (gRPC) with its origin, TLS and all, unread."""

    def __init__(self, routes: Routes, origins: Origins, metrics: Metrics) -> None:
        self._routes = routes
        self._origins = origins
        self._metrics = metrics

    async def splice(self, connection: Connection, name: str) -> None:
        """Copies bytes both ways until both have ended."""
        route = self._routes.find(name)
        if route is None or route.target.scheme != "https":
            connection.write(UNRECOGNIZED_NAME)
            return
        self._metrics.count("requests", route.name, "pass")
        self._metrics.count("reasons", route.name, "pass", "splice")
        try:
            reader, writer = await self._origins.splice(route)
        except OriginError:
            connection.abort()
            return
        outward = Tasks()
        outward.start(self._outward(connection, writer), "splice")
        try:
            while data := await reader.read(_SPLICE_BYTES):
                connection.write(data)
                await connection.drain()
        except OSError:
            connection.abort()
        finally:
            await outward.cancel()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _outward(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while connection.inbox or await connection.more():
                writer.write(connection.consume(len(connection.inbox)))
                await writer.drain()
            writer.write_eof()
