"""What the store does beside reading and writing: it makes room, gets well again, and clears away what is left over.

    room        `cache.size` and `cache.min_free` hold before an extent is written; what was unused the longest goes
    trouble     a write has failed: the next cycle frees the reserve, evicts, writes what was refused, and tries
    broken      the database is none any more: it is set aside, and the store begins anew
    left over   by a crash or by damage: see `leftovers`

Nothing here makes a request fail: what cannot be stored is not stored, and counted.
"""

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from nezha import log
from nezha.errors import ExtentCorrupt, StoreError, StoreFull
from nezha.metrics import Metrics
from nezha.store import leftovers
from nezha.store.eviction import Candidate, choose
from nezha.store.faults import IndexBroken, refused
from nezha.store.index import Index
from nezha.store.space import Space
from nezha.store.threads import Threads
from nezha.store.uses import least_recent
from nezha.store.versions import Versions
from nezha.tasks import Tasks

_CYCLE_SECONDS = 1.0
_FLUSH_SECONDS = 30.0
_LOG_SECONDS = 10.0
_BARREN_SECONDS = 1.0  # after an eviction that found nothing
_BATCH = 256


class Door(Protocol):
    """The store itself, as upkeep needs it."""

    async def remove(self, key: str) -> int:
        """Drops what is stored under a key; bytes of it."""

    def prepare(self) -> None:
        """Opens the index, and makes the directory for staged files. Blocks. Raises OSError, StoreError."""


