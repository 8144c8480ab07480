"""The only door to the store: look up, lease, put, replace, drop, evict.

Everything that blocks runs in threads: index writes in one, in the order in which they were given; reads and
extent files in a few. The live form of an object (`Stored`) belongs to the event loop.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from nezha import log
from nezha.errors import ExtentCorrupt, StoreError, StoreFull
from nezha.metrics import Metrics
from nezha.model import Entry, Extent
from nezha.semantics.decision import is_same_version
from nezha.settings import CacheSettings
from nezha.store import bodies
from nezha.store.bodies import Staging, StoredExtent
from nezha.store.eviction import Candidate, choose
from nezha.store.hot import Hot, Stored
from nezha.store.index import Adopted, Index, Totals
from nezha.store.space import Space
from nezha.tasks import Tasks

INLINE_BYTES = 32 << 10  # smaller extents live in the index row
_VARIANTS_MAX = 8
_FLUSH_SECONDS = 30.0
_MEASURE_SECONDS = 2.0
_BATCH = 256
P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """Stored objects by key. With a broken disk it stores nothing and finds nothing: Nezha serves by pass."""

    _index: Index  # opened in a thread by `open`

    def __init__(self, settings: CacheSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._writer = ThreadPoolExecutor(1, "index")
        self._readers = ThreadPoolExecutor(4, "store")
        self._staging = Staging(settings.directory / "staging", self._readers)
        self._space = Space(settings.directory, settings.size, settings.min_free)
        self._hot = Hot(settings.memory)
        self._loading: dict[str, asyncio.Future[list[Stored]]] = {}
        self._unwritten: Counter[str] = Counter()  # keys whose row is being written
        self._used: dict[str, float] = {}
        self._epochs: dict[tuple[str, str], float] = {}
        self._evicting = asyncio.Lock()
        self._tasks = Tasks()
        self._objects = 0

    # -- life

    @classmethod
    async def open(cls, settings: CacheSettings, metrics: Metrics) -> "Store":
        """Opens the store of a directory, made where it is missing. Raises StoreError where it cannot be used."""
        store = cls(settings, metrics)
        try:
            store._index, totals = await store._run(store._readers, _open, settings.directory, store)
        except (OSError, StoreError) as error:
            store._writer.shutdown(wait=False)
            store._readers.shutdown(wait=False)
            raise StoreError(f"cache.directory {settings.directory}: {error}") from error
        store._objects, store._space.used_bytes = totals.objects, totals.body_bytes
        metrics.watch("store_bytes", lambda: store._space.used_bytes)
        metrics.watch("store_objects", lambda: store._objects)
        metrics.set("store_usable", 1)
        store._tasks.start(store._sweep(), "sweep")
        store._tasks.start(store._keep(), "keep")
        return store

    async def close(self) -> None:
        """Ends background work and writes what is only in memory."""
        await self._tasks.cancel()
        try:
            await self._flush()
            await self._run(self._writer, self._index.close)
        except StoreError as error:
            self._failed(error)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    # -- reading

    async def lookup(self, key: str) -> Sequence[Stored]:
        """The versions stored under a key, one per variant; from memory, else by one thread hop."""
        found = self._hot.get(key)
        if found is not None:
            return found
        if (loading := self._loading.get(key)) is None:
            loading = self._loading[key] = asyncio.ensure_future(self._load(key))  # noqa: TID251  # kept in the table
            loading.add_done_callback(lambda _: self._loading.pop(key, None))
        loaded = await asyncio.shield(loading)
        return self._hot.get(key) or loaded  # what became current while this task waited for its turn

    async def _load(self, key: str) -> list[Stored]:
        try:
            # Behind a write of this very row, in its thread: what was dropped must not be read once more.
            executor = self._writer if self._unwritten[key] else self._readers
            loaded = await self._run(executor, _load, self._index, key)
        except StoreError as error:
            self._failed(error)
            return []
        versions = self._hot.get(key)  # `begin` may have made it while the thread read
        if versions is None:
            versions = loaded
            if loaded:
                self._hot.put(key, versions)
        return versions

    @contextmanager
    def lease(self, stored: Stored) -> Iterator[Stored]:
        """Holds a version: its extents are not unlinked until every lease has ended."""
        stored.leases += 1
        self._touch(stored)
        try:
            yield stored
        finally:
            stored.leases -= 1
            self._settle(stored)

    def open_extent(self, stored: Stored, extent: StoredExtent) -> int:
        """A descriptor of an extent's file, verified as `cache.verify` says. Blocks. Raises ExtentCorrupt."""
        verify = self._must_verify(stored, extent)
        fd = bodies.open_extent(extent, verify=verify)
        stored.verified.add(extent.extent.start)
        return fd

    def read_inline(self, stored: Stored, extent: StoredExtent) -> bytes:
        """The bytes of an inline extent. Raises ExtentCorrupt."""
        data = bodies.verify_inline(extent) if self._must_verify(stored, extent) else extent.inline or b""
        stored.verified.add(extent.extent.start)
        return data

    def _must_verify(self, stored: Stored, extent: StoredExtent) -> bool:
        verify = self._settings.verify
        return verify == "always" or (verify == "first" and extent.extent.start not in stored.verified)

    def _touch(self, stored: Stored) -> None:
        self._used[stored.entry.key] = stored.last_use = time.time()

    # -- writing

    async def begin(self, entry: Entry, *, is_complete: bool) -> Stored:
        """Makes `entry` the version stored for its key and variant; the one it replaces goes when unread.

        With `is_complete` False it becomes visible only by `complete` (a version that is stored whole or not at
        all). A version with the same strong validator that is there already is given instead:

            1. A and B miss; both ask, for different ranges.  2. A's head comes: version v begins.
            3. B's head comes: it must join v, not replace it.
        """
        stored = Stored(entry, [], is_current=False)
        if not is_complete:
            self._submit(partial(self._index.loosen, entry.version))
            return stored
        versions = list(await self.lookup(entry.key))
        for old in versions:
            if old.entry.size == entry.size and is_same_version(old.entry, entry.fields):
                return old
        self._make_current(stored, versions)
        return stored

    async def complete(self, stored: Stored, entry: Entry) -> None:
        """Makes a version visible whose every byte is stored; `entry` knows its size now."""
        stored.entry = entry
        self._make_current(stored, list(await self.lookup(entry.key)))
        self._submit(partial(self._index.fasten, entry.version))

    def _make_current(self, stored: Stored, versions: list[Stored]) -> None:
        gone = [old for old in versions if old.entry.vary == stored.entry.vary]
        kept = sorted((old for old in versions if old not in gone), key=lambda old: old.entry.answered_at)
        gone += kept[: max(0, len(kept) + 1 - _VARIANTS_MAX)]
        stored.is_current = True
        self._replace(stored.entry.key, [old for old in versions if old not in gone] + [stored], gone)

    def freshen(self, stored: Stored, entry: Entry) -> None:
        """Replaces what is known of a version, whose bytes stay (after a 304)."""
        stored.entry = entry
        versions = self._hot.get(entry.key)
        if stored.is_current and versions:
            self._submit_entries(entry.key, versions, [])

    async def put(self, stored: Stored, extent: Extent, view: memoryview) -> StoredExtent:
        """Stores the bytes of an extent: staged, renamed, then its row. Raises StoreError; then nothing is left."""
        await self._make_room(extent.length)
        self._space.coming_bytes += extent.length
        try:
            row = await self._adopt(stored.entry.version, extent, view)
        except StoreError as error:
            self._failed(error)
            raise
        finally:
            self._space.coming_bytes -= extent.length
        self._space.used_bytes += extent.length
        self._space.free_bytes -= extent.length
        stored.add(row)
        stored.verified.add(extent.start)
        self._metrics.set("store_usable", 1)
        return row

    async def _adopt(self, version: str, extent: Extent, view: memoryview) -> StoredExtent:
        if extent.length < INLINE_BYTES:
            crcs = bodies.checksums(view)
            return await self._run(self._writer, self._index.add_extent, version, extent, crcs, bytes(view))
        try:
            path, crcs = await self._staging.write(view)
        except OSError as error:
            kind = StoreFull if error.errno in {28, 122} else StoreError  # ENOSPC, EDQUOT
            raise kind(f"{error.filename or 'staging'}: {error.strerror}") from error
        try:
            adopted = Adopted(path, extent.length)
            return await self._run(self._writer, self._index.add_extent, version, extent, crcs, adopted)
        except StoreError:
            await self._staging.abandon(path)
            raise

    def drop_extent(self, stored: Stored, extent: StoredExtent) -> None:
        """Takes a corrupt extent out: its bytes are a gap from now on."""
        if extent in stored.extents:
            stored.extents.remove(extent)
            self._space.used_bytes -= extent.extent.length
            self._metrics.count("corrupt_extents")
            log.warn("corrupt_extent", key=stored.entry.key, start=extent.extent.start, stop=extent.extent.stop)
            self._submit(partial(self._index.remove_extent, stored.entry.version, extent.extent.start))

    async def remove(self, key: str) -> int:
        """Drops everything stored under a key (invalidate, purge, evict); bytes of it."""
        versions = list(await self.lookup(key))
        if versions:
            self._replace(key, [], versions)
        return sum(version.body_bytes for version in versions)

    def _replace(self, key: str, versions: list[Stored], gone: list[Stored]) -> None:
        """Sets the versions of a key, in memory and in the index; those gone leave the disk when unread."""
        self._objects += len(versions) - len(self._hot.get(key) or ())
        for old in gone:
            old.is_current = False
        if versions:
            self._hot.put(key, versions)
        else:
            self._hot.forget(key)
        loosened = [old.entry.version for old in gone]
        self._submit_entries(key, versions, loosened)
        for old in gone:
            self._settle(old)

    def _submit_entries(self, key: str, versions: list[Stored], loosened: list[str]) -> None:
        self._unwritten[key] += 1
        entries = [each.entry for each in versions]
        written = self._queue(partial(self._index.put_entries, key, entries, loosened))
        written.add_done_callback(lambda _: self._written(key))

    def _written(self, key: str) -> None:
        self._unwritten[key] -= 1
        if not self._unwritten[key]:
            del self._unwritten[key]

    def _settle(self, stored: Stored) -> None:
        """Removes the extents of a version that is neither current nor read."""
        if not stored.is_current and not stored.leases and stored.last_use >= 0:
            stored.last_use = -1  # once
            self._space.used_bytes -= stored.body_bytes
            self._submit(partial(self._index.remove_version, stored.entry.version))

    # -- epochs: unsafe requests that do not say what they change

    def raise_epoch(self, bucket: tuple[str, str]) -> None:
        """Everything of `bucket` (route, bucket) that was answered before now is asked once more before use."""
        self._epochs[bucket] = time.time()

    def epoch(self, bucket: tuple[str, str]) -> float:
        """When the bucket's epoch began, in seconds since the epoch; 0 where it never did."""
        return self._epochs.get(bucket, 0.0)

    # -- room

    async def _make_room(self, more_bytes: int) -> None:
        if self._space.shortage(more_bytes) <= 0:
            return
        async with self._evicting:
            shortage = self._space.shortage(more_bytes)
            if shortage > 0:
                reason = "size" if self._space.used_bytes + more_bytes > self._space.size_bytes else "free"
                await self._evict(self._space.goal(shortage), reason)
        if self._space.shortage(more_bytes) > 0:
            raise StoreFull(f"no room for {more_bytes} bytes under cache.size and cache.min_free")

    async def _evict(self, needed_bytes: int, reason: str) -> None:
        skip = 0
        while needed_bytes > 0:
            batch = await self._run(self._readers, _candidates, self._index, _BATCH, skip)
            recent = [Candidate(each.key, each.body_bytes, self._used.get(each.key, each.last_use)) for each in batch]
            skip += len(batch)
            for victim in choose(recent, needed_bytes):
                if any(version.leases for version in await self.lookup(victim.key)):
                    continue
                freed = await self.remove(victim.key)
                needed_bytes -= freed
                skip -= 1
                self._metrics.count("store_evicted_bytes", reason, by=freed)
            await self._run(self._writer, self._space.measure)  # after the removals: that thread works in order
            if len(batch) < _BATCH:
                break

    async def _keep(self) -> None:
        """Measures the volume, keeps it within its marks, and writes last uses, for as long as the store is open."""
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(_MEASURE_SECONDS)
            try:
                await self._run(self._readers, self._space.measure)
                await self._make_room(0)
                if time.monotonic() - flushed >= _FLUSH_SECONDS:
                    flushed = time.monotonic()
                    await self._flush()
                    await self._run(self._readers, self._space.keep_reserve)
            except (StoreError, OSError) as error:
                self._failed(error)

    async def _flush(self) -> None:
        uses, self._used = self._used, {}
        if uses:
            await self._run(self._writer, self._index.touch, list(uses.items()))

    async def _sweep(self) -> None:
        """Removes what an earlier process left unfinished: loose versions, files without a row."""
        try:
            for version in await self._run(self._readers, self._index.loose):
                await self._run(self._writer, self._index.remove_version, version)
            for folder in await self._run(self._readers, self._index.folders):
                await self._run(self._writer, self._index.sweep, folder)
        except (StoreError, OSError) as error:
            self._failed(error)

    # -- threads

    async def _run(self, executor: Executor, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work, *args)

    def _submit(self, work: Callable[[], object]) -> None:
        """Gives an index write to its thread, in order; its failure is counted."""
        _ = self._queue(work)

    def _queue(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        def done(future: "asyncio.Future[T]") -> None:
            if not future.cancelled() and isinstance(error := future.exception(), Exception):
                self._failed(error)

        future = asyncio.get_running_loop().run_in_executor(self._writer, work)
        future.add_done_callback(done)
        return future

    def _failed(self, error: Exception) -> None:
        kind = "full" if isinstance(error, StoreFull) else "corrupt" if isinstance(error, ExtentCorrupt) else "io"
        self._metrics.count("store_errors", kind)
        self._metrics.set("store_usable", 0)
        log.warn("store_error", kind=kind, message=str(error))
        if kind == "full":
            self._readers.submit(self._space.drop_reserve)


def _open(directory: Path, store: Store) -> tuple[Index, Totals]:
    directory.mkdir(parents=True, exist_ok=True)
    store._staging.clear()
    index = Index(directory / "index")
    store._space.measure()
    store._space.keep_reserve()
    return index, index.totals()


def _load(index: Index, key: str) -> list[Stored]:
    return [Stored(entry, index.extents(entry.version), is_current=True) for entry in index.entries(key)]


def _candidates(index: Index, most: int, skip: int) -> list[Candidate]:
    rows = index.least_recent(most, skip)
    return [
        Candidate(key, sum(index.bytes_of(entry.version) for entry in index.entries(key)), used) for key, used in rows
    ]
