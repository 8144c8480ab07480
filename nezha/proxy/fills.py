"""The registry of fills: who is asking for what, what is being fetched, and the tasks that do it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nezha import log
from nezha.errors import OriginError
from nezha.metrics import Metrics
from nezha.model import Extent
from nezha.proxy.answer import Answer
from nezha.proxy.buffers import Buffers
from nezha.proxy.fill import Fill
from nezha.proxy.roles import Ranger
from nezha.proxy.slices import UNKNOWN
from nezha.semantics.ranges import Span, gaps
from nezha.store.hot import Stored
from nezha.store.store import Store
from nezha.tasks import Tasks

T = TypeVar("T")
LANE_DELAY_SECONDS = 0.02  # a lane 0 that brings a slice in less is faster alone
SLICES_MIN = 4  # smaller objects are not worth a second request


@dataclass(eq=False, slots=True)
class Lead:
    """A request on its way to the origin, and the bytes it asks for. Others may wait for its head, never its body."""

    span: Span
    form: str  # of its URL: who asks by another one gets no answer by its
    is_outdated: bool = False  # an unsafe request named its key: what its answer says was true before that
    was_refused: bool = False  # the origin's answer speaks of the leader, not of the object
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self) -> None:
        """The head has come (or failed): those who wait look again, and find a fill or ask for themselves."""
        self._settled.set()

    async def settled(self) -> bool:
        """Waits for the head; whether it was a refusal, after which another may lead."""
        await self._settled.wait()
        return self.was_refused


class Fills:
    """All fills of the process."""

    def __init__(self, store: Store, buffers: Buffers, metrics: Metrics) -> None:
        self._store = store
        self._buffers = buffers
        self._leads: dict[str, list[Lead]] = {}
        self._fills: dict[str, Fill] = {}  # by version
        self._tasks = Tasks()
        metrics.watch("fills_running", lambda: len(self._fills))
        metrics.watch("fill_bytes_buffered", lambda: buffers.used_bytes)

    def lead(self, key: str, span: Span, form: str) -> Lead:
        """Takes the lead for a span of a key, at once: whoever looks after this finds it, until it is ended."""
        lead = Lead(span, form)
        self._leads.setdefault(key, []).append(lead)
        return lead

    def end(self, key: str, lead: Lead) -> None:
        """The lead's head is there, or will never be."""
        lead.settle()
        self._leads[key].remove(lead)
        if not self._leads[key]:
            del self._leads[key]

    def lead_for(self, key: str, span: Span, form: str) -> Lead | None:
        """Who is asking for all of `span` already, by the same form."""
        asking = (lead for lead in self._leads.get(key, ()) if lead.form == form and not lead.is_outdated)
        return next((lead for lead in asking if lead.span.covers(span)), None)

    def of(self, stored: Stored) -> Fill | None:
        """The running fill of a version."""
        return self._fills.get(stored.entry.version)

    def hidden(self, key: str) -> list[Stored]:
        """Versions of a key that only their running fill knows: those without a strong validator."""
        return [
            fill.stored
            for fill in self._fills.values()
            if fill.stored.entry.key == key and not fill.stored.body.is_current and fill.may_complete
        ]

    def invalidate(self, key: str) -> None:
        """What is on its way under a key is not stored: an unsafe request may have changed it."""
        for lead in self._leads.get(key, ()):
            lead.is_outdated = True
        for fill in self._fills.values():
            if fill.stored.entry.key == key:
                fill.bar()

    def stop(self, is_named: Callable[[str], bool]) -> int:
        """Ends what is on its way under some keys, for all but those who read it already; how many fills."""
        for key in filter(is_named, list(self._leads)):
            self.invalidate(key)
        stopped = [fill for fill in self._fills.values() if is_named(fill.stored.entry.key)]
        for fill in stopped:
            fill.stop()
        return len(stopped)

    def own(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs a leader's work in a task of the registry."""
        return self._tasks.start_for(work, "lead")

    def background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Runs what nobody waits for in a task of the registry."""
        self._tasks.start(work, name)

    def start(
        self, stored: Stored, size: int | None, answer: Answer, extent: Extent, *, is_overtaking: bool = False
    ) -> Fill:
        """Adds a lane with an answer to the fill of a version, which is started where none runs.

        An answer all of whose bytes are there is dropped; where it is not meant to overtake them, on their way too.
        """
        fill = self.of(stored)
        if fill is None or size is None:
            is_there = False
        elif is_overtaking:
            is_there = fill.slices.is_taken(extent)
        else:
            is_there = not gaps(extent, fill.slices.coverage(extent))
        if fill is not None and is_there:
            answer.abandon()
            return fill
        is_new = fill is None
        if fill is None:
            fill = self._fills[stored.entry.version] = Fill(stored, size, self._store, self._buffers, self._tasks)
        lane = fill.expect(extent if size is not None else Extent(0, UNKNOWN))
        self._tasks.start(self._stream(fill, lane, answer), "lane-0")
        if is_new:
            self._tasks.start(self._watch(fill), "fill")
        return fill

    async def _stream(self, fill: Fill, lane: object, answer: Answer) -> None:
        try:
            await fill.stream(lane, answer)
            if fill.is_parallel and fill.ranger is not None:
                await fill.lane(fill.ranger)  # its connection is free for a slice now
        except OriginError as error:
            fill.is_broken = True
            log.warn("fill_broken", key=log.masked(fill.stored.entry.key), message=str(error))

    async def _watch(self, fill: Fill) -> None:
        """Keeps the fill's version while it runs, and ends it: whole, partial, or nothing."""
        with self._store.lease(fill.stored):
            try:
                while not fill.is_idle:
                    await fill.changed()
                if fill.may_complete and fill.landing.may_store and not fill.is_broken:
                    await self._store.complete(fill.stored, fill.stored.entry, lambda: fill.may_complete)
            finally:
                del self._fills[fill.stored.entry.version]
                fill.end()

    def widen(self, fill: Fill, ranger: Ranger, lanes: int) -> None:
        """Lets more lanes help a fill that is worth it, once lane 0 has proven to be slow."""
        is_long = fill.size is not None and fill.size >= SLICES_MIN * self._buffers.slice_bytes
        if is_long and fill.is_partial_usable and lanes > 1 and fill.ranger is None:
            fill.ranger = ranger
            self._tasks.start(self._widen(fill, ranger, lanes - 1), "widen")

    async def _widen(self, fill: Fill, ranger: Ranger, lanes: int) -> None:
        while True:
            before = fill.received_bytes
            await asyncio.sleep(LANE_DELAY_SECONDS)
            if fill.is_idle or fill.next_missing() is None:
                return
            came = fill.received_bytes - before + fill.unread_bytes  # what was not taken is no fault of the origin's
            if came < self._buffers.slice_bytes:
                break
        for _ in range(lanes):
            self._tasks.start(fill.lane(ranger), "lane")

    async def close(self, seconds: float) -> None:
        """Lets running fills end for so long, then abandons them: what is stored of a strong version stays."""
        await self._tasks.finish(seconds)
        await self._tasks.cancel()
