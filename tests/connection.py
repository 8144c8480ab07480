"""One connection of the scripted origin: reads requests, asks the origin what to say, lets the sender say it."""

import asyncio
import contextlib
import json
import socket
import ssl
from typing import TYPE_CHECKING

from tests.faults import Fault, Sender
from tests.objects import plain
from tests.wire import (
    HEAD_LIMIT,
    Malformed,
    Received,
    body_framing,
    parse_head,
    read_chunked,
    read_head,
    read_sized,
)

if TYPE_CHECKING:
    from tests.origin import Answer, Origin

LINGER_SECONDS = 2.0


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells at once when the peer has ended, even while nobody reads."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.has_left = False
        self.lost = asyncio.Event()
        self.answering: asyncio.Task[None] | None = None

    def eof_received(self) -> bool | None:
        self._left()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        self.lost.set()
        super().connection_lost(exc)

    def _left(self) -> None:
        self.has_left = True
        if self.answering is not None:
            self.answering.cancel()


class Connection:
    """Runs until the client ends, an answer ends the connection, or the task is cancelled."""

    def __init__(self, origin: "Origin", number: int) -> None:
        self._origin = origin
        self._number = number
        self._reader = asyncio.StreamReader(limit=HEAD_LIMIT)
        self._protocol = _Protocol(self._reader)

    async def run(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serves the connection; raises only what is an error of the origin or of a script."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: self._protocol, accepted, ssl=tls)
        except OSError:  # the handshake failed: a client that does not trust us
            return
        self._writer = asyncio.StreamWriter(transport, self._protocol, self._reader, loop)
        self._sender = Sender(self._writer, self._origin.count_bytes, self._origin.count_held)
        try:
            await self._serve()
            self._writer.close()
            await self._protocol.lost.wait()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client went away
        finally:
            transport.abort()
            await self._protocol.lost.wait()

    async def _serve(self) -> None:
        try:
            while (request := await self._receive_head()) is not None:
                if not await self._answer(request):
                    return
        except Malformed as error:
            self._origin.malformed.append(str(error))
            await self._sender.send(plain(400), Fault(), method="", version="HTTP/1.1", keeps_alive=False)
            await self._linger()

    async def _receive_head(self) -> Received | None:
        raw = await read_head(self._reader)
        if not raw:
            return None
        (method, target, version), headers = parse_head(raw)
        at = asyncio.get_running_loop().time()
        if target == self._origin.stats_path:
            return Received(method, target, version, headers, raw, 0, self._number, at)
        sequence = self._origin.next_sequence()
        request = Received(method, target, version, headers, raw, sequence, self._number, at)
        self._origin.record(request)
        return request

    async def _answer(self, request: Received) -> bool:
        """Answers one request; True where the connection may carry another."""
        if request.sequence == 0:
            return self._answer_stats()
        fault = self._origin.choose_fault(request)
        refused = self._origin.refusal(request)
        if await self._receive_body(request, fault, refused):
            return await self._final(request, fault, refused, keeps_alive=request.keeps_alive)
        if refused is None and request.header("expect") is not None:
            refused = fault.refuse_expect
        await self._final(request, fault, refused, keeps_alive=False)
        await self._linger()
        return False

    async def _receive_body(self, request: Received, fault: Fault, refused: int | None) -> bool:
        """Reads the body, after 100 where it is expected; False where it is left unread."""
        framing, size = body_framing(request.headers)
        if fault.is_early and framing != "none":
            return False
        if (request.header("expect") or "").lower() == "100-continue":
            if fault.refuse_expect is not None or refused is not None:
                return False
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        if framing == "chunked":
            await read_chunked(self._reader, body)
        else:
            await read_sized(self._reader, size, body)
        request.body, request.is_complete = bytes(body), True
        return True

    async def _final(self, request: Received, fault: Fault, refused: int | None, *, keeps_alive: bool) -> bool:
        scripted = self._origin.next_scripted(request) if refused is None else None
        try:
            if scripted is not None:
                return await self._play(scripted, request) and keeps_alive
            self._protocol.answering = asyncio.current_task()
            if self._protocol.has_left:
                return False
            reply = self._origin.reply(request, fault) if refused is None else plain(refused)
            return await self._sender.send(
                reply, fault, method=request.method, version=request.version, keeps_alive=keeps_alive
            )
        finally:
            self._protocol.answering = None
            self._origin.answer_ended()

    async def _play(self, scripted: "Answer", request: Received) -> bool:
        if isinstance(scripted, bytes):
            self._writer.write(scripted)
            await self._writer.drain()
            return b"\r\nconnection: close\r\n" not in scripted.lower()
        await scripted(self._reader, self._writer, request)
        return not self._writer.is_closing()

    def _answer_stats(self) -> bool:
        body = json.dumps(self._origin.stats()).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._writer.write(head + body)
        return True

    async def _linger(self) -> None:
        """Reads on for a while: to close over unread bytes sends RST, which can destroy the answer on its way."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(1 << 16):
                    pass
