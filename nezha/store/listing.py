"""What is stored, in the order of keys and a page at a time: for operators, who list and purge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nezha.model import Entry
from nezha.store import rows
from nezha.store.backlog import Keys
from nezha.store.index import Index
from nezha.store.threads import Threads
from nezha.store.uses import bytes_of
from nezha.store.versions import Versions

PAGE = 256  # keys


@dataclass(frozen=True, slots=True)
class Listed:
    """What is stored under a key: its entries, a variant or a form each, and how many bytes of each there are."""

    key: str
    entries: Sequence[tuple[Entry, int]]

    @property
    def versions(self) -> frozenset[str]:
        return frozenset(entry.version for entry, _ in self.entries)

    @property
    def stored_bytes(self) -> int:
        return sum({entry.version: count for entry, count in self.entries}.values())


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
        return Listed(listed.key, [(stored.entry, stored.body.stored_bytes) for stored in known])

    def unwritten(self, is_named: Callable[[str], bool]) -> list[str]:
        """The keys under which something is stored, of which the index does not know yet."""
        backlog = self._versions.backlog
        return [key for key in backlog.unwritten() if is_named(key) and backlog.get(key)]

    def drop(self, page: Sequence[Listed]) -> tuple[list[Listed], list[str]]:
        """Drops what is stored under keys of a page just read, in one write; of some, something is held.

        Gives what is gone, and the keys of the rest, which are the store's to remove.
        """
        gone = [each for each in page if self._versions.end(each.key, each.versions)]
        self._versions.backlog.drop({each.key: each.versions for each in gone}, _drop)
        dropped = {each.key for each in gone}
        return [each for each in gone if each.entries], [each.key for each in page if each.key not in dropped]

    @property
    def is_refused(self) -> bool:
        """Whether the index takes no writes, so that what is gone from memory would come back with a restart."""
        return self._versions.backlog.is_refused


def _drop(index: Index, keys: Keys) -> None:
    """Removes keys with their versions, which nobody holds. One that has others by now was stored since: it stays."""
    with index.writing() as (cache, sql):
        gone = 0
        for key, versions in keys.items():
            found = sql("SELECT value FROM Cache WHERE key = ? AND raw = 1", (f"o/{key}",)).fetchall()
            if not found or {entry.version for entry in index.parsed(key, found[0][0])} != versions:
                continue
            sql("DELETE FROM Cache WHERE key = ? AND raw = 1", (f"o/{key}",))
            gone += 1
            for version in versions:
                extents = sql(rows.REMOVE_EXTENTS, rows.extents_of(version)).fetchall()
                cache.remove_files(name for (name,) in extents)
    index.objects -= gone


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
