"""What of the store is in memory: the live form of recently used objects, capped in bytes."""

from bisect import bisect_right, insort
from collections import OrderedDict

from nezha.model import Entry, Extent
from nezha.store.bodies import StoredExtent

_ENTRY_BYTES = 2048  # an entry with its fields, as measured with tracemalloc over S3 answers
_EXTENT_BYTES = 400


class Stored:
    """One stored version while it is in memory: its entry, its extents, and who reads it.

    `is_current`: the index names it. `leases`: readers, whose extents are not unlinked under them.
    """

    __slots__ = ("entry", "extents", "is_current", "last_use", "leases", "verified")

    def __init__(self, entry: Entry, extents: list[StoredExtent], *, is_current: bool) -> None:
        self.entry = entry
        self.extents = extents
        self.is_current = is_current
        self.leases = 0
        self.last_use = 0.0
        self.verified: set[int] = set()  # starts of the extents whose bytes were checked since the start

    def at(self, position: int) -> StoredExtent | None:
        """The extent that holds the byte at `position`."""
        number = bisect_right(self.extents, position, key=_start) - 1
        if number >= 0 and self.extents[number].extent.stop > position:
            return self.extents[number]
        return None

    def next_start(self, position: int) -> int | None:
        """Where the next extent after `position` starts."""
        number = bisect_right(self.extents, position, key=_start)
        return self.extents[number].extent.start if number < len(self.extents) else None

    def add(self, extent: StoredExtent) -> None:
        insort(self.extents, extent, key=_start)

    def intervals(self) -> list[Extent]:
        """The stored intervals, sorted."""
        return [each.extent for each in self.extents]

    @property
    def body_bytes(self) -> int:
        return sum(each.extent.length for each in self.extents)

    @property
    def memory_bytes(self) -> int:
        inline = sum(len(each.inline or b"") for each in self.extents)
        return _ENTRY_BYTES + len(self.extents) * _EXTENT_BYTES + inline


def _start(stored: StoredExtent) -> int:
    return stored.extent.start


class Hot:
    """Recently used keys with their versions, the least recent leaving first; never one that is leased."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._keys: OrderedDict[str, tuple[list[Stored], int]] = OrderedDict()

    def get(self, key: str) -> list[Stored] | None:
        """The versions in memory under `key`; None where the index must be asked."""
        found = self._keys.get(key)
        if found is None:
            return None
        self._keys.move_to_end(key)
        return found[0]

    def put(self, key: str, versions: list[Stored]) -> None:
        """Keeps the versions of a key (called again when they have grown)."""
        self.forget(key)
        cost = sum(version.memory_bytes for version in versions)
        self._keys[key] = (versions, cost)
        self._bytes += cost
        for old in list(self._keys) if self._bytes > self._limit else ():
            if self._bytes <= self._limit:
                break
            if old != key and not any(version.leases for version in self._keys[old][0]):
                self.forget(old)

    def forget(self, key: str) -> None:
        """Drops a key from memory."""
        if (found := self._keys.pop(key, None)) is not None:
            self._bytes -= found[1]
