"""Bulk bytes leave here: from extent files to sockets, in a few threads, never on the event loop.

A job has a thread for a turn: 4 MiB, or until its socket is full. If others wait by then it goes behind them, and its
next turn comes without the event loop; so all of them move on together, and what they read alike is read by one after
the other while the processor's caches have it. A job whose socket is full when its turn comes goes back to the event
loop, which waits for the socket. So the number of threads does not grow with slow readers. A thread waits for a socket,
and only for some milliseconds, where nobody waits for a thread.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import SimpleQueue

from nezha.proxy.connection import Connection
from nezha.proxy.wire import Wire, progress, queued_bytes

TURN_BYTES = 4 << 20  # of an extent's size; at 64 MiB, eight clients of one object get a fifth less


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a file: `open` gives a descriptor (in a thread; it may raise), [start, stop) are its bytes.

    `hot` gives the whole file's bytes where they are in memory. It is asked at each step: what is held for a slow
    client could not leave memory.
    """

    open: Callable[[], int]
    start: int
    stop: int
    hot: Callable[[], memoryview | None] = lambda: None


class _Turn(Enum):
    """How a turn has ended."""

    DONE = auto()  # everything has been sent
    FULL = auto()  # the socket takes nothing
    USED = auto()  # others wait


class _Transfer:
    """What of some pieces, after a head, has been sent. It runs in one thread at a time."""

    def __init__(self, wire: Wire, head: bytes, pieces: Sequence[Piece]) -> None:
        self._wire = wire
        self._head = head
        self._pieces = list(pieces)
        self._file: int | None = None
        self._at = 0
        self.sent = 0  # of the pieces' bytes
        self.has_begun = False  # whether any byte of the head or the pieces may have left
        self.stop = threading.Event()

    def run(self, is_awaited: Callable[[], bool]) -> _Turn:
        """Sends for a turn. Raises what `Piece.open` and sending raise."""
        self._wire.cork(True)
        turn = None
        try:
            turn = self._run(is_awaited)
            return turn
        finally:
            if turn is not _Turn.USED:
                self._wire.cork(False)

    def _run(self, is_awaited: Callable[[], bool]) -> _Turn:
        left, has_moved = TURN_BYTES, False
        while not self.stop.is_set():
            others_wait = is_awaited()
            self._wire.wait(not others_wait)
            if self._head or self._pieces:
                taken = self._step()
            elif self._wire.flush():
                return _Turn.DONE
            else:
                taken = 0
            left -= taken
            if not taken and not self._wire.has_room():
                return _Turn.USED if others_wait and has_moved else _Turn.FULL
            has_moved = True
            if left <= 0 and others_wait:
                return _Turn.USED
        return _Turn.FULL

    def _step(self) -> int:
        if self._pieces and self._file is None:
            # Before the head: an extent that cannot be read must not have been promised.
            self._file, self._at = self._pieces[0].open(), self._pieces[0].start
        self.has_begun = True
        if self._head:
            taken = self._wire.put(self._head)
            self._head = self._head[taken:]
            return taken
        piece = self._pieces[0]
        assert self._file is not None
        if (hot := piece.hot()) is not None:
            taken = self._wire.put(hot[self._at : piece.stop])
        else:
            taken = self._wire.put_file(self._file, self._at, piece.stop)
        self._at += taken
        self.sent += taken
        if self._at == piece.stop:
            self._pieces.pop(0)
            self.close()
        return taken

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class PumpError(Exception):
    """A piece could not be sent: `sent` bytes of the pieces were, and the head where `has_begun`."""

    def __init__(self, sent: int, has_begun: bool) -> None:
        super().__init__(f"stopped after {sent} bytes")
        self.sent = sent
        self.has_begun = has_begun


@dataclass(frozen=True, slots=True)
class _Job:
    """A transfer that wants threads until it is done or its socket is full, and who waits for that."""

    transfer: _Transfer
    loop: asyncio.AbstractEventLoop
    ended: "asyncio.Future[bool]"  # whether everything has been sent


class Pump:
    """The threads. One per process."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        count = max(2, os.cpu_count() or 2)
        self._threads = [threading.Thread(target=self._work, name=f"pump-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    async def send(self, connection: Connection, head: bytes, pieces: Sequence[Piece]) -> None:
        """Sends `head` and then the pieces. Raises PumpError (caused by what `open` raised), ConnectionError."""
        async with connection.wire() as wire:
            transfer = _Transfer(wire, head, pieces)
            try:
                while not await self._job(transfer):
                    if not transfer.stop.is_set():
                        await _writable(wire.fd, connection.stall_seconds)
            except ConnectionError:
                raise
            except Exception as error:
                raise PumpError(transfer.sent, transfer.has_begun) from error
            finally:
                transfer.close()

    async def _job(self, transfer: _Transfer) -> bool:
        """One job; a cancelled caller still waits for the threads, which would otherwise use what is closed."""
        loop = asyncio.get_running_loop()
        job = _Job(transfer, loop, loop.create_future())
        self._jobs.put(job)
        try:
            return await asyncio.shield(job.ended)
        except asyncio.CancelledError:
            transfer.stop.set()
            while not job.ended.done():
                with suppress(asyncio.CancelledError, Exception):
                    await asyncio.shield(job.ended)
            raise

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                turn = job.transfer.run(lambda: not self._jobs.empty())
            except Exception as error:  # noqa: BLE001  # the one who waits judges it
                job.loop.call_soon_threadsafe(job.ended.set_exception, error)
                continue
            if turn is _Turn.USED:
                self._jobs.put(job)
            else:
                job.loop.call_soon_threadsafe(job.ended.set_result, turn is _Turn.DONE)

    async def aclose(self) -> None:
        """Ends the threads, once all jobs have ended."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


async def _writable(fd: int, stall_seconds: float) -> None:
    """Waits until a socket takes bytes again. Raises ConnectionResetError when it does not for too long."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def writable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(fd, writable)
    try:
        await progress(ready, lambda: queued_bytes(fd), stall_seconds)
    finally:
        loop.remove_writer(fd)  # before the descriptor is closed: its number may be reused
