"""A fill: one version on its way into the store, and the readers that stream from it meanwhile.

    lane 0      the answer to somebody's own request: bytes [start, stop) in order
    lane 1...   slices of the same version, asked for with Range and If-Match once lane 0 proves to be slow
    slice       an extent that one lane is receiving into a buffer: announced as it comes, written when it is whole
    reader      a client's position: from stored extents, else from arriving slices

Invariants: slices and stored extents never overlap (a slice is claimed before a byte of it is received, and only for an
answer whose head was checked); a buffer is held by one slice; a slice that the store refused is kept in memory
until no reader needs it. A fill belongs to the store: readers come and go.
"""

import asyncio
from bisect import bisect_right, insort
from dataclasses import replace
from typing import Protocol

from nezha.errors import OriginError, StoreError
from nezha.model import Extent
from nezha.proxy.buffers import Buffers
from nezha.proxy.origin import Answer
from nezha.proxy.outgoing import Ask
from nezha.semantics.validators import is_strong
from nezha.store.hot import Stored
from nezha.store.store import Store
from nezha.tasks import Tasks

UNKNOWN = 1 << 62  # where a body of unknown length is taken to end
_KEPT_MAX = 4
_FIRST_BYTES = 64 << 10  # of a body of unknown length; then as much again as has come


class Slice:
    """An extent that a lane is receiving; `received` bytes of it are in the buffer."""

    __slots__ = ("extent", "is_kept", "received", "view", "waiting", "whole")

    def __init__(self, extent: Extent, whole: bytearray) -> None:
        self.extent = extent
        self.whole = whole
        self.view = memoryview(whole)[: extent.length]
        self.received = 0
        self.is_kept = False
        self.waiting: list[asyncio.Future[None]] = []


class Ranger(Protocol):
    """Asks the origin for a slice with the credential of somebody who takes part in the fill."""

    async def ask(self, fill: "Fill", extent: Extent) -> Answer | None:
        """A verified 206 for exactly `extent` of the fill's version; None where parallelism has ended."""


class Follower(Protocol):
    """Somebody who reads from a fill."""

    position: int

    def needs(self, extent: Extent) -> bool:
        """Whether bytes of `extent` are still ahead of it."""


