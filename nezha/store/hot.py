"""What of the store is in memory: the live form of recently used objects, capped in bytes."""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable

from nezha.model import Entry, Extent
from nezha.store.bodies import StoredExtent

# Measured with tracemalloc over S3 answers.
_KEY_BYTES = 400
_VERSION_BYTES = 1000
_FIELD_BYTES = 360
_EXTENT_BYTES = 560


class Body:
    """The bytes of one version while it is in memory: its extents, and who reads them, by whatever form.

    `is_current`: the store finds it. `leases`: readers, under whom its extents are not unlinked. `is_removed`: neither,
    so its extents are leaving the disk, and it takes no more of them. `is_barred`: it may not become current.
    """

    __slots__ = (
        "__weakref__", "_inline_bytes", "coming", "extents", "is_barred", "is_current", "is_removed", "leases",
        "stored_bytes", "verified",
    )  # fmt: skip

    def __init__(self, extents: list[StoredExtent], *, is_current: bool) -> None:
        self.extents = extents
        self.is_current = is_current
        self.is_removed = self.is_barred = False
        self.leases = 0
        self.coming: set[Extent] = set()  # extents that are being written
        self.verified: set[int] = set()  # starts of the extents whose bytes were checked since the start
        self.stored_bytes = sum(each.extent.length for each in extents)
        self._inline_bytes = sum(len(each.inline or b"") for each in extents)

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

    def intervals(self, within: Extent) -> list[Extent]:
        """The stored intervals that may hold a byte of `within`, sorted."""
        first = max(0, bisect_right(self.extents, within.start, key=_start) - 1)
        last = bisect_left(self.extents, within.stop, key=_start)
        return [each.extent for each in self.extents[first:last]]

    def overlaps(self, extent: Extent) -> bool:
        """Whether a byte of `extent` is stored, or being written."""
        following = self.next_start(extent.start)
        if self.at(extent.start) is not None or (following is not None and following < extent.stop):
            return True
        return any(each.start < extent.stop and extent.start < each.stop for each in self.coming)

    def add(self, extent: StoredExtent) -> None:
        """Takes an extent in."""
        insort(self.extents, extent, key=_start)
        self.stored_bytes += extent.extent.length
        self._inline_bytes += len(extent.inline or b"")

    def discard(self, extent: StoredExtent) -> bool:
        """Takes an extent out; False where this very extent is not there (any more)."""
        number = bisect_left(self.extents, extent.extent.start, key=_start)
        if number == len(self.extents) or self.extents[number] is not extent:
            return False
        del self.extents[number]
        self.stored_bytes -= extent.extent.length
        self._inline_bytes -= len(extent.inline or b"")
        self.verified.discard(extent.extent.start)
        return True

    def clear(self) -> None:
        """Ends it: the extents are gaps from now on."""
        self.is_current = False
        self.is_removed = True
        self.extents = []
        self.stored_bytes = self._inline_bytes = 0

    @property
    def memory_bytes(self) -> int:
        return len(self.extents) * _EXTENT_BYTES + self._inline_bytes


class Stored:
    """One stored version while it is in memory, as one form of its URL answers: its entry, and its body.

    The forms of a version share its body, and nothing else.
    """

    __slots__ = ("__weakref__", "body", "entry")

    def __init__(self, entry: Entry, body: Body) -> None:
        self.entry = entry
        self.body = body

    @property
    def memory_bytes(self) -> int:
        fields = self.entry.fields.items
        return _VERSION_BYTES + len(fields) * _FIELD_BYTES + sum(len(name) + len(value) for name, value in fields)


def bodies_of(versions: Iterable[Stored]) -> Iterable[Body]:
    """The bodies of versions, each once."""
    return {id(each.body): each.body for each in versions}.values()


def _start(stored: StoredExtent) -> int:
    return stored.extent.start


class Hot:
    """Recently used keys with their versions (none, where nothing is stored), the least recent leaving first.

    Never one that is leased: it may exceed the limit by what is being read. `says_used` hears of what it holds, in
    bytes: the rest of the tier is for others.
    """

    def __init__(self, limit_bytes: int, says_used: Callable[[int], None] = lambda _: None) -> None:
        self._limit = limit_bytes
        self._says_used = says_used
        self.used_bytes = 0
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
        cost = _KEY_BYTES + 2 * len(key) + sum(version.memory_bytes for version in versions)
        cost += sum(body.memory_bytes for body in bodies_of(versions))
        self._keys[key] = (versions, cost)
        self.used_bytes += cost
        for _ in range(len(self._keys)):
            if self.used_bytes <= self._limit:
                break
            oldest = next(iter(self._keys))
            if oldest == key or any(version.body.leases for version in self._keys[oldest][0]):
                self._keys.move_to_end(oldest)  # in use after all: the next call looks elsewhere first
            else:
                self.forget(oldest)
        self._says_used(self.used_bytes)

    def peek(self, key: str) -> list[Stored] | None:
        """What `get` gives, without counting as a use."""
        found = self._keys.get(key)
        return None if found is None else found[0]

    def forget(self, key: str) -> None:
        """Drops a key from memory."""
        if (found := self._keys.pop(key, None)) is not None:
            self.used_bytes -= found[1]

    def clear(self) -> None:
        """Drops every key, the leased ones too."""
        self._keys.clear()
        self.used_bytes = 0
