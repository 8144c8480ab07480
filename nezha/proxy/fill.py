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
from dataclasses import replace
from typing import Any

from nezha.errors import OriginError
from nezha.model import Extent
from nezha.proxy.answer import Answer
from nezha.proxy.buffers import Buffers
from nezha.proxy.followers import Follower, Followers, Seat
from nezha.proxy.landing import Landing
from nezha.proxy.outgoing import Ask
from nezha.proxy.roles import Ranger
from nezha.proxy.slices import Slice, SliceMap
from nezha.semantics.validators import is_joinable
from nezha.store.hot import Stored
from nezha.store.store import Store
from nezha.tasks import Tasks

_DRAINED_BYTES = 256 << 10  # of an answer that nobody needs, so that its connection is kept
_YIELD_SECONDS = 0.5  # how long lane 0 waits for the head of a range lane's answer
_FIRST_BYTES = 64 << 10  # of a body of unknown length; then as much again as has come


class Fill:
    """One version being fetched. `size` is None until a body of unknown length has ended."""

    def __init__(self, stored: Stored, size: int | None, store: Store, buffers: Buffers, tasks: Tasks) -> None:
        self.stored = stored
        self.size = size
        # Without a strong validator, or a size to be short of, a version is stored whole or not at all.
        self.is_partial_usable = size is not None and is_joinable(stored.entry)
        self._may_complete = not self.is_partial_usable  # and becomes visible at its end
        self.is_parallel = False  # a range lane has delivered a verified 206
        self.is_serial = False  # a range lane was refused: no more of them
        self.is_stopped = False  # it goes on for those who read it, and for nobody else
        self.is_broken = False  # lane 0 ended before its last byte
        self.ranger: Ranger | None = None  # of further lanes, once they were found worth it
        self.is_over = False
        self.received_bytes = 0
        self.slices = SliceMap(stored.body, buffers.slice_bytes)
        self.participants: list[Ask] = []
        self._buffers = buffers
        self._followers = Followers()
        self.landing = Landing(stored, self.slices, self._followers, store, buffers, tasks)
        self.landing.is_all_or_nothing = not self.is_partial_usable
        self._streams: set[Answer] = set()  # that lanes 0 read
        self._running: set[asyncio.Task[Any] | None] = set()  # its lanes
        self._lanes = self._rangers = 0  # under way

    @property
    def may_complete(self) -> bool:
        """Whether it is to become visible when it ends well."""
        return self._may_complete and not self.landing.is_refuted

    def bar(self) -> None:
        """What it brings is not to be stored any more, as far as it is not yet."""
        self._may_complete = False

    # -- what comes

    def is_coming(self, position: int) -> bool:
        """Whether a lane will bring the byte at `position`, as far as is known."""
        if self._rangers and self.size is not None and position < self.size:
            return True  # they go on until nothing is missing, where readers wait first
        return self.slices.is_coming(position)

    def next_missing(self) -> Extent | None:
        """The slice to be asked for next: the first that a reader will wait for, else the first of all."""
        if self.size is None:
            return None
        found = self._followers.next_missing(self.slices, self.size)
        return found if found or self.is_stopped else self.slices.first_missing(self.size)

    @property
    def unread_bytes(self) -> int:
        """What has come of the answers that lanes 0 read, and was not taken yet."""
        return sum(each.unread_bytes for each in self._streams)

    # -- lanes

    def expect(self, extent: Extent) -> object:
        """Announces a lane that will bring `extent`; `stream` runs it. Until it ends, its bytes are coming."""
        lane = object()
        self.slices.coming[lane] = extent
        self._lanes += 1
        return lane

    async def stream(self, lane: object, answer: Answer) -> None:
        """A lane: takes the bytes of an answer, from its start. Raises OriginError where it breaks.

        Where a byte is stored or arriving already, the answer's copy is dropped; once range lanes have proven
        themselves it ends there, because they bring the rest.
        """
        extent = self.slices.coming[lane]
        position = extent.start
        self._streams.add(answer)
        self._running.add(asyncio.current_task())
        try:
            while position < extent.stop:
                if self._is_unread:
                    return
                self.slices.coming[lane] = Extent(position, extent.stop)
                if (taken := self.slices.taken_stop(position)) is not None:
                    if self.is_parallel or self.slices.is_taken(Extent(position, extent.stop)):
                        await answer.drain(_DRAINED_BYTES)
                        break
                    position += await self._skip(answer, min(taken, extent.stop) - position)
                    continue
                if await self._is_left_to_ranger(position):
                    continue
                got = await self._receive(answer, self.slices.claimable(position, extent.stop))
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
            self._streams.discard(answer)
            del self.slices.coming[lane]
            self._lane_ended()

    async def _is_left_to_ranger(self, position: int) -> bool:
        """Waits a little for a range lane that has asked for this slice, lest both fetch it; whether it has come."""
        if not self.slices.is_asked(position):
            return False
        try:
            async with asyncio.timeout(_YIELD_SECONDS):
                while self.slices.is_asked(position) and self.slices.taken_stop(position) is None:
                    await self.changed()
        except TimeoutError:
            return False
        return self.slices.taken_stop(position) is not None

    async def _skip(self, answer: Answer, count: int) -> int:
        buffer = await self._buffers.acquire(min(count, self._buffers.slice_bytes))
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
        await self.landing.room()
        wanted = extent.length if self.size is not None else max(_FIRST_BYTES, extent.start)
        buffer = await self._buffers.acquire(wanted)
        if self.slices.taken_stop(extent.start) is not None:
            self._buffers.release(buffer)
            return None
        extent = self.slices.claimable(extent.start, min(extent.stop, extent.start + len(buffer)))
        claimed = Slice(extent, buffer)
        self.slices.add(claimed)
        self.slices.bell.ring()
        try:
            await answer.fill(claimed.view, lambda count: self._arrived(claimed, count))
        finally:
            received = claimed.received
            self._finish(claimed)
        return received

    def _arrived(self, part: Slice, count: int) -> None:
        part.received += count
        self.received_bytes += count
        part.bell.ring()

    def _finish(self, part: Slice) -> None:
        """A slice gets no more bytes: what came is written, in a task of the registry."""
        part.extent = Extent(part.extent.start, part.extent.start + part.received)
        self._arrived(part, 0)
        self.landing.land(part)

    async def lane(self, ranger: Ranger) -> None:
        """A further lane: slices by Range, until none is missing or parallelism ends."""
        self._lanes += 1
        self._rangers += 1
        self._running.add(asyncio.current_task())
        try:
            while (extent := self.next_missing()) is not None and self._buffers.has_room and not self.is_serial:
                self.slices.asked.add(extent)
                try:
                    answer = await ranger.ask(self, extent)
                    if answer is None:
                        return
                    await self._slice_of(answer, extent)
                except OriginError:
                    return  # its bytes are missing again; who needs them asks for them
                finally:
                    self.slices.give_up(extent)
                    self.slices.bell.ring()
        finally:
            self._rangers -= 1
            self._lane_ended()

    async def _slice_of(self, answer: Answer, extent: Extent) -> None:
        position = extent.start
        try:
            while position < extent.stop:
                if self.slices.taken_stop(position) is not None:
                    return  # lane 0 was faster
                got = await self._receive(answer, self.slices.claimable(position, extent.stop))
                position += got or 0
        finally:
            if not answer.is_done:
                answer.abandon()

    def _lane_ended(self) -> None:
        self._running.discard(asyncio.current_task())
        self._lanes -= 1
        self.slices.bell.ring()

    def stop(self) -> None:
        """Nobody is to find it any more: it goes on for those who read it already, and ends with the last of them."""
        self.is_stopped = True
        self.bar()
        self._end_unread()

    @property
    def _is_unread(self) -> bool:
        return self.is_stopped and self._followers.are_gone

    def _end_unread(self) -> None:
        for task in filter(None, self._running if self._is_unread else ()):
            task.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether no lane runs and nothing is being written."""
        return self._lanes == 0 and self.landing.under_way == 0

    # -- readers

    def join(self, reader: Follower) -> None:
        """Somebody reads from here on."""
        self._followers.join(reader)

    def leave(self, reader: Follower) -> None:
        """Somebody has what it wanted, or has left."""
        self._followers.leave(reader)
        self._end_unread()
        self.landing.reap()
        self.slices.bell.ring()

    def seat(self, position: int) -> Seat:
        """Keeps the bytes from `position` on for a reader that is to come, though the store refuses them."""
        seat = Seat(position, self.leave)
        self.join(seat)
        return seat

    def end(self) -> None:
        """Nothing more comes, and nothing more will be known."""
        self.is_over = True
        self.slices.bell.ring()

    async def changed(self) -> None:
        """Waits until a slice is claimed or written, a lane ends, or a reader moves on."""
        await self.slices.bell.wait()
