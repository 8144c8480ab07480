"""Where the store blocks: index writes in one thread, in the order given; reads and bodies in a few of their own.

So a lookup never waits behind a body that is being written.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

_READERS = 2
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """The threads of one store. `failed` gets the error of a write that nobody awaits."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._writer = ThreadPoolExecutor(1, "index-write")
        self._readers = ThreadPoolExecutor(_READERS, "index-read")
        self.bodies = ThreadPoolExecutor(4, "bodies")
        self._is_closed = False

    async def write(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Runs `work` behind all writes given before."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *args)

    def write_soon(self, work: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """The same, for a caller that does not wait: a failure goes to `failed`. Once closed, nothing is done."""
        if self._is_closed:
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            future.cancel()
            return future
        future = asyncio.get_running_loop().run_in_executor(self._writer, work, *args)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: "asyncio.Future[T]") -> None:
        if not future.cancelled() and isinstance(error := future.exception(), Exception):
            self._failed(error)

    async def read(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Runs what does not write."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *args)

    async def body(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Runs what takes long."""
        return await asyncio.get_running_loop().run_in_executor(self.bodies, work, *args)

    async def in_each_reader(self, work: Callable[[], None]) -> None:
        """Runs `work` once in every thread that reads."""
        all_there = threading.Barrier(_READERS)

        def once() -> None:
            all_there.wait()
            work()

        await asyncio.gather(*(self.read(once) for _ in range(_READERS)))

    async def close(self) -> None:
        """Ends the threads, when what they were given is done."""
        self._is_closed = True
        for executor in (self._writer, self._readers, self.bodies):
            await asyncio.to_thread(executor.shutdown)
