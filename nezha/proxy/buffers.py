"""One budget of reusable buffers for all running fills: memory is bounded by settings, not by clients."""

import asyncio
from collections import deque

_SMALLEST = 64 << 10


class Buffers:
    """Buffers in powers of two from 64 KiB to a slice, at most `budget_bytes` of them; who comes first is served first.

    Reused, because the first touch of fresh memory costs more than the copy into it (`performance.md`).
    """

    def __init__(self, budget_bytes: int, slice_bytes: int) -> None:
        self._budget = budget_bytes
        self.slice_bytes = slice_bytes
        self._made = 0
        self.used_bytes = 0
        self._free: dict[int, list[bytearray]] = {}
        self._waiting: deque[tuple[int, asyncio.Future[bytearray]]] = deque()

    async def acquire(self, most_bytes: int) -> bytearray:
        """A buffer of at least `most_bytes`, or of a slice where that is less; waits for the budget."""
        size = self._class_of(most_bytes)
        if not self._waiting and (buffer := self._take(size)) is not None:
            return buffer
        future: asyncio.Future[bytearray] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            raise

    def release(self, buffer: bytearray) -> None:
        """Gives a buffer back; nobody may hold a view of it any more."""
        self.used_bytes -= len(buffer)
        self._free.setdefault(len(buffer), []).append(buffer)
        while self._waiting:
            size, future = self._waiting[0]
            if future.done():  # its waiter was cancelled
                self._waiting.popleft()
                continue
            taken = self._take(size)
            if taken is None:
                return
            self._waiting.popleft()
            future.set_result(taken)

    @property
    def has_room(self) -> bool:
        """Whether a whole slice could be had now: further lanes of a fill wait for nothing else."""
        return not self._waiting and self.used_bytes + self.slice_bytes <= self._budget

    def _class_of(self, wanted: int) -> int:
        size = _SMALLEST
        while size < min(wanted, self.slice_bytes):
            size <<= 1
        return size

    def _take(self, size: int) -> bytearray | None:
        if self._free.get(size):
            self.used_bytes += size
            return self._free[size].pop()
        for other, unused in self._free.items():
            while unused and self._made + size > self._budget:
                unused.pop()
                self._made -= other
        if self._made + size > self._budget:
            return None
        self._made += size
        self.used_bytes += size
        return bytearray(size)
