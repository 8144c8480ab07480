"""Whether the bytes of a version, as they come, agree as a whole with the checksum that its origin stated.

Its slices come in any order and by several lanes; each is summed once, and their CRCs are combined when the last byte
is there. Until then the end of the object is withheld from those who read all of it (`reader`).
"""

import asyncio
from collections.abc import Callable
from enum import Enum

from nezha.errors import StoreError
from nezha.model import Extent
from nezha.semantics.checksums import Checksum
from nezha.store.bodies import whole_crc
from nezha.store.checksums import crc
from nezha.store.hot import Stored

WITHHELD_BYTES = 64 << 10


class Verdict(Enum):
    """What is known of a whole."""

    OPEN = "open"  # not all of it is there yet
    AGREES = "agrees"
    DIFFERS = "differs"
    UNKNOWN = "unknown"  # a part was lost before the last one came


class Whole:
    """The parts of one version, and the verdict on them."""

    def __init__(self, stated: Checksum, stored: Stored, size: int, on_difference: Callable[[], None]) -> None:
        self.verdict = Verdict.OPEN
        self._on_difference = on_difference
        self._stated = stated
        self._stored = stored
        self._size = size
        self._parts: dict[Extent, int] = {}
        self._unstored_bytes = 0
        self._is_judged = False

    async def add(self, extent: Extent, view: memoryview) -> None:
        """A part has come."""
        self._parts[extent] = await asyncio.to_thread(crc, self._stated.algorithm, view)
        self._unstored_bytes += extent.length

    def written(self, extent: Extent) -> None:
        """A part is among the stored extents now."""
        if extent in self._parts:
            self._unstored_bytes -= extent.length

    async def judge(self) -> bool:
        """Gives the verdict once every byte is there; whether this call has given it."""
        if self._is_judged or self._stored.body.stored_bytes + self._unstored_bytes < self._size:
            return False
        self._is_judged = True
        extents, algorithm = tuple(self._stored.body.extents), self._stated.algorithm
        try:
            found = await asyncio.to_thread(whole_crc, extents, dict(self._parts), self._size, algorithm)
        except StoreError:
            found = None
        if found is None:
            self.verdict = Verdict.UNKNOWN
        else:
            self.verdict = Verdict.AGREES if found == self._stated.value else Verdict.DIFFERS
        if self.verdict is Verdict.DIFFERS:
            self._on_difference()
        return True