class Fill:
    """One version being fetched. `size` is None until a body of unknown length has ended."""

    def __init__(self, stored: Stored, size: int | None, store: Store, buffers: Buffers, tasks: Tasks) -> None:
        self.stored = stored
        self.size = size
        # Without a strong validator, or a size to be short of, a version is stored whole or not at all.
        self.is_partial_usable = size is not None and is_strong(stored.entry.fields.get("etag"))
        self.may_complete = not self.is_partial_usable  # and becomes visible at its end
        self.may_store = True
        self.is_parallel = False  # a range lane has delivered a verified 206
        self.is_serial = False  # a range lane was refused: no more of them
        self.is_broken = False  # lane 0 ended before its last byte
        self.ranger: Ranger | None = None  # of further lanes, once they were found worth it
        self.is_over = False
        self.received_bytes = 0
        self.max_bytes = UNKNOWN
        self.participants: list[Ask] = []
        self._store = store
        self._buffers = buffers
        self._slice_bytes = buffers.slice_bytes
        self._tasks = tasks
        self._arriving: list[Slice] = []
        self._streams: dict[object, Extent] = {}  # what lanes with a running answer will still bring
        self._asked: set[Extent] = set()  # what range lanes have asked for, not claimed yet
        self._readers: set[Follower] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._lanes = 0
        self._rangers = 0
        self._writes = 0

    # -- what is there, what comes

    def slice_at(self, position: int) -> Slice | None:
        """The arriving slice that holds `position`."""
        number = bisect_right(self._arriving, position, key=_start) - 1
        if number >= 0 and self._arriving[number].extent.stop > position:
            return self._arriving[number]
        return None

    def is_coming(self, position: int) -> bool:
        """Whether a lane will bring the byte at `position`, as far as is known."""
        if self._rangers and self.size is not None and position < self.size:
            return True  # they go on until nothing is missing, where readers wait first
        return any(each.start <= position < each.stop for each in (*self._streams.values(), *self._asked))

    def coverage(self) -> list[Extent]:
        """What is stored, arriving or coming, sorted; it may overlap."""
        arriving = [each.extent for each in self._arriving]
        return sorted([*self.stored.intervals(), *arriving, *self._streams.values(), *self._asked])

    def has(self, extent: Extent) -> bool:
        """Whether every byte of `extent` has come already."""
        position = extent.start
        while position < extent.stop:
            part = self.slice_at(position)
            if part is not None:
                if part.extent.start + part.received < min(part.extent.stop, extent.stop):
                    return False
                position = part.extent.stop
            elif (stored := self.stored.at(position)) is not None:
                position = stored.extent.stop
            else:
                return False
        return True

    def _free_stop(self, position: int, stop: int) -> int:
        """How far from `position` nothing is stored or arriving, within its slice of the grid and before `stop`."""
        stop = min(stop, (position // self._slice_bytes + 1) * self._slice_bytes)
        if (stored := self.stored.next_start(position)) is not None:
            stop = min(stop, stored)
        number = bisect_right(self._arriving, position, key=_start)
        if number < len(self._arriving):
            stop = min(stop, self._arriving[number].extent.start)
        return stop

    def _taken_stop(self, position: int) -> int | None:
        """Where the stored extent or arriving slice that holds `position` ends; None where the byte is free."""
        if (stored := self.stored.at(position)) is not None:
            return stored.extent.stop
        found = self.slice_at(position)
        return found.extent.stop if found is not None else None

    def next_missing(self) -> Extent | None:
        """The slice that is to be asked for next: the first that a reader will wait for, else the first of all."""
        found = [
            (missing.start - reader.position, missing)
            for reader in self._readers
            if (missing := self._missing_after(reader.position)) is not None and reader.needs(missing)
        ]
        return min(found)[1] if found else self._missing_after(0)

    def _missing_after(self, position: int) -> Extent | None:
        """The first slice from `position` on that nobody brings and that no range lane has asked for."""
        while self.size is not None and position < self.size:
            taken = self._taken_stop(position)
            if taken is None:
                stop = self._free_stop(position, self.size)
                asked = [each for each in self._asked if each.start < stop and position < each.stop]
                if not asked:
                    return Extent(position, stop)
                taken = max(each.stop for each in asked)
            position = taken
        return None

    # -- lanes

    def expect(self, extent: Extent) -> object:
        """Announces a lane that will bring `extent`; `stream` runs it. Until it ends, its bytes are coming."""
        lane = object()
        self._streams[lane] = extent
        self._lanes += 1
        return lane

    async def stream(self, lane: object, answer: Answer) -> None:
        """A lane: takes the bytes of an answer, from its start. Raises OriginError where it breaks.

        Where a byte is stored or arriving already, the answer's copy is dropped; once range lanes have proven
        themselves it ends there, because they bring the rest.
        """
        extent = self._streams[lane]
        position = extent.start
        try:
            while position < extent.stop:
                self._streams[lane] = Extent(position, extent.stop)
                if (taken := self._taken_stop(position)) is not None:
                    if self.is_parallel or self._rest_is_taken(position, extent.stop):
                        break
                    position += await self._skip(answer, min(taken, extent.stop) - position)
                    continue
                got = await self._receive(answer, Extent(position, self._free_stop(position, extent.stop)))
                position += got or 0
                if got == 0:
                    break
            if self.size is None:
                # A body of unknown length has ended well.
                self.size = position
                self.stored.entry = replace(self.stored.entry, size=position)
        finally:
            if not answer.is_done:
                answer.abandon()
            del self._streams[lane]
            self._lanes -= 1
            self._changed()

    def _rest_is_taken(self, position: int, stop: int) -> bool:
        while position < stop:
            taken = self._taken_stop(position)
            if taken is None:
                return False
            position = taken
        return True

    async def _skip(self, answer: Answer, count: int) -> int:
        buffer = await self._buffers.acquire(min(count, self._slice_bytes))
        try:
            got = await answer.fill(memoryview(buffer)[:count], lambda _: None)
        finally:
            self._buffers.release(buffer)
        if got == 0:
            raise OriginError("the answer ended early")
        return got

    async def _receive(self, answer: Answer, extent: Extent) -> int | None:
        """Claims an extent and receives it; how much came (less only at the end of a body of unknown length).

        None: another lane claimed its start while this one waited for a buffer.
        """
        await self._kept_room()
        wanted = extent.length if self.size is not None else max(_FIRST_BYTES, extent.start)
        buffer = await self._buffers.acquire(wanted)
        if self._taken_stop(extent.start) is not None:
            self._buffers.release(buffer)
            return None
        extent = Extent(extent.start, self._free_stop(extent.start, min(extent.stop, extent.start + len(buffer))))
        claimed = Slice(extent, buffer)
        insort(self._arriving, claimed, key=_start)
        self._changed()
        try:
            await answer.fill(claimed.view, lambda count: self._arrived(claimed, count))
        finally:
            received = claimed.received
            self._finish(claimed)
        return received

    def _arrived(self, part: Slice, count: int) -> None:
        part.received += count
        self.received_bytes += count
        waiting, part.waiting = part.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _finish(self, part: Slice) -> None:
        """A slice gets no more bytes: what came is written, in a task of the registry."""
        part.extent = Extent(part.extent.start, part.extent.start + part.received)
        self._arrived(part, 0)
        if not part.received:
            self._drop(part)
            return
        self._writes += 1
        self._tasks.start(self._write(part), "fill-write")

    async def _write(self, part: Slice) -> None:
        try:
            if not self.may_store or part.extent.stop > self.max_bytes:
                raise StoreError("not to be stored")
            await self._store.put(self.stored, part.extent, part.view[: part.received])
        except StoreError:
            part.is_kept = True
            if not self.is_partial_usable:
                self.may_store = False  # whole or not at all
        finally:
            self._writes -= 1
        if part.is_kept:
            self._reap()
        else:
            self._drop(part)
        self._changed()

    def _drop(self, part: Slice) -> None:
        self._arriving.remove(part)
        part.view.release()
        self._buffers.release(part.whole)
        self._changed()

    def _reap(self) -> None:
        """Lets go of kept slices that no reader needs."""
        for part in [each for each in self._arriving if each.is_kept]:
            if not any(reader.needs(part.extent) for reader in self._readers):
                self._drop(part)

    async def _kept_room(self) -> None:
        """Waits while readers are behind slices that the store refused: they go at the clients' speed."""
        while sum(each.is_kept for each in self._arriving) >= _KEPT_MAX:
            await self.changed()

    async def lane(self, ranger: Ranger) -> None:
        """A further lane: slices by Range, until none is missing or parallelism ends."""
        self._lanes += 1
        self._rangers += 1
        try:
            while (extent := self.next_missing()) is not None and self._buffers.has_room and not self.is_serial:
                self._asked.add(extent)
                try:
                    answer = await ranger.ask(self, extent)
                    if answer is None:
                        return
                    await self._slice_of(answer, extent)
                except OriginError:
                    return  # its bytes are missing again; who needs them asks for them
                finally:
                    self._asked.discard(extent)
                    self._changed()
        finally:
            self._lanes -= 1
            self._rangers -= 1
            self._changed()

    async def _slice_of(self, answer: Answer, extent: Extent) -> None:
        position = extent.start
        try:
            while position < extent.stop:
                if self._taken_stop(position) is not None:
                    return  # lane 0 was faster
                got = await self._receive(answer, Extent(position, self._free_stop(position, extent.stop)))
                position += got or 0
        finally:
            if not answer.is_done:
                answer.abandon()

    @property
    def is_idle(self) -> bool:
        """Whether no lane runs and nothing is being written."""
        return self._lanes == 0 and self._writes == 0

    # -- readers

    def join(self, reader: Follower) -> None:
        """Somebody reads from here on."""
        self._readers.add(reader)

    def leave(self, reader: Follower) -> None:
        """Somebody has what it wanted, or has left."""
        self._readers.discard(reader)
        self._reap()
        self._changed()

    def passed(self, position: int) -> None:
        """A reader has been sent all up to `position`."""
        if any(part.is_kept and part.extent.stop <= position for part in self._arriving):
            self._reap()
            self._changed()

    async def progress(self, part: Slice) -> None:
        """Waits until more of a slice has come, or it is whole."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        part.waiting.append(future)
        await future

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self) -> None:
        """Waits until a slice is claimed or written, a lane ends, or a reader moves on."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


def _start(part: Slice) -> int:
    return part.extent.start
