"""Bulk bytes leave here: from extent files to sockets, in a few threads, never on the event loop.

A job sends until it is done, until the socket was full for 5 ms, or until 64 MiB went out while another waits for a
thread; then the connection goes back to the event loop, which waits for the socket and queues the next job. So the
number of threads does not grow with slow readers, and none waits for long.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from nezha.proxy.connection import Connection
from nezha.proxy.wire import Wire, progress, queued_bytes

JOB_BYTES = 64 << 20  # against 16 MiB, warm reads by 8 clients are some 5 % faster, over HTTP and TLS alike


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

    def run(self, waiting: Sized) -> bool:
        """Sends for one job's worth; whether everything has been sent. Raises what `Piece.open` and sending raise."""
        self._wire.cork(True)
        try:
            return self._run(waiting)
        finally:
            self._wire.cork(False)

    def _run(self, waiting: Sized) -> bool:
        quota = JOB_BYTES
        while not self.stop.is_set():
            if not self._head and not self._pieces:
                if self._wire.flush():
                    return True
                taken = 0
            else:
                taken = self._step()
            quota -= taken
            if taken == 0 and not self._wire.has_room():
                return False
            if quota <= 0 and waiting:
                return False
        return False

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


class Pump:
    """The threads. One per process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max(4, 2 * (os.cpu_count() or 2)), "pump")
        self._waiting: deque[None] = deque()  # one for each job that waits for a thread

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
        """One job; a cancelled caller still waits for the thread, which would otherwise use what is closed."""
        self._waiting.append(None)
        job = asyncio.get_running_loop().run_in_executor(self._threads, self._run, transfer)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            transfer.stop.set()
            while not job.done():
                with suppress(asyncio.CancelledError, Exception):
                    await asyncio.shield(job)
            raise

    def _run(self, transfer: _Transfer) -> bool:
        self._waiting.pop()
        return transfer.run(self._waiting)

    async def aclose(self) -> None:
        """Ends the threads."""
        await asyncio.to_thread(self._threads.shutdown)


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
