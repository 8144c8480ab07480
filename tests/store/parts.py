"""A store without a server, and a look at what it leaves on the disk."""

import asyncio
import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nezha.metrics import Metrics
from nezha.model import Entry, Extent, Fields
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Stored
from nezha.store.store import Store
from tests.objects import pattern
from tests.running import settings_for

SLICE = 64 << 10  # the smallest body of a slice that becomes a file is 32 KiB


def entry(key: str, size: int, etag: str = '"v1"', vary: tuple[tuple[str, str | None], ...] = ()) -> Entry:
    """An entry as a fill makes it."""
    fields = Fields([("Content-Type", "application/octet-stream"), ("ETag", etag)])
    return Entry(
        key=key, version=uuid.uuid4().hex, status=200, fields=fields, size=size,
        requested_at=1.0, answered_at=2.0, is_open=True, vary=vary,
    )  # fmt: skip


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """A metric as it would be scraped, summed over the labels not given."""
    total = 0.0
    for line in metrics.render().decode().splitlines():
        series, _, number = line.rpartition(" ")
        bare, _, rest = series.partition("{")
        if bare == name and {f'{key}="{given}"' for key, given in labels.items()} <= set(rest.rstrip("}").split(",")):
            total += float(number)
    return total


@dataclass
class Opened:
    """An open store."""

    store: Store
    metrics: Metrics
    directory: Path
    bodies: dict[str, bytes] = field(default_factory=dict)

    def metric(self, name: str, **labels: str) -> float:
        return value(self.metrics, name, **labels)

    async def keep(
        self, key: str, body: bytes, etag: str = '"v1"', vary: tuple[tuple[str, str | None], ...] = ()
    ) -> Stored:
        """Stores a whole object, slice by slice."""
        stored = await self.store.begin(entry(key, len(body), etag, vary), is_complete=True)
        await self.fill(stored, body)
        self.bodies[key] = body
        return stored

    async def fill(self, stored: Stored, body: bytes) -> None:
        """Stores the body of a version."""
        with self.store.lease(stored):
            for start in range(0, len(body), SLICE):
                piece = memoryview(body)[start : start + SLICE]
                await self.store.put(stored, Extent(start, start + len(piece)), piece)

    async def read(self, key: str) -> bytes | None:
        """What is stored under a key, by its first variant; None where that is nothing. Raises ExtentCorrupt."""
        found = await self.store.lookup(key)
        return await self.bytes_of(found[0]) if found else None

    async def bytes_of(self, stored: Stored) -> bytes:
        """The stored bytes of a version, opened and checked as a reader does."""
        with self.store.lease(stored):
            return b"".join([await self.bytes_in(stored, extent) for extent in list(stored.body.extents)])

    async def bytes_in(self, stored: Stored, extent: StoredExtent) -> bytes:
        """The bytes of one extent."""
        if extent.inline is not None:
            return self.store.reads.inline(stored, extent)
        return await asyncio.to_thread(self._read_file, stored, extent)

    def _read_file(self, stored: Stored, extent: StoredExtent) -> bytes:
        fd = self.store.reads.open(stored, extent)
        try:
            return os.pread(fd, extent.extent.length, 0)
        finally:
            os.close(fd)

    async def written(self) -> None:
        """Until the index has been given everything that was on its way to it."""
        await self.store._threads.write(int)

    async def until(self, is_so: Callable[[], bool], seconds: float = 10.0) -> None:
        """Until upkeep has done something."""
        async with asyncio.timeout(seconds):
            while not is_so():  # noqa: ASYNC110  # upkeep tells a test nothing; the deadline bounds it
                await asyncio.sleep(0.002)

    async def until_on_disk(self, is_so: Callable[[Path], bool], seconds: float = 10.0) -> None:
        """Until something has happened in the cache's directory."""
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(is_so, self.directory):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def opened(directory: Path, **cache: Any) -> AsyncIterator[Opened]:
    """A store in `directory`/cache, with settings as in the file; closed at the end."""
    metrics = Metrics()
    settings = settings_for(directory, [], **cache).cache
    store = await Store.open(settings, metrics)
    try:
        yield Opened(store, metrics, settings.directory)
    finally:
        await store.close()


def body(size: int, seed: int = 0) -> bytes:
    """Bytes that are not like those of another seed."""
    return pattern(size, seed)


# -- the disk


@contextlib.contextmanager
def database(directory: Path) -> Iterator[sqlite3.Connection]:
    """The index's database, read and written behind Nezha's back. `directory`: the cache's."""
    connection = sqlite3.connect(directory / "index" / "cache.db", isolation_level=None, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class OnDisk:
    """What the index says, checked against the files."""

    objects: int
    body_bytes: int
    versions: frozenset[str]
    files: frozenset[str]


def sound(directory: Path) -> OnDisk:
    """Asserts that rows and files agree: no row without its file, no file without its row, nothing left over."""
    with database(directory) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT key, filename, value, size FROM Cache WHERE raw = 1").fetchall()
        ((account,),) = connection.execute("SELECT value FROM Settings WHERE key = 'size'").fetchall()
    entries = [json.loads(content) for key, _, content, _ in rows if key.startswith("o/")]
    named = {row["version"] for content in entries for row in content["entries"]}
    loose = {key[2:] for key, *_ in rows if key.startswith("l/")}
    assert loose == set()
    extents = [row for row in rows if row[0].startswith("x/")]
    versions = {key.split("/")[1] for key, *_ in extents}
    assert versions <= named
    files = {str(path.relative_to(directory / "index")) for path in (directory / "index").rglob("*.x")}
    assert files == {name for _, name, _, _ in extents if name is not None}
    for _, name, content, size in extents:
        assert size == (len(content) if name is None else (directory / "index" / name).stat().st_size)
    assert list((directory / "staging").glob("*")) == []
    assert account == sum(size for *_, size in extents)
    return OnDisk(len(entries), account, frozenset(versions), frozenset(files))


def extent_files(directory: Path) -> list[Path]:
    """The files of all extents; those of one version in order."""
    return sorted((directory / "index").rglob("*.x"))


def flip(path: Path, at: int) -> None:
    """Changes one byte of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (old,) = file.read(1)
        file.seek(at)
        file.write(bytes([old ^ 0x40]))


@contextlib.asynccontextmanager
async def locked(directory: Path) -> AsyncIterator[None]:
    """As long as this lasts the index can be read and not written: writes wait."""
    connection = await asyncio.to_thread(
        sqlite3.connect, directory / "index" / "cache.db", isolation_level=None, check_same_thread=False
    )
    try:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        yield
        await asyncio.to_thread(connection.execute, "ROLLBACK")
    finally:
        await asyncio.to_thread(connection.close)
