"""What is stored, in the order of keys and a page at a time: for operators, who list and purge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nezha.model import Entry
from nezha.store.index import Index
from nezha.store.threads import Threads
from nezha.store.uses import bytes_of
from nezha.store.versions import Versions

PAGE = 256  # keys


@dataclass(frozen=True, slots=True)
class Listed:
    """What is stored under a key: its entries, a variant each, and how many bytes of each there are."""

    key: str
    entries: Sequence[tuple[Entry, int]]


class Listing:
    """Reads the index in its threads, so that the loop waits for nothing, however much is stored."""

    def __init__(self, index: Index, versions: Versions, threads: Threads) -> None:
        self._index = index
        self._versions = versions
        self._threads = threads

    async def page(self, span: tuple[str, str], after: str) -> list[Listed]:
        """The next keys of an interval, behind `after` (empty: from its start); none at its end. Raises StoreError.

        What memory knows better is taken from there. A key whose row is not written yet is none of them.
        """
        found = await self._threads.read(_page, self._index, span, after)
        return [self._as_known(each) for each in found]

    def _as_known(self, listed: Listed) -> Listed:
        known = self._versions.glance(listed.key)
        if known is None:
            return listed
        return Listed(listed.key, [(stored.entry, stored.body_bytes) for stored in known])

    def unwritten(self, is_named: Callable[[str], bool]) -> list[str]:
        """The keys under which something is stored, of which the index does not know yet."""
        backlog = self._versions.backlog
        return [key for key in backlog.unwritten() if is_named(key) and backlog.get(key)]

    def forget(self, keys: Sequence[str]) -> None:
        """Lets memory forget of keys that nothing is stored under them: the index says so by now."""
        for key in keys:
            self._versions.forget_absent(key)

    @property
    def is_refused(self) -> bool:
        """Whether the index takes no writes, so that what is gone from memory would come back with a restart."""
        return self._versions.backlog.is_refused


def _page(index: Index, span: tuple[str, str], after: str) -> list[Listed]:
    start, stop = span
    found = index.read(
        "SELECT key, value FROM Cache WHERE key >= ? AND key > ? AND key < ? AND raw = 1 ORDER BY key LIMIT ?",
        f"o/{start}",
        f"o/{after}" if after else "",
        f"o/{stop}",
        PAGE,
    )
    return [
        Listed(row[2:], [(entry, bytes_of(index, entry.version)) for entry in index.parsed(row[2:], value)])
        for row, value in found
    ]
