"""One connection to a client, plain or TLS (`tls`), behind one interface.

    socket -- transport: asyncio's or uvloop's, or that of `tls` -- Connection (inbox, write, drain) -- http1
        \\-- Wire: the pump's way to the same socket, from its threads

While the pump has the wire, nothing else reads or writes: reading is paused and the transport's buffer is empty.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

from nezha.proxy.wire import PlainWire, Wire, progress, queued_bytes

_INBOX_HIGH = 256 << 10


class Connection(asyncio.Protocol):
    """A plain connection. `inbox` holds what came and was not consumed yet; it is bounded by pausing."""

    stall_seconds = 60.0  # a client that takes no byte for so long is gone
    linger_seconds = 5.0  # how long a client may take to see that nobody reads on

    transport: asyncio.Transport

    def __init__(self, *, client: str) -> None:
        self.client = client
        self.sni: str | None = None
        self.inbox = bytearray()
        self.is_closed = False
        self.deadline: float | None = None  # loop time at which `listener` gives up on it
        self._at_eof = False
        self._is_reading = True
        self._has_wire = False
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_deaf = False
        self.is_surplus = False  # one more than `listener` serves
        self.lingers = False  # the client may still be sending what nobody will read
        self.on_lost: asyncio.Task[None] | None = None  # cancelled when the client is gone

    @property
    def is_tls(self) -> bool:
        """Whether the client's bytes are encrypted."""
        return False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport_of(transport)

    # -- inbound

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self.inbox += data
        if len(self.inbox) > _INBOX_HIGH:
            self._read(False)
        self._wake()

    def eof_received(self) -> bool:
        self._at_eof = True
        self._wake()
        return True  # a client that has only ended its half still gets its answer

    async def more(self) -> bool:
        """Waits until more stands in the inbox; False where the client has ended its half."""
        if self.is_closed or self._at_eof:
            return False
        before = len(self.inbox)
        self._read(True)
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None
        return len(self.inbox) > before

    def consume(self, count: int) -> bytes:
        """Takes `count` bytes out of the inbox."""
        taken = bytes(memoryview(self.inbox)[:count])
        del self.inbox[:count]
        if len(self.inbox) <= _INBOX_HIGH:
            self._read(True)
        return taken

    def _read(self, on: bool) -> None:
        if on is self._is_reading or self._has_wire or self.is_ending:
            return
        self._is_reading = on
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # -- outbound

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queues bytes; `drain` bounds the queue. The bytes may be reused once this returns: pass a copy."""
        if not self.is_ending:
            self.transport.write(data)

    @property
    def has_room(self) -> bool:
        """Whether `drain` would return at once."""
        return not self._is_full

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def drain(self) -> None:
        """Waits while the queue is above its mark. Raises ConnectionResetError where the client is gone, or stalls."""
        if self.is_closed:
            raise ConnectionResetError("the client is gone")
        if self._is_full:
            self._room = asyncio.get_running_loop().create_future()
            await progress(self._room, self._unsent_bytes, self.stall_seconds)

    def _unsent_bytes(self) -> int:
        handle = self.transport.get_extra_info("socket")
        if self.is_closed or handle is None or handle.fileno() < 0:
            return 0
        return self.transport.get_write_buffer_size() + queued_bytes(handle.fileno())

    async def flush(self) -> None:
        """Waits until the transport holds nothing. Raises ConnectionResetError."""
        if self.is_ending:
            return
        self.transport.set_write_buffer_limits(high=0)
        try:
            while self.transport.get_write_buffer_size():
                self._is_full = True
                await self.drain()
        finally:
            if not self.is_ending:
                self.transport.set_write_buffer_limits()

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """The socket for the pump alone: reading off, queue empty. Raises ConnectionResetError."""
        self._read(False)
        await self.flush()
        handle = self.transport.get_extra_info("socket")
        if self.is_ending or handle is None or handle.fileno() < 0:
            raise ConnectionResetError("the client is gone")
        wire = self._make_wire(handle.fileno())
        self._has_wire = True
        try:
            yield wire
        finally:
            self._has_wire = False
            wire.close()
            self._read(True)

    def _make_wire(self, fd: int) -> Wire:
        return PlainWire(fd)

    # -- end

    @property
    def is_ending(self) -> bool:
        """Whether the connection has ended, or will without anybody's doing."""
        return self.is_closed or self.transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Whether it is between two requests."""
        return self.deadline is not None and not self.inbox

    @property
    def has_sent_all(self) -> bool:
        """Whether nothing waits to be taken by the client's kernel."""
        return self.is_ending or not self.transport.get_write_buffer_size()

    async def end(self) -> None:
        """Ends the connection once the client has taken what was written. Raises ConnectionResetError.

        A client that may still be sending is listened to for a while: to close over unread bytes sends RST, which
        destroys an answer on its way.
        """
        await self.flush()
        if (self.lingers or self.inbox) and not self.is_ending:
            self._is_deaf = True
            self.inbox.clear()
            self.transport.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.linger_seconds):
                    while await self.more():
                        pass
        self.close()

    def close(self) -> None:
        """Ends the connection; what was written may still be sent."""
        if not self.is_closed:
            self.transport.close()

    def abort(self) -> None:
        """Ends the connection at once: the client sees that its answer was cut."""
        if self.is_closed:
            return
        if not self.transport.is_closing():
            _reset_on_close(self.transport)
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        self._wake()
        if self._room is not None and not self._room.done():
            self._room.set_exception(ConnectionResetError("the client is gone"))
        if self.on_lost is not None:
            self.on_lost.cancel()


def _reset_on_close(transport: asyncio.Transport) -> None:
    handle = transport.get_extra_info("socket")
    if handle is not None and handle.fileno() >= 0:
        # RST instead of FIN: a response framed by close must not look complete when it was cut.
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def transport_of(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """A stream transport, as `connection_made` receives it (uvloop's are not subclasses of asyncio's)."""
    return cast("asyncio.Transport", transport)
