"""The index: diskcache rows of what is stored. Every method blocks: reads in any thread, writes in one.

Rows (all keys raw text, never a pickle; their text is in `rows`):

    o/<key>                    the versions stored under one key, a variant each
    x/<version>/<start>        an extent: its adopted file or inline bytes
    l/<version>                a loose version: no entry names it (yet, or any more)
    e/<bucket>                 the epoch of a bucket
    t                          written to see whether the index can be written

Invariant: a version that has extents is named by an entry or is loose. So a row that leaves makes its
versions loose, extents are added to named or loose versions only, and they leave only with a loose one. What is
loose and alive nowhere is left over, and can be removed at any time.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW, UNKNOWN

from nezha.errors import StoreError
from nezha.model import Entry, Extent
from nezha.store import rows
from nezha.store.bodies import StoredExtent
from nezha.store.faults import IndexBroken, translated

_ROW_MAX = 1 << 30  # diskcache's own limits never decide: Nezha evicts


@dataclass(frozen=True, slots=True)
class Adopted:
    """A staged file to be adopted by rename as the value of a row."""

    path: str
    length: int


class ExtentDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache is untyped
    """Values are text, bytes or adopted files; anything else, and every pickle, is refused (CVE-2025-69872)."""

    def put(self, key: object) -> tuple[str, bool]:
        if not isinstance(key, str):
            raise TypeError(f"a key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        if not raw or not isinstance(key, str):
            raise StoreError("index: a key that is not raw text")
        return key

    def filename(self, key: object = UNKNOWN, value: object = UNKNOWN) -> tuple[str, str]:
        name = rows.file_name(str(key))
        return name, os.path.join(self._directory, name)

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> tuple[int, int, str | None, Any]:
        if isinstance(value, Adopted):
            name, path = self.filename(key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(value.path, path)
            return value.length, MODE_BINARY, name, None
        if isinstance(value, bytes):
            return len(value), MODE_RAW, None, sqlite3.Binary(value)
        if isinstance(value, str):
            return 0, MODE_RAW, None, value
        raise TypeError(f"a value is text, bytes or an adopted file, not {type(value).__name__}")

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> str | bytes:
        raise StoreError("index: rows are read by `Index` only")

    def remove(self, file_path: str) -> None:
        with suppress(OSError):  # its row is gone: the sweep of the next start finds it
            os.unlink(os.path.join(self._directory, *rows.checked_name(file_path)))


def _lenient(text: bytes) -> str:
    return text.decode(errors="backslashreplace")  # a damaged row is met as such, and not as an error of the query


class _Cache(diskcache.Cache):  # type: ignore[misc]
    """Transactions for a failing disk, all in one thread.

    diskcache's own hide why BEGIN failed, leave a failed COMMIT open (then no BEGIN succeeds again), unlink what
    an inner one deleted before the outer one is committed, and leave the file of a failed set behind.
    """

    def __init__(self, directory: str, **settings: object) -> None:
        self._depth = 0
        self._added: list[str | None] = []
        self._removed: list[str | None] = []
        super().__init__(directory, **settings)

    @property
    def _con(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._con
        connection.text_factory = _lenient
        return connection

    @contextmanager
    def _transact(self, retry: bool = False, filename: str | None = None) -> Iterator[tuple[Any, Any]]:
        self._added.append(filename)
        if self._depth:
            yield self._sql, self._removed.append
            return
        self._depth, gone = 1, self._added
        try:
            self._sql("BEGIN IMMEDIATE")
            yield self._sql, self._removed.append
            self._sql("COMMIT")
            gone = self._removed
        except BaseException:
            try:
                if self._con.in_transaction:
                    self._sql("ROLLBACK")
            except sqlite3.Error:
                self.close()  # which ends the transaction; the next use opens the database once more
            raise
        finally:
            self._depth, self._added, self._removed = 0, [], []
            for name in gone:
                if name is not None:
                    self._disk.remove(name)

    def remove_files(self, names: Iterable[str | None]) -> None:
        """Unlinks files of extents once this transaction is committed."""
        self._removed += names


class Index:
    """The rows of one directory. Raises StoreError (StoreFull where the volume is full, IndexBroken).

    Until `open` and after `close` nothing is found, and writing raises StoreError. `unreadable` are the
    keys whose rows were met and could not be read: what they named is to be removed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._cache: _Cache | None = None
        self.objects = 0
        self.body_bytes = 0
        self.unreadable: set[str] = set()

    # -- life

    @property
    def is_open(self) -> bool:
        return self._cache is not None

    def open(self) -> None:
        """Opens the database, which is made where it is missing."""
        with translated():
            try:
                # No memory map: a page that cannot be read would end the process by a signal.
                cache = _Cache(
                    str(self.directory), timeout=10, disk=ExtentDisk, eviction_policy="none", cull_limit=0,
                    size_limit=1 << 62, disk_min_file_size=_ROW_MAX, statistics=0, tag_index=0,
                    sqlite_mmap_size=0, sqlite_cache_size=2048, sqlite_journal_size_limit=16 << 20,
                )  # fmt: skip
                cache._sql(
                    "CREATE INDEX IF NOT EXISTS nezha_last_use ON Cache (access_time, key)"
                    " WHERE key >= 'o/' AND key < 'o0' AND raw = 1"
                )
                self.objects = count_objects(cache._sql)
                self.body_bytes = _body_bytes(cache._sql)
            except (TypeError, ValueError, AttributeError) as error:  # settings that diskcache did not write
                raise IndexBroken(f"index: {error}") from error
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:  # tables that it did not make
                    raise IndexBroken(f"index: {error}") from error
                raise
        self._cache = cache

    def leave(self) -> None:
        """Closes this thread's connection, if it has one."""
        if self._cache is not None:
            with translated():
                self._cache.close()

    def close(self) -> None:
        """Closes the database; the threads that read have left before."""
        try:
            self.leave()
        finally:
            self._cache = None

    def read(self, sql: str, *values: object) -> list[Any]:
        """The rows of a query; none where the index is not open."""
        cache = self._cache
        if cache is None:
            return []
        with translated():
            return list(cache._sql(sql, values))

    @contextmanager
    def writing(self) -> Iterator[tuple[_Cache, Callable[..., Any]]]:
        """A transaction: the cache, and what runs SQL in it. Within another one it is part of that."""
        cache = self._cache
        if cache is None:
            raise StoreError("index: not open")
        with translated():
            with cache._transact() as (sql, _):
                yield cache, sql
                body_bytes = _body_bytes(sql)
            self.body_bytes = body_bytes

    # -- reads

    def entries(self, key: str) -> list[Entry]:
        """The entries stored under a key."""
        found = self.read("SELECT value FROM Cache WHERE key = ? AND raw = 1", f"o/{key}")
        return self.parsed(key, found[0][0]) if found else []

    def parsed(self, key: str, text: object) -> list[Entry]:
        """The entries in a key's row. That it cannot be read is noted."""
        entries = rows.parse_entries(key, text)
        if entries is None:
            self.unreadable.add(key)
        return entries or []

    def extents(self, version: str) -> list[StoredExtent]:
        """The extents of a version, sorted. What cannot be read is a gap."""
        found = self.read(
            "SELECT key, tag, filename, value FROM Cache WHERE key >= ? AND key < ? AND raw = 1 ORDER BY key",
            *rows.extents_of(version),
        )
        parsed = (rows.parse_extent(self.directory, *row) for row in found)
        return [extent for extent in parsed if extent is not None]

    # -- writes

    def put_entries(self, key: str, entries: Sequence[Entry]) -> None:
        """Makes these the versions under a key; those that it named before are loose from now on."""
        with self.writing() as (cache, sql):
            found = sql("SELECT value FROM Cache WHERE key = ? AND raw = 1", (f"o/{key}",)).fetchall()
            before = {entry.version for (text,) in found for entry in self.parsed(key, text)}
            after = {entry.version for entry in entries}
            for version in before - after:
                cache.set(f"l/{version}", "")
            for version in after:
                cache.delete(f"l/{version}")
            if entries:
                cache.set(f"o/{key}", rows.format_entries(key, entries))
            else:
                cache.delete(f"o/{key}")
        self.objects += bool(entries) - len(found)

    def loosen(self, version: str) -> None:
        """Lets a version take extents before its entry comes."""
        with self.writing() as (cache, _):
            cache.set(f"l/{version}", "")

    def add_extent(self, entry: Entry, extent: Extent, crcs: tuple[int, ...], value: Adopted | bytes) -> StoredExtent:
        """Adopts a staged file, or keeps bytes inline, as an extent: it is visible once this returns."""
        row = rows.extent_row(entry.version, extent.start)
        with self.writing() as (cache, sql):
            if not sql(
                "SELECT 1 FROM Cache WHERE raw = 1 AND (key = ? OR key = ? AND instr(value, ?))",
                (f"l/{entry.version}", f"o/{entry.key}", f'"{entry.version}"'),
            ).fetchall():
                raise StoreError("index: the version is not there")
            cache.set(row, value, tag=rows.format_tag(row, extent.stop, crcs))
            ((name,),) = sql("SELECT filename FROM Cache WHERE key = ? AND raw = 1", (row,)).fetchall()
        if isinstance(value, bytes):
            return StoredExtent(extent, crcs, inline=value)
        return StoredExtent(extent, crcs, str(self.directory / name))

    def remove_extent(self, version: str, start: int) -> None:
        """Removes one extent and its file."""
        with self.writing() as (cache, _):
            cache.delete(rows.extent_row(version, start))

    def remove_version(self, version: str) -> None:
        """Removes every extent of a version, if it is loose, and its mark."""
        with self.writing() as (cache, sql):
            if cache.delete(f"l/{version}"):
                found = sql(rows.REMOVE_EXTENTS, rows.extents_of(version)).fetchall()
                cache.remove_files(name for (name,) in found)

    def try_writing(self) -> None:
        """Raises what a write would raise now."""
        with self.writing() as (cache, _):
            cache.set("t", "")


def _body_bytes(sql: Callable[..., Any]) -> int:
    found = sql("SELECT value FROM Settings WHERE key = 'size'").fetchall()
    if not found or not isinstance(found[0][0], int):
        raise IndexBroken("index: its account of bytes is gone")
    return found[0][0]


def count_objects(sql: Callable[..., Any]) -> int:
    """How many objects have a row."""
    ((count,),) = sql("SELECT COUNT(*) FROM Cache WHERE key >= 'o/' AND key < 'o0' AND raw = 1").fetchall()
    return int(count)
