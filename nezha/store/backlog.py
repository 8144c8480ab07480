"""What memory knows and the index does not say yet. It is asked before the index, and written behind its back.

A change is written at once, by a thread; until that is done (or done again, where it failed) the index
must not be read for its key:

    1. An object is dropped; the row is about to be deleted.  2. It is looked up, and the row is still there.
    3. The row goes. What 2 found would be served although it was dropped.

Last uses and freshened entries may be lost with the process: they wait for `flush`.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from nezha.errors import StoreError
from nezha.store.faults import IndexBroken
from nezha.store.hot import Stored
from nezha.store.index import Index
from nezha.store.threads import Threads
from nezha.store.uses import touch

_REFUSED_MAX = 10_000  # keys kept for an index that takes no writes: past them it is given up
_FRESHENED_MAX = 5_000
_USED_MAX = 20_000


Keys = Mapping[str, frozenset[str]]
"""Keys, each with its versions."""


class Backlog:
    """The versions of keys whose rows are not written, and what else is to be written some time."""

    def __init__(self, index: Index, threads: Threads, failed: Callable[[Exception], None]) -> None:
        self._index = index
        self._threads = threads
        self._failed = failed
        self._unwritten: dict[str, list[Stored]] = {}
        self._refused: set[str] = set()  # of those: the index could not be written
        self._freshened: dict[str, list[Stored]] = {}
        self._used: dict[str, float] = {}

    def get(self, key: str) -> list[Stored] | None:
        """The versions under a key whose row is not written; None where the index is right."""
        return self._unwritten.get(key)

    def unwritten(self) -> list[str]:
        """The keys whose rows are not written."""
        return list(self._unwritten)

    def put(self, key: str, versions: list[Stored]) -> None:
        """Writes the row of a key as soon as may be."""
        self._unwritten[key] = versions
        self._freshened.pop(key, None)
        written = self._threads.write_soon(self._index.put_entries, key, [each.entry for each in versions])
        written.add_done_callback(partial(self._written, key, versions))

    def drop(self, keys: Keys, write: Callable[[Index, Keys], None]) -> None:
        """Writes at once that nothing is stored under keys any more, whose versions nobody holds."""
        written = self._threads.write_soon(write, self._index, keys)
        for key in keys:
            gone = self._unwritten[key] = []
            self._freshened.pop(key, None)
            written.add_done_callback(partial(self._written, key, gone))

    def _written(self, key: str, versions: list[Stored], future: "asyncio.Future[None]") -> None:
        if self._unwritten.get(key) is not versions:
            return  # changed once more meanwhile
        if future.cancelled() or future.exception() is not None:
            self._refused.add(key)
            if len(self._refused) > _REFUSED_MAX:
                self._failed(IndexBroken("index: it takes no writes"))
        else:
            del self._unwritten[key]
            self._refused.discard(key)

    @property
    def is_refused(self) -> bool:
        """Whether rows could not be written."""
        return bool(self._refused)

    def retry(self) -> None:
        """Writes once more what could not be written."""
        for key in list(self._refused):
            self.put(key, list(self._unwritten[key]))

    def freshen(self, key: str, versions: list[Stored]) -> None:
        """Writes the row of a key, whose entries have changed and whose versions have not, at the next flush."""
        if len(self._freshened) < _FRESHENED_MAX:
            self._freshened[key] = versions

    def use(self, key: str, now: float) -> None:
        """Notes that a key was used."""
        self._used[key] = now

    @property
    def is_long(self) -> bool:
        """Whether it is time to flush."""
        return len(self._used) > _USED_MAX or len(self._freshened) >= _FRESHENED_MAX

    def last_use(self, key: str, known: float) -> float:
        """When a key was used last, where the index knows of `known`."""
        return self._used.get(key, known)

    async def flush(self) -> None:
        """Writes what may wait. Raises StoreError."""
        freshened, self._freshened = self._freshened, {}
        for key, versions in freshened.items():
            self.put(key, list(versions))
        uses, self._used = self._used, {}
        if uses:
            try:
                await self._threads.write(touch, self._index, list(uses.items()))
            except StoreError:
                self._used = uses | self._used
                raise

    def clear(self) -> None:
        """Forgets everything: there is no index any more."""
        for noted in (self._unwritten, self._refused, self._freshened, self._used):
            noted.clear()