class Upkeep:
    """The background work of one store."""

    def __init__(
        self, door: Door, versions: Versions, index: Index, space: Space, threads: Threads, metrics: Metrics
    ) -> None:
        self._door = door
        self._versions = versions
        self._backlog = versions.backlog
        self._index = index
        self._space = space
        self._threads = threads
        self._metrics = metrics
        self._tasks = Tasks()
        self._evicting = asyncio.Lock()
        self._woken = asyncio.Event()
        self._is_in_trouble = self._is_full = self._is_broken = self._is_crowded = False
        self._barren_until = 0.0
        self._flushed_at = time.monotonic()
        self._logged_at: dict[str, float] = {}

    def start(self) -> None:
        """Starts the background work."""
        self._metrics.watch("store_usable", lambda: float(self.is_usable))
        self._metrics.set("store_limit_bytes", self._space.size_bytes)
        self._metrics.watch(
            "volume_free_bytes", lambda: self._space.free_bytes if self._space.total_bytes else math.nan
        )
        self._metrics.watch("volume_min_free_bytes", lambda: self._space.min_free.of(self._space.total_bytes))
        self._tasks.start(self._sweep(), "sweep")
        self._tasks.start(self._run(), "upkeep")
        self._woken.set()

    async def close(self) -> None:
        """Ends the background work, and writes what waited."""
        await self._tasks.cancel()
        try:
            await self._backlog.flush()
        except StoreError as error:
            self.failed(error)

    @property
    def is_usable(self) -> bool:
        """Whether the store takes new bytes, as far as it knows: no write has failed since the last good one."""
        return self._index.is_open and not (self._is_in_trouble or self._is_broken or self._is_crowded)

    def failed(self, error: Exception) -> None:
        """Something that the store tried has failed: it is counted, and the next cycle sees to it."""
        self._count(error)
        self._is_in_trouble = True
        self._is_full |= isinstance(error, StoreFull)
        self._is_broken |= isinstance(error, IndexBroken)
        self.wake()

    def wake(self) -> None:
        """Lets the next cycle begin now."""
        self._woken.set()

    def _count(self, error: Exception) -> None:
        broken = isinstance(error, ExtentCorrupt | IndexBroken)
        kind = "full" if isinstance(error, StoreFull) else "corrupt" if broken else "io"
        self._metrics.count("store_errors", kind)
        if not isinstance(error, StoreError | OSError):
            log.failed("store_error", error)
            return
        now = time.monotonic()
        if now - self._logged_at.get(kind, -_LOG_SECONDS) >= _LOG_SECONDS:  # the counter counts all
            self._logged_at[kind] = now
            log.warn("store_error", kind=kind, message=str(error))

    # -- room

    def _shortage(self, more_bytes: int = 0) -> int:
        return self._space.shortage(self._index.body_bytes, more_bytes)

    async def make_room(self, more_bytes: int) -> None:
        """Evicts until `more_bytes` may be written. Raises StoreFull where they may not."""
        if not await self._fits(more_bytes):
            error = StoreFull(f"no room for {more_bytes} bytes under cache.size and cache.min_free")
            self._count(error)
            raise error

    async def _fits(self, more_bytes: int) -> bool:
        if self._shortage(more_bytes) > 0 and more_bytes <= self._space.size_bytes:
            async with self._evicting:
                await self._threads.read(self._measure)
                shortage = self._shortage(more_bytes)
                if shortage > 0 and time.monotonic() >= self._barren_until:
                    over_size = self._space.over_size(self._index.body_bytes, more_bytes)
                    await self._evict(self._space.goal(shortage), "size" if over_size > 0 else "free")
        self._is_crowded = self._shortage(more_bytes) > 0
        return not self._is_crowded

    def _measure(self) -> None:
        try:
            self._space.measure()
        except OSError as error:
            raise refused(error, "volume") from error

    async def _evict(self, needed_bytes: int, reason: str) -> None:
        """Drops the objects unused the longest, but none that is being read, until so many bytes have gone."""
        with suppress(StoreError):
            await self._backlog.flush()
        after: Candidate | None = None
        total = 0
        while total < needed_bytes:
            batch = await self._threads.read(least_recent, self._index, after, _BATCH)
            if not batch:
                break
            after = batch[-1]
            idle = [
                replace(each, last_use=self._backlog.last_use(each.key, each.last_use))
                for each in batch
                if not self._versions.is_leased(each.key)
            ]
            chosen = choose(idle, needed_bytes - total)
            freed = sum(await asyncio.gather(*(self._door.remove(victim.key) for victim in chosen)))
            self._metrics.count("store_evicted_bytes", reason, by=freed)
            total += freed
            await self._threads.write(self._measure)  # behind the removals: that thread works in order
            if self._backlog.is_refused:
                break  # nothing has gone
        self._barren_until = 0.0 if total else time.monotonic() + _BARREN_SECONDS

    # -- cycles

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CYCLE_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._cycle()
            except (StoreError, OSError) as error:
                self.failed(error)
            if self._woken.is_set():
                await asyncio.sleep(_CYCLE_SECONDS)  # it fails still

    async def _cycle(self) -> None:
        if self._is_broken or not self._index.is_open:
            await self._reopen()
        await self._threads.read(self._measure)
        if self._is_in_trouble:
            await self._recover()
        if self._shortage() > 0:
            await self._fits(0)
        if self._shortage(1) <= 0:
            self._is_crowded = False
        if self._index.unreadable:
            await self._remove_unreadable()
        if not await self._threads.body(self._space.has_reserve) and await self._fits(self._space.reserve_bytes):
            with suppress(OSError):  # who else fills the volume was faster
                await self._threads.body(self._space.keep_reserve)
        if self._backlog.is_long or time.monotonic() - self._flushed_at >= _FLUSH_SECONDS:
            self._flushed_at = time.monotonic()
            await self._backlog.flush()

    async def _recover(self) -> None:
        """Tries once more what failed; after a full volume with the reserve's bytes, and with fewer objects."""
        is_full, self._is_full = self._is_full, False
        self._woken.clear()
        if is_full:
            await self._threads.body(self._space.drop_reserve)
        self._backlog.retry()
        await self._threads.write(self._measure)  # behind those
        if is_full:
            async with self._evicting:
                await self._evict(self._space.goal(self._shortage(self._space.reserve_bytes)), "full")
        await self._tidy()
        await self._threads.write(self._index.try_writing)
        self._is_in_trouble = self._woken.is_set()

    async def _reopen(self) -> None:
        if self._is_broken:
            self._versions.forget()
            await self._threads.write(leftovers.set_aside, self._index)
            self._is_broken = False
        await self._threads.write(self._door.prepare)
        self._tasks.start(self._threads.body(leftovers.remove_broken, self._index), "remove-broken")

    # -- left over

    async def _sweep(self) -> None:
        """What an earlier process left: loose versions, and files without a row."""
        try:
            await self._threads.body(leftovers.remove_broken, self._index)
            await self._tidy()
            for folder in await self._threads.body(leftovers.folders, self._index):
                await self._threads.write(leftovers.sweep, self._index, folder)
        except (StoreError, OSError) as error:
            self.failed(error)

    async def _tidy(self) -> None:
        for version in await self._threads.read(leftovers.loose, self._index):
            if not self._versions.is_alive(version):
                await self._threads.write(self._index.remove_version, version)

    async def _remove_unreadable(self) -> None:
        log.warn("unreadable_rows", count=len(self._index.unreadable))
        await self._threads.write(leftovers.remove_unreadable, self._index)
        strays = await self._threads.body(leftovers.strays, self._index)
        await self._threads.write(leftovers.loosen, self._index, strays)
        await self._tidy()
