"""The only door to the store: look up, lease, begin, put, complete, replace, drop.

    begin, put, put ..., complete        an entry and its extents (`adoption`)
    replaced, removed, evicted           then not current; when the last lease has ended its extents leave the disk

The live form of a version (`Stored`) belongs to the event loop; what blocks runs in `threads`. What goes wrong there
is `upkeep`'s to mend; to callers it is a miss, or bytes that are not stored.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from nezha import log
from nezha.errors import StoreError, StoreFull
from nezha.metrics import Metrics
from nezha.model import Entry, Extent
from nezha.semantics.storing import is_beside, is_same_version
from nezha.settings import CacheSettings
from nezha.store.adoption import Adoption
from nezha.store.backlog import Backlog
from nezha.store.bodies import Staging, StoredExtent
from nezha.store.epochs import Epochs
from nezha.store.faults import refused
from nezha.store.hot import Hot, Stored, bodies_of
from nezha.store.index import Index
from nezha.store.listing import Listing
from nezha.store.memory import Memory
from nezha.store.reads import Reads
from nezha.store.space import Space, claim
from nezha.store.threads import Threads
from nezha.store.upkeep import Upkeep
from nezha.store.versions import Versions

_VARIANTS_MAX = 8
_WRITTEN_SECONDS = 5.0
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO}  # what is wrong with the volume, and not with the settings


class Store:
    """Stored objects by key. With a broken disk it stores nothing and finds nothing: Nezha serves by pass."""

    def __init__(self, settings: CacheSettings, metrics: Metrics, now: Callable[[], float]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._threads = Threads(self._failed)
        self._index = Index(settings.directory / "index")
        self._space = Space(settings.directory, settings.size, settings.min_free)
        self._staging = Staging(settings.directory / "staging", self._threads.bodies)
        self._adoption = Adoption(self._index, self._staging, self._space, self._threads)
        self._backlog = Backlog(self._index, self._threads, self._failed)
        self._memory = Memory(settings.memory)
        hot = Hot(settings.memory, self._memory.reserve)
        self._versions = Versions(self._index, self._backlog, self._threads, hot)
        self.reads = Reads(settings, self._memory)
        self.epochs = Epochs(self._index, self._threads, now)
        self.listing = Listing(self._index, self._versions, self._threads)
        self._upkeep = Upkeep(self, self._versions, self._index, self._space, self._threads, metrics)
        self._claim: int | None = None

    # -- life

    @classmethod
    async def open(cls, settings: CacheSettings, metrics: Metrics, now: Callable[[], float] = time.time) -> "Store":
        """Opens the store of a directory, made where it is missing.

        Raises StoreError where the directory cannot be used. A full volume or a damaged index is no such
        reason: the store gets well in the background, and meanwhile everything is a miss.
        """
        store = cls(settings, metrics, now)
        try:
            await store._threads.write(store.prepare)
        except OSError as error:
            if error.errno not in _PASSING:
                await store._end()
                where = error.filename or settings.directory
                raise StoreError(f"cache.directory {settings.directory}: {where}: {error.strerror}") from error
            store._failed(refused(error, "volume"))
        except StoreError as error:
            store._failed(error)
        metrics.watch("store_bytes", lambda: store._index.body_bytes)
        metrics.watch("hot_bytes", lambda: store._memory.held_bytes)
        metrics.watch("store_objects", lambda: store._index.objects)
        store._upkeep.start()
        return store

    def prepare(self) -> None:
        """Claims the directory and opens the index, as far as that is not done. Blocks. Raises OSError, StoreError."""
        if self._claim is None:
            self._claim = claim(self._settings.directory)
            self._staging.make(is_swept=True)
        self._staging.make(is_swept=False)
        self._space.measure()
        if not self._index.is_open:
            try:
                self._index.open()
            except StoreFull:
                self._space.drop_reserve()
                self._index.open()
            self.epochs.load()

    async def close(self) -> None:
        """Ends background work and writes what is only in memory."""
        await self._upkeep.close()
        await self._versions.close()
        try:
            await self._threads.in_each_reader(self._index.leave)
            await self._threads.write(self._index.close)
        except StoreError as error:
            self._failed(error)
        await self._end()

    async def _end(self) -> None:
        await self._threads.close()
        if self._claim is not None:
            os.close(self._claim)

    def _failed(self, error: Exception) -> None:
        self._upkeep.failed(error)

    # -- reading

    async def lookup(self, key: str) -> Sequence[Stored]:
        """The versions stored under a key, one per variant; from memory, else by one thread hop."""
        try:
            found = await self._versions.lookup(key)
        except StoreError as error:
            self._failed(error)
            return []
        if self._index.unreadable:
            self._upkeep.wake()
        return found

    @contextmanager
    def lease(self, stored: Stored) -> Iterator[Stored]:
        """Holds a version: its extents are not unlinked until every lease has ended."""
        self._backlog.use(stored.entry.key, time.time())
        with self._held(stored):
            yield stored

    @contextmanager
    def _held(self, stored: Stored) -> Iterator[None]:
        stored.body.leases += 1
        try:
            yield
        finally:
            stored.body.leases -= 1
            self._settle(stored)

    # -- writing

    async def begin(self, entry: Entry, *, is_complete: bool) -> Stored:
        """Makes `entry` the version stored for its key and variant; the one it replaces goes when unread.

        With `is_complete` False it becomes visible only by `complete` (a version that is stored whole or not at
        all). A version with the same strong validator that is there already is given instead:

            1. A and B miss; both ask, for different ranges.  2. A's head comes: version v begins.
            3. B's head comes: it must join v, not replace it.

        Where what is there is another form of the same version (equal marks), `entry` becomes one more form of it.
        """
        if not is_complete:
            _ = self._threads.write_soon(self._index.loosen, entry.version)
            return self._versions.make(entry)
        versions = await self.lookup(entry.key)
        for old in versions:
            if old.entry.size == entry.size and is_same_version(old.entry, entry.fields, entry.mark):
                if old.entry.form == entry.form:
                    return old
                if entry.mark:
                    entry = replace(entry, version=old.entry.version)
        stored = self._versions.make(entry)
        self._make_current(stored, versions)
        return stored

    async def complete(self, stored: Stored, entry: Entry, may: Callable[[], bool] = lambda: True) -> None:
        """Makes a version visible whose every byte is stored; `entry` knows its size now. `may` it still be?"""
        versions = await self.lookup(entry.key)
        if may() and not stored.body.is_barred:
            stored.entry = entry
            self._make_current(stored, versions)

    def _make_current(self, stored: Stored, versions: Sequence[Stored]) -> None:
        kept = [old for old in versions if is_beside(old.entry, stored.entry)]
        kept = sorted(kept, key=lambda old: old.entry.answered_at)[1 - _VARIANTS_MAX :]
        self._replace(stored.entry.key, versions, [*kept, stored])

    def freshen(self, stored: Stored, entry: Entry) -> None:
        """Replaces what is known of a version, whose bytes stay (after a 304)."""
        self._versions.freshen(stored, entry)

    async def bar(self, stored: Stored) -> None:
        """Drops a version that was allowed to be stored and is no more; one that is not visible never becomes so."""
        stored.body.is_barred = True
        if stored.body.is_current:
            await self.remove(stored.entry.key)

    async def put(self, stored: Stored, extent: Extent, view: memoryview) -> StoredExtent:
        """Stores the bytes of an extent: staged, renamed, then its row. Raises StoreError; then nothing is left.

        The version is held, so that what is written is removed with it where it is dropped meanwhile.
        """
        if stored.body.is_removed or stored.body.overlaps(extent):
            raise StoreError("the version takes no such extent")
        with self._held(stored), _member(stored.body.coming, extent):
            await self._upkeep.make_room(extent.length)
            self._space.coming_bytes += extent.length
            try:
                row = await self._adoption.adopt(stored.entry, extent, view)
            except StoreError as error:
                self._failed(error)
                raise
            finally:
                self._space.coming_bytes -= extent.length
            stored.body.add(row)
            stored.body.verified.add(extent.start)
            self._versions.resized(stored)
        return row

    # -- dropping

    def drop_extent(self, stored: Stored, extent: StoredExtent) -> None:
        """Takes a corrupt extent out: its bytes are a gap from now on."""
        self.reads.forget([extent])
        if stored.body.discard(extent):
            self._metrics.count("corrupt_extents")
            key = log.masked(stored.entry.key)
            log.warn("corrupt_extent", key=key, start=extent.extent.start, stop=extent.extent.stop)
            gone = self._threads.write_soon(self._index.remove_extent, stored.entry.version, extent.extent.start)
            self._versions.resized(stored)
            self._versions.leaving(stored.entry.key, gone)

    def reject(self, stored: Stored) -> None:
        """Drops a version whose bytes are not what its origin says they are."""
        self._metrics.count("store_errors", "checksum")
        if stored.body.is_current:
            versions = self._versions.known(stored.entry.key) or [stored]
            self._replace(stored.entry.key, versions, [each for each in versions if each.body is not stored.body])

    async def remove(self, key: str) -> int:
        """Drops everything stored under a key (invalidate, purge, evict); bytes of it."""
        try:
            versions = await self._versions.find(key)
        except StoreError as error:
            self._failed(error)
            versions = []  # what is there must go all the same
        else:
            if not versions and self._index.is_open:
                return 0
        body_bytes = sum(body.stored_bytes for body in bodies_of(versions))
        self._replace(key, versions, [])
        return body_bytes

    async def restore(self, key: str, versions: Sequence[Stored]) -> None:
        """Makes versions current again that were removed and leased meanwhile, unless others are there by now."""
        kept = [stored for stored in versions if not stored.body.is_removed]
        if kept and not await self.lookup(key):
            self._replace(key, [], kept)

    async def written(self) -> None:
        """Returns when the index says what was dropped or raised before, so that a crash does not undo it.

        An index that takes no writes is not waited for much longer than a request can be.
        """
        await asyncio.wait({self._threads.write_soon(int)}, timeout=_WRITTEN_SECONDS)

    def _replace(self, key: str, before: Sequence[Stored], after: list[Stored]) -> None:
        for old in self._versions.replace(key, before, after):
            self._settle(old)

    def _settle(self, stored: Stored) -> None:
        """Removes the extents of a version that is neither current nor read."""
        body = stored.body
        if not (body.is_current or body.leases or body.is_removed):
            self.reads.forget(body.extents)
            body.clear()
            _ = self._threads.write_soon(self._index.remove_version, stored.entry.version)


@contextmanager
def _member(extents: set[Extent], extent: Extent) -> Iterator[None]:
    extents.add(extent)
    try:
        yield
    finally:
        extents.discard(extent)
