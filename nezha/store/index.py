"""The index: diskcache rows of what is stored. Every method blocks: reads in any thread, writes in one.

Rows (all keys raw text, never a pickle):

    o/<key>                    JSON {schema, entries: [...]}: the versions stored under one key, a variant each
    x/<version>/<start>        an extent: its adopted file or inline bytes; tag: JSON {schema, stop, crcs}
    l/<version>                a loose version: extents without an entry, because they are not complete yet or
                               their entry was dropped; what is loose at a start is swept

An extent's file is named after its row (`ab/<version>-<start>-<nonce>.x`), so that a file without a row is
found by walking the directory, a row at a time. Rows of another schema count as absent.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW, UNKNOWN

from nezha.errors import StoreError, StoreFull
from nezha.model import Entry, Extent, Fields
from nezha.store.bodies import StoredExtent

SCHEMA = 1
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
        _, version, start = str(key).split("/")
        name = f"{version[:2]}/{version}-{start}-{secrets.token_hex(4)}.x"
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
        if mode == MODE_RAW:
            return value if isinstance(value, str) else bytes(value)
        if mode == MODE_BINARY and filename:
            return os.path.join(self._directory, filename)
        raise StoreError("index: a row that holds neither text, bytes nor a file")

    def remove(self, file_path: str) -> None:
        Path(self._directory, file_path).unlink(missing_ok=True)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except diskcache.Timeout as error:
        raise StoreError("index: locked by another process") from error
    except sqlite3.Error as error:
        kind = StoreFull if "full" in str(error) else StoreError
        raise kind(f"index: {error}") from error
    except OSError as error:
        kind = StoreFull if error.errno in {28, 122} else StoreError  # ENOSPC, EDQUOT
        raise kind(f"{error.filename or 'index'}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Totals:
    """What is stored: objects, and bytes of their bodies."""

    objects: int
    body_bytes: int


class Index:
    """The rows. Raises StoreError (StoreFull where the volume is full)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with _translated():
            self._cache = diskcache.Cache(
                str(directory), timeout=10, disk=ExtentDisk, eviction_policy="none", cull_limit=0,
                size_limit=1 << 62, disk_min_file_size=_ROW_MAX, statistics=0,
            )  # fmt: skip
            self._cache._sql("CREATE INDEX IF NOT EXISTS nezha_last_use ON Cache (access_time)")

    def close(self) -> None:
        self._cache.close()

    # -- reads

    def entries(self, key: str) -> list[Entry]:
        """The entries stored under a key."""
        with _translated():
            text = self._cache.get(f"o/{key}")
        return _parse_entries(key, text) if isinstance(text, str) else []

    def extents(self, version: str) -> list[StoredExtent]:
        """The extents of a version, sorted."""
        found: list[StoredExtent] = []
        with _translated():
            rows = self._cache._sql(
                "SELECT key, filename, value, tag FROM Cache WHERE key >= ? AND key < ? ORDER BY key",
                (f"x/{version}/", f"x/{version}0"),
            ).fetchall()
        for key, filename, value, tag in rows:
            try:
                facts, start = json.loads(tag), int(key.rpartition("/")[2], 16)
                if facts["schema"] == SCHEMA:
                    path = str(self._directory / filename) if filename else ""
                    inline = None if filename else bytes(value)
                    found.append(StoredExtent(Extent(start, facts["stop"]), tuple(facts["crcs"]), path, inline))
            except (ValueError, KeyError, TypeError):
                continue  # an unreadable row is a gap
        return found

    def totals(self) -> Totals:
        """What is stored now."""
        with _translated():
            (objects,) = self._cache._sql("SELECT COUNT(*) FROM Cache WHERE key >= 'o/' AND key < 'o0'").fetchone()
            (total,) = self._cache._sql("SELECT value FROM Settings WHERE key = 'size'").fetchone()
        return Totals(objects, int(total))

    def least_recent(self, most: int, skip: int = 0) -> list[tuple[str, float]]:
        """Keys with their last use, the longest unused first."""
        with _translated():
            rows = self._cache._sql(
                "SELECT key, access_time FROM Cache WHERE key >= 'o/' AND key < 'o0'"
                " ORDER BY access_time LIMIT ? OFFSET ?",
                (most, skip),
            ).fetchall()
        return [(key[2:], used) for key, used in rows]

    def bytes_of(self, version: str) -> int:
        """Bytes stored of a version."""
        with _translated():
            (total,) = self._cache._sql(
                "SELECT COALESCE(SUM(size), 0) FROM Cache WHERE key >= ? AND key < ?",
                (f"x/{version}/", f"x/{version}0"),
            ).fetchone()
        return int(total)

    # -- writes

    def put_entries(self, key: str, entries: Sequence[Entry], loosened: Sequence[str] = ()) -> None:
        """Replaces what is stored under a key; `loosened` versions lost their entry by it."""
        with _translated(), self._cache.transact():
            for version in loosened:
                self._cache.set(f"l/{version}", "")
            if entries:
                self._cache.set(f"o/{key}", _format_entries(entries))
            else:
                self._cache.delete(f"o/{key}")

    def loosen(self, version: str) -> None:
        """Marks a version whose extents come before its entry."""
        with _translated():
            self._cache.set(f"l/{version}", "")

    def fasten(self, version: str) -> None:
        """Takes the mark away: the version has its entry now."""
        with _translated():
            self._cache.delete(f"l/{version}")

    def add_extent(self, version: str, extent: Extent, crcs: tuple[int, ...], value: Adopted | bytes) -> StoredExtent:
        """Adopts a staged file, or keeps bytes inline, as an extent: it is visible once this returns."""
        row = f"x/{version}/{extent.start:016x}"
        tag = json.dumps({"schema": SCHEMA, "stop": extent.stop, "crcs": crcs})
        with _translated():
            self._cache.set(row, value, tag=tag)
            stored = self._cache.get(row)
        if isinstance(value, bytes):
            return StoredExtent(extent, crcs, inline=value)
        return StoredExtent(extent, crcs, str(stored))

    def remove_extent(self, version: str, start: int) -> None:
        """Removes one extent and its file."""
        with _translated():
            self._cache.delete(f"x/{version}/{start:016x}")

    def remove_version(self, version: str) -> None:
        """Removes every extent of a version, then its loose mark."""
        with _translated():
            rows = self._cache._sql(
                "SELECT key FROM Cache WHERE key >= ? AND key < ?", (f"x/{version}/", f"x/{version}0")
            ).fetchall()
            with self._cache.transact():
                for (row,) in rows:
                    self._cache.delete(row)
                self._cache.delete(f"l/{version}")

    def touch(self, uses: Iterable[tuple[str, float]]) -> None:
        """Records the last use of keys, in seconds since the epoch."""
        with _translated(), self._cache.transact():
            for key, used in uses:
                self._cache._sql("UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1", (used, f"o/{key}"))

    # -- after a crash

    def loose(self) -> list[str]:
        """The versions without an entry."""
        with _translated():
            rows = self._cache._sql("SELECT key FROM Cache WHERE key >= 'l/' AND key < 'l0'").fetchall()
        return [key[2:] for (key,) in rows]

    def folders(self) -> list[Path]:
        """The folders that hold extent files."""
        return sorted(path for path in self._directory.iterdir() if len(path.name) == 2 and path.is_dir())

    def sweep(self, folder: Path) -> int:
        """Removes the files of a folder that no row names (a process ended between rename and row); their number.

        Called in the writing thread, so that no row can be on its way.
        """
        removed = 0
        for path in folder.iterdir():
            version, _, rest = path.name.partition("-")
            with _translated():
                row = self._cache._sql(
                    "SELECT filename FROM Cache WHERE key = ? AND raw = 1", (f"x/{version}/{rest.partition('-')[0]}",)
                ).fetchone()
            if row is None or row[0] != f"{folder.name}/{path.name}":
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _format_entries(entries: Sequence[Entry]) -> str:
    rows = [
        {
            "version": entry.version,
            "status": entry.status,
            "fields": entry.fields.items,
            "size": entry.size,
            "requested_at": entry.requested_at,
            "answered_at": entry.answered_at,
            "is_open": entry.is_open,
            "vary": entry.vary,
        }
        for entry in entries
    ]
    return json.dumps({"schema": SCHEMA, "entries": rows}, separators=(",", ":"))


def _parse_entries(key: str, text: str) -> list[Entry]:
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            return []
        return [
            Entry(
                key=key,
                version=str(row["version"]),
                status=int(row["status"]),
                fields=Fields((str(name), str(value)) for name, value in row["fields"]),
                size=int(row["size"]),
                requested_at=float(row["requested_at"]),
                answered_at=float(row["answered_at"]),
                is_open=bool(row["is_open"]),
                vary=tuple((str(name), None if value is None else str(value)) for name, value in row["vary"]),
            )
            for row in document["entries"]
        ]
    except (ValueError, KeyError, TypeError):
        return []  # unreadable: a miss
