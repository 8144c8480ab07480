"""The versions under each key: from memory, else not written yet, else read from the index.

There is one live `Body` of a version at a time, whoever holds it, so that a lease counts for all; and one live `Stored`
of each of its forms.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from nezha.model import Entry
from nezha.store.backlog import Backlog
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Body, Hot, Stored
from nezha.store.index import Index
from nezha.store.threads import Threads
from nezha.tasks import Tasks

_CLOSE_SECONDS = 5.0


@dataclass(slots=True)
class _Loading:
    """A read of the index for a key. `is_overtaken`: the key has changed since; those who wait read once more."""

    task: "asyncio.Task[list[Stored]]"
    waiting: int = 0
    is_overtaken: bool = False


class Versions:
    """What is stored, by key; `hot` keeps of it what was used last."""

    def __init__(self, index: Index, backlog: Backlog, threads: Threads, hot: Hot) -> None:
        self._index = index
        self.backlog = backlog
        self._threads = threads
        self._hot = hot
        self._live: WeakValueDictionary[tuple[str, str], Stored] = WeakValueDictionary()  # by version and form
        self._bodies: WeakValueDictionary[str, Body] = WeakValueDictionary()  # by version
        self._loading: dict[str, _Loading] = {}
        self._leaving: Counter[str] = Counter()
        self._tasks = Tasks()

    async def close(self) -> None:
        """Waits for what is being read."""
        await self._tasks.finish(_CLOSE_SECONDS)

    def known(self, key: str) -> list[Stored] | None:
        """The versions under a key, where the index need not be asked."""
        known = self._hot.get(key)
        return self.backlog.get(key) if known is None else known

    def glance(self, key: str) -> list[Stored] | None:
        """The same, without counting as a use."""
        known = self._hot.peek(key)
        return self.backlog.get(key) if known is None else known

    async def find(self, key: str) -> list[Stored]:
        """The versions under a key; nothing is kept in memory for it. Raises StoreError."""
        while (known := self.known(key)) is None:
            loading = self._loading.get(key)
            if loading is None:
                loading = self._loading[key] = _Loading(self._tasks.start_for(self._load(key), "load"))
            loading.waiting += 1
            try:
                found = await asyncio.shield(loading.task)
            finally:
                loading.waiting -= 1
                if not loading.waiting and self._loading.get(key) is loading:
                    del self._loading[key]
            if not loading.is_overtaken:
                return found
        return known

    async def _load(self, key: str) -> list[Stored]:
        # Behind what is leaving the index for this key, in its thread.
        run = self._threads.write if self._leaving[key] else self._threads.read
        found = await run(_read, self._index, key)
        versions = [self._stored(entry, extents, is_current=True) for entry, extents in found]
        return [stored for stored in versions if stored.body.is_current]

    def _stored(self, entry: Entry, extents: list[StoredExtent], *, is_current: bool) -> Stored:
        """The live form of an entry; made with `extents`, where its version has none."""
        body = self._bodies.get(entry.version)
        if body is None:
            body = self._bodies[entry.version] = Body(extents, is_current=is_current)
        stored = self._live.get((entry.version, entry.form))
        if stored is None:
            stored = self._live[entry.version, entry.form] = Stored(entry, body)
        return stored

    def changed(self, key: str) -> None:
        """Something under a key has changed: what is being read of it now may be what was before."""
        if (loading := self._loading.pop(key, None)) is not None:
            loading.is_overtaken = True

    def leaving(self, key: str, gone: "asyncio.Future[None]") -> None:
        """Some of what is stored under a key is leaving the index."""
        self.changed(key)
        self._leaving[key] += 1
        gone.add_done_callback(lambda _: self._left(key))

    def _left(self, key: str) -> None:
        self._leaving[key] -= 1
        if not self._leaving[key]:
            del self._leaving[key]

    async def lookup(self, key: str) -> list[Stored]:
        """The versions under a key, which are kept in memory from now on. Raises StoreError."""
        if (known := self._hot.get(key)) is not None:
            return known
        found = await self.find(key)
        if self._index.is_open:
            self._hot.put(key, found)
        return found

    def make(self, entry: Entry) -> Stored:
        """A new version, or a new form of one that is there, which is not stored under its key yet."""
        return self._stored(entry, [], is_current=False)

    def replace(self, key: str, before: Sequence[Stored], after: list[Stored]) -> list[Stored]:
        """Sets the versions of a key, in memory now and in the index soon; gives those that are gone."""
        gone = [old for old in before if old not in after]
        for old in gone:
            old.body.is_current = False
        for new in after:
            new.body.is_current = True
        self.changed(key)
        self._hot.put(key, after)
        self.backlog.put(key, after)
        return gone

    def end(self, key: str, versions: Collection[str]) -> bool:
        """Ends in memory what is stored under a key; False where some of it is held: then nothing has changed."""
        alive = [body for version in versions if (body := self._bodies.get(version)) is not None]
        if any(body.leases for body in alive):
            return False
        for body in alive:
            body.clear()
        self._hot.forget(key)
        self.changed(key)
        return True

    def freshen(self, stored: Stored, entry: Entry) -> None:
        """Gives a version another entry, which the index may learn later."""
        stored.entry = entry
        versions = self.known(entry.key)
        if versions is not None and stored in versions:
            self.backlog.freshen(entry.key, versions)

    def resized(self, stored: Stored) -> None:
        """A version has an extent more or less now."""
        self.changed(stored.entry.key)
        versions = self._hot.peek(stored.entry.key)
        if versions is not None and stored in versions:
            self._hot.put(stored.entry.key, versions)

    def is_leased(self, key: str) -> bool:
        """Whether a version of a key is being read or written."""
        return any(version.body.leases for version in self._hot.peek(key) or self.backlog.get(key) or ())

    def is_alive(self, version: str) -> bool:
        """Whether a version is in memory, and not removed."""
        body = self._bodies.get(version)
        return body is not None and not body.is_removed

    def forget(self) -> None:
        """Nothing is stored any more: the index is lost."""
        for body in list(self._bodies.values()):
            body.clear()
        self._hot.clear()
        self.backlog.clear()


def _read(index: Index, key: str) -> list[tuple[Entry, list[StoredExtent]]]:
    entries = index.entries(key)
    extents = {version: index.extents(version) for version in {entry.version for entry in entries}}
    return [(entry, extents[entry.version]) for entry in entries]
