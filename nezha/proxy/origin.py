"""Our own HTTP/1.1 client toward origins: bytes out as they came in, bodies straight into fill buffers.

    Origins (pools, retries, connecting) -- Call -- Answer    `answer`: one request, its body as it is read
                                            Link              `link`: one connection, one request after another
                                            Line              `line`: its bytes

Requests are written by hand, because every line of one may be signed; h11 reads the answers.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nezha.errors import OriginError, OriginTimeout, OriginUnreachable
from nezha.metrics import Metrics
from nezha.proxy.answer import Answer, Call
from nezha.proxy.connection import transport_of
from nezha.proxy.line import Line
from nezha.proxy.link import Interim, Link
from nezha.routes import Route, Target

if TYPE_CHECKING:
    from nezha.tracing import Tracing

_PROXY_HEAD_MAX = 128 << 10
_IDEMPOTENT = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"})


class Origins:
    """Connections to all origins, kept per target. Without `tracing`, requests are not traced."""

    def __init__(
        self,
        contexts: Mapping[Path | None, ssl.SSLContext],
        metrics: Metrics,
        is_own: Callable[[str, int, str], bool],
        tracing: "Tracing | None",
    ) -> None:
        self._contexts = contexts
        self._metrics = metrics
        self._is_own = is_own
        self._tracing = tracing
        self._pools: dict[Target, list[Link]] = {}

    async def fetch(self, route: Route, method: str, head: bytes, interim: Interim | None = None) -> Answer:
        """Sends a request without a body and reads the answer's head. Raises OriginError.

        A kept connection may have ended unseen: a request that no byte of answer followed is sent once more on a new
        one. One that may not be sent twice (RFC 9110 9.2.2) goes out on a new one at once.
        """
        with self.answering(route, head) as answered:
            call = await self.call(route, method, head, new=method not in _IDEMPOTENT)
            try:
                answer = await call.answer(interim)
            except OriginUnreachable:
                if not call.may_repeat:
                    raise
                answer = await (await self.call(route, method, head, new=True)).answer(interim)
            answered(answer.head.status)
        return answer

    @contextmanager
    def answering(self, route: Route, head: bytes) -> Iterator[Callable[[int], None]]:
        """A request to an origin, from its head to the answer's, whose status it gives a function to be told.

        Within it, an error says whose it is, and counts as a request without an answer.
        """
        span = None if self._tracing is None else self._tracing.ask(route, head)
        status, word = 0, ""

        def answered(code: int) -> None:
            nonlocal status
            status = code
            self._metrics.count("origin_requests", route.name, str(code))

        try:
            yield answered
        except OriginError as error:
            word = error.word
            self._metrics.count("origin_requests", route.name, "0")
            raise type(error)(f"origin {route.name}: {error}") from error
        finally:
            if span is not None:
                span.end(status, word)

    async def call(self, route: Route, method: str, head: bytes, *, new: bool = False, has_body: bool = False) -> Call:
        """Sends a request's head on a kept connection, or on a `new` one; a body needs one. Raises OriginError."""
        pool = self._pools.setdefault(route.target, [])
        link = None if new or has_body else self._kept(pool)
        if link is None:
            link = Link(await self._connect(route.target), route.target, pool)
        received = route.name
        link.begin(method, lambda count: self._metrics.count("origin_bytes", received, by=count), has_body=has_body)
        link.transport.write(head)
        return Call(link, method)

    def _kept(self, pool: list[Link]) -> Link | None:
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

    async def _connect(self, target: Target, *, is_raw: bool = False) -> Line:
        context = self._contexts[target.ca_file] if target.scheme == "https" and not is_raw else None
        with _translated(target):
            async with asyncio.timeout(target.connect_timeout):
                if target.proxy is not None:
                    return await self._connect_by_proxy(target, context)
                loop = asyncio.get_running_loop()
                transport, line = await loop.create_connection(
                    Line, target.host, target.port, ssl=context, server_hostname=target.host if context else None
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

    async def _connect_by_proxy(self, target: Target, context: ssl.SSLContext | None) -> Line:
        """A tunnel through the egress proxy (RFC 9110 9.3.6), for plain origins too."""
        url = urlsplit(target.proxy or "")
        loop = asyncio.get_running_loop()
        transport, line = await loop.create_connection(Line, url.hostname or "", url.port or 3128)
        authority = f"{target.host}:{target.port}"
        try:
            transport.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("latin-1"))
            while b"\r\n\r\n" not in line.backlog:
                if line.is_ended or len(line.backlog) > _PROXY_HEAD_MAX:
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
