"""Bytes of extents that are read over and over through TLS, in memory.

The page cache has them too, but what is encrypted must first be copied out of it (`benchmarks/README.md`, warm reads).

An extent is taken in when it is read once more after as many bytes of it were read as it has, all within as many other
bytes as fit in: a set larger than this passes it by, and so does a file that is read once in small ranges.
"""

import threading
from collections import OrderedDict


class Memory:
    """Extents by the names of their files, the least recently read leaving first. Any thread may use it.

    At most `limit_bytes` of them, less what is `reserved`. Who holds a view of one that has left keeps it in memory.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._reserved = 0
        self._lock = threading.Lock()
        self._extents: OrderedDict[str, memoryview] = OrderedDict()
        self.used_bytes = 0
        self._noted: OrderedDict[str, tuple[int, int]] = OrderedDict()  # bytes read of it, its length
        self._noted_bytes = 0

    def find(self, name: str) -> memoryview | None:
        """The bytes of an extent."""
        with self._lock:
            if (found := self._extents.get(name)) is not None:
                self._extents.move_to_end(name)
            return found

    def note(self, name: str, length: int, count: int) -> bool:
        """Says that `count` bytes of an extent are about to be read; whether it should be `put`, by this caller."""
        with self._lock:
            if name in self._extents or length > self._limit - self._reserved:
                return False
            before, _ = self._noted.pop(name, (0, 0))
            if before >= length:
                self._noted_bytes -= length
                return True
            self._noted_bytes += 0 if before else length
            self._noted[name] = before + count, length
            while self._noted_bytes > self._limit:
                self._noted_bytes -= self._noted.popitem(last=False)[1][1]
            return False

    def put(self, name: str, data: bytearray) -> None:
        """Takes an extent in; its bytes may not change any more."""
        with self._lock:
            self._drop(name)
            self._extents[name] = memoryview(data).toreadonly()
            self.used_bytes += len(data)
            self._trim()

    def drop(self, name: str) -> None:
        """Lets go of an extent, if it is here."""
        with self._lock:
            self._drop(name)

    def reserve(self, count: int) -> None:
        """So many bytes of the limit are used by others."""
        with self._lock:
            self._reserved = count
            self._trim()

    @property
    def held_bytes(self) -> int:
        """What is in memory of the whole tier."""
        return self.used_bytes + self._reserved

    def _drop(self, name: str) -> None:
        if (found := self._extents.pop(name, None)) is not None:
            self.used_bytes -= len(found)

    def _trim(self) -> None:
        while self._extents and self.used_bytes > self._limit - self._reserved:
            self.used_bytes -= len(self._extents.popitem(last=False)[1])
