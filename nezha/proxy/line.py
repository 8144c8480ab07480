"""The bytes of one connection to an origin: out as they are given, in straight into fill buffers.

transport -- Line -- backlog (bounded) --> link: heads, chunked framing
                 \\-- target: what `fill` was given, by `recv_into`
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable

from nezha.errors import OriginTimeout, OriginUnreachable
from nezha.proxy.connection import transport_of

QUANTUM = 256 << 10  # most bytes received in one turn of the loop
_BACKLOG_HIGH = 1 << 20
Arrived = Callable[[int], None]


class Line(asyncio.BufferedProtocol):
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

    @property
    def unread_bytes(self) -> int:
        """What has come and was not taken: here, and in the kernel."""
        handle = None if self.is_ended or self.transport is None else self.transport.get_extra_info("socket")
        if handle is None or handle.fileno() < 0:
            return len(self.backlog)
        return len(self.backlog) + int(struct.unpack("i", fcntl.ioctl(handle.fileno(), termios.FIONREAD, bytes(4)))[0])

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
