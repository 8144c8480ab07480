"""Where the bytes of a version are while it is being fetched: stored, arriving, on their way, or missing.

stored      in an extent
arriving    in a slice: claimed by a lane, received into its buffer, or kept there
asked       a range lane has asked for it and has no verified answer yet
coming      a running answer will bring it
missing     none of these
"""

import asyncio
from bisect import bisect_right, insort

from nezha.model import Extent
from nezha.store.hot import Body

UNKNOWN = 1 << 62  # where a body of unknown length is taken to end


class Bell:
    """Wakes those who wait for a change."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Returns at the next change."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class Slice:
    """An extent that a lane is receiving; `received` bytes of it are in the buffer. `bell` tells of more."""

    __slots__ = ("bell", "extent", "is_kept", "received", "view", "whole")

    def __init__(self, extent: Extent, whole: bytearray) -> None:
        self.extent = extent
        self.whole = whole
        self.view = memoryview(whole)[: extent.length]
        self.received = 0
        self.is_kept = False  # the store refused it: it stays in memory while a reader needs it
        self.bell = Bell()


class SliceMap:
    """The map of one version. Slices and extents never overlap; each slice lies within one cell of a fixed grid."""

    def __init__(self, body: Body, slice_bytes: int) -> None:
        self.arriving: list[Slice] = []
        self.asked: set[Extent] = set()
        self.coming: dict[object, Extent] = {}  # by lane
        self.bell = Bell()  # of the map, and of all else that the fill's readers wait for
        self._body = body
        self._slice_bytes = slice_bytes
        self._floor = 0  # nothing is missing before it

    def at(self, position: int) -> Slice | None:
        """The arriving slice that holds `position`."""
        number = bisect_right(self.arriving, position, key=_start) - 1
        if number >= 0 and self.arriving[number].extent.stop > position:
            return self.arriving[number]
        return None

    def add(self, part: Slice) -> None:
        insort(self.arriving, part, key=_start)

    def remove(self, part: Slice) -> None:
        """A slice is stored now, or given up."""
        self.arriving.remove(part)
        self._floor = min(self._floor, part.extent.start)

    def give_up(self, asked: Extent) -> None:
        """What a range lane asked for is claimed now, or missing again."""
        self.asked.discard(asked)
        self._floor = min(self._floor, asked.start)

    def is_coming(self, position: int) -> bool:
        """Whether an answer, or the answer to a question, will bring the byte at `position`."""
        return any(each.start <= position < each.stop for each in (*self.coming.values(), *self.asked))

    def is_asked(self, position: int) -> bool:
        """Whether a range lane has asked for the byte at `position`."""
        return any(each.start <= position < each.stop for each in self.asked)

    def coverage(self, within: Extent) -> list[Extent]:
        """All of `within` but what is missing, sorted; it may overlap, and reach beyond."""
        arriving = [each.extent for each in self.arriving]
        return sorted([*self._body.intervals(within), *arriving, *self.coming.values(), *self.asked])

    def has(self, extent: Extent) -> bool:
        """Whether every byte of `extent` has come already."""
        position = extent.start
        while position < extent.stop:
            part = self.at(position)
            if part is not None and part.extent.start + part.received < min(part.extent.stop, extent.stop):
                return False
            taken = self.taken_stop(position)
            if taken is None:
                return False
            position = taken
        return True

    def taken_stop(self, position: int) -> int | None:
        """Where the extent or slice that holds `position` ends; None where the byte is in neither."""
        if (stored := self._body.at(position)) is not None:
            return stored.extent.stop
        part = self.at(position)
        return part.extent.stop if part is not None else None

    def is_taken(self, extent: Extent) -> bool:
        """Whether all of `extent` is stored or arriving."""
        position = extent.start
        while position < extent.stop:
            taken = self.taken_stop(position)
            if taken is None:
                return False
            position = taken
        return True

    def claimable(self, position: int, stop: int) -> Extent:
        """What a lane may claim at a free `position`: to the next slice or extent, the cell's end, or `stop`."""
        stop = min(stop, (position // self._slice_bytes + 1) * self._slice_bytes)
        if (stored := self._body.next_start(position)) is not None:
            stop = min(stop, stored)
        number = bisect_right(self.arriving, position, key=_start)
        if number < len(self.arriving):
            stop = min(stop, self.arriving[number].extent.start)
        return Extent(position, stop)

    def first_missing(self, size: int, after: int = 0) -> Extent | None:
        """The first slice from `after` on that is neither taken nor asked for (coming counts as missing)."""
        position = max(after, self._floor)
        found: Extent | None = None
        while position < size:
            taken = self.taken_stop(position)
            if taken is None:
                found = self.claimable(position, size)
                asked = [each.stop for each in self.asked if each.start < found.stop and position < each.stop]
                if not asked:
                    break
                taken, found = max(asked), None
            position = taken
        if after <= self._floor:
            self._floor = min(position, size)
        return found


def _start(part: Slice) -> int:
    return part.extent.start
