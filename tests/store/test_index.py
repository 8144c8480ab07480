"""The index on a disk: any key, no pickle, no second copy of a file, and what a version may leave behind."""

import asyncio
import os
import pickle
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import diskcache
import pytest

from nezha.errors import StoreError
from nezha.model import Entry, Extent
from nezha.store import leftovers
from nezha.store.bodies import checksums
from nezha.store.index import Adopted, ExtentDisk, Index
from nezha.store.uses import least_recent, touch
from tests.store.parts import body, database, entry, opened, sound

BODY = body(50_000)
CRCS = checksums(memoryview(BODY))
WHOLE = Extent(0, len(BODY))
KEYS = [
    "web//a",
    "web//nul\x00in\x00it\x00",
    "web//100%/%2F/%25",
    "web//caf\xc3\xa9 \xff\x80",
    "web//line\nand\ttab",
    "web//'; DROP TABLE Cache; --",
    'web//"quoted"',
    "web//*?[a-z]_",
    "web//" + 4096 * "k",
    "web//.",
    "web//../../../etc/passwd",
    "web//o/x/l/",
    "",
]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "index")
    made.open()
    yield made
    made.close()


def staged(tmp_path: Path, content: bytes = BODY) -> Adopted:
    path = tmp_path / "staged"
    path.write_bytes(content)
    return Adopted(str(path), len(content))


# -- keys


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_any_text_is_a_key_of_its_own(index: Index, key: str) -> None:
    others = {other: entry(other, 1) for other in KEYS if other != key}
    for other, made in others.items():
        index.put_entries(other, [made])
    mine = entry(key, len(BODY))
    index.put_entries(key, [mine])
    index.add_extent(mine, WHOLE, CRCS, b"in the row" * 5000)
    assert index.entries(key) == [mine]
    assert [each.extent for each in index.extents(mine.version)] == [WHOLE]
    touch(index, [(key, 1.0)])
    assert least_recent(index, None, 1)[0].key == key
    index.put_entries(key, [])
    assert index.entries(key) == []
    assert all(index.entries(other) == [made] for other, made in others.items())
    assert index.objects == len(others)


def test_a_key_that_is_no_text_of_characters_is_an_error_of_the_store(index: Index) -> None:
    with pytest.raises(StoreError):
        index.put_entries("web//\udc80", [entry("web//\udc80", 1)])
    with pytest.raises(StoreError):
        index.entries("web//\udc80")


# -- no pickle


class Trap:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.makedirs, (str(self.path),)


@pytest.mark.parametrize(
    "value", [{}, [], 1, 1.5, None, ("a",), memoryview(b"a"), bytearray(b"a")], ids=lambda value: type(value).__name__
)
def test_a_value_that_would_have_to_be_pickled_is_refused(tmp_path: Path, value: object) -> None:
    disk = ExtentDisk(str(tmp_path))
    with pytest.raises(TypeError):
        disk.store(value, read=False, key="k")
    with pytest.raises(TypeError):
        disk.put(value)


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_the_disk_loads_no_value_of_any_mode(tmp_path: Path, mode: int) -> None:
    disk = ExtentDisk(str(tmp_path))
    with pytest.raises(StoreError):
        disk.fetch(mode, None, pickle.dumps(Trap(tmp_path / "trap")), read=False)
    with pytest.raises(StoreError):
        disk.get(pickle.dumps(Trap(tmp_path / "trap")), raw=False)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("mode", [1, 4])
async def test_a_planted_pickle_is_a_miss_and_is_never_loaded(tmp_path: Path, mode: int, is_raw: bool) -> None:
    trap = tmp_path / "trap"
    async with opened(tmp_path) as first:
        await first.keep("web//a", BODY)
    await asyncio.to_thread(plant, first.directory, pickle.dumps(Trap(trap)), mode, is_raw)
    async with opened(tmp_path) as second:
        assert await second.read("web//a") == (None if is_raw else BODY)
        assert second.metric("nezha_store_errors_total") == 0
        await second.until(lambda: second.metric("nezha_store_bytes") == (0 if is_raw else len(BODY)))
        await second.keep("web//a", BODY, etag='"v2"')
        assert await second.read("web//a") == BODY
    assert not await asyncio.to_thread(trap.exists)


def plant(directory: Path, pickled: bytes, mode: int, is_raw: bool) -> None:
    with database(directory) as connection:
        if is_raw:
            connection.execute("UPDATE Cache SET value = ?, mode = ? WHERE key = 'o/web//a'", (pickled, mode))
        else:
            connection.execute("INSERT INTO Cache(key, raw, mode, value) VALUES ('o/web//a', 0, ?, ?)", (mode, pickled))


def test_a_planted_pickle_file_is_a_gap_and_is_never_loaded(index: Index, tmp_path: Path) -> None:
    mine = entry("web//a", len(BODY))
    index.put_entries("web//a", [mine])
    index.add_extent(mine, WHOLE, CRCS, staged(tmp_path))
    (tmp_path / "index" / "trap.val").write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET mode = 4, filename = 'trap.val' WHERE key LIKE 'x/%'")
    assert index.extents(mine.version) == []
    index.put_entries("web//a", [])
    index.remove_version(mine.version)
    assert not (tmp_path / "trap").exists()
    assert (tmp_path / "index" / "trap.val").exists()


def test_a_planted_file_name_removes_nothing_outside(index: Index, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    mine = entry("web//a", len(BODY))
    index.put_entries("web//a", [mine])
    index.add_extent(mine, WHOLE, CRCS, staged(tmp_path))
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET filename = '../precious' WHERE key LIKE 'x/%'")
    index.put_entries("web//a", [])
    index.remove_version(mine.version)
    assert (tmp_path / "precious").exists()


# -- files


def test_a_staged_file_is_adopted_without_a_second_copy(index: Index, tmp_path: Path) -> None:
    mine = entry("web//a", len(BODY))
    value = staged(tmp_path)
    inode = Path(value.path).stat().st_ino
    index.put_entries("web//a", [mine])
    stored = index.add_extent(mine, WHOLE, CRCS, value)
    assert not Path(value.path).exists()
    assert Path(stored.path).stat().st_ino == inode
    assert Path(stored.path).name.startswith(f"{mine.version}-{0:016x}-")
    assert Path(stored.path).parent == tmp_path / "index" / mine.version[:2]
    assert index.extents(mine.version) == [stored]
    assert index.body_bytes == len(BODY)


def test_an_extent_that_is_written_again_replaces_row_and_file(index: Index, tmp_path: Path) -> None:
    mine = entry("web//a", len(BODY))
    index.put_entries("web//a", [mine])
    first = index.add_extent(mine, WHOLE, CRCS, staged(tmp_path))
    second = index.add_extent(mine, WHOLE, CRCS, staged(tmp_path))
    assert not Path(first.path).exists()
    assert Path(second.path).exists()
    assert index.extents(mine.version) == [second]
    assert index.body_bytes == len(BODY)


def test_an_adoption_that_fails_leaves_no_file_and_no_row(index: Index, tmp_path: Path) -> None:
    mine = entry("web//a", len(BODY))
    index.put_entries("web//a", [mine])
    with database(tmp_path) as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON Cache BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(StoreError, match="no"):
            index.add_extent(mine, WHOLE, CRCS, staged(tmp_path))
        connection.execute("DROP TRIGGER no")
    assert list((tmp_path / "index").rglob("*.x")) == []
    assert index.extents(mine.version) == []
    assert index.body_bytes == 0
    index.add_extent(mine, WHOLE, CRCS, staged(tmp_path))
    assert index.body_bytes == len(BODY)


def test_a_write_behind_a_lock_that_stays_says_what_happened(index: Index, tmp_path: Path) -> None:
    with index.writing() as (_, sql):
        sql("PRAGMA busy_timeout = 10")
    with database(tmp_path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            index.put_entries("web//a", [entry("web//a", 1)])
        connection.execute("ROLLBACK")
    index.put_entries("web//a", [entry("web//a", 1)])
    assert index.objects == 1


def test_diskcache_s_own_transaction_would_hide_the_reason(tmp_path: Path) -> None:
    # Why `_transact` is Nezha's own: should this fail one day, look at it again.
    cache = diskcache.Cache(str(tmp_path / "index"), timeout=0.01)
    with database(tmp_path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(diskcache.Timeout) as caught:
            cache.set("a", 1)
        assert isinstance(caught.value.__context__, sqlite3.OperationalError)
    cache.close()


# -- versions


def test_an_extent_is_added_only_to_a_version_that_an_entry_names_or_that_is_loose(index: Index) -> None:
    mine, hidden = entry("web//a", 3), entry("web//a", 3)
    with pytest.raises(StoreError, match="version"):
        index.add_extent(mine, Extent(0, 3), (1,), b"abc")
    index.put_entries("web//a", [mine])
    index.loosen(hidden.version)
    for each in (mine, hidden):
        index.add_extent(each, Extent(0, 3), (1,), b"abc")
    assert index.body_bytes == 6


def test_a_version_that_loses_its_entry_is_loose_until_it_is_removed(index: Index, tmp_path: Path) -> None:
    old, new = entry("web//a", len(BODY)), entry("web//a", 3)
    index.put_entries("web//a", [old])
    index.add_extent(old, WHOLE, CRCS, staged(tmp_path))
    index.put_entries("web//a", [new])
    assert leftovers.loose(index) == [old.version]
    assert index.body_bytes == len(BODY)
    index.remove_version(old.version)
    assert (leftovers.loose(index), index.body_bytes, index.extents(old.version)) == ([], 0, [])
    assert sound(tmp_path).objects == 1


def test_a_version_that_gets_an_entry_is_no_longer_loose(index: Index) -> None:
    mine = entry("web//a", 3)
    index.loosen(mine.version)
    index.add_extent(mine, Extent(0, 3), (1,), b"abc")
    index.put_entries("web//a", [mine])
    assert leftovers.loose(index) == []
    index.remove_version(mine.version)  # too late: it is named
    assert [each.extent for each in index.extents(mine.version)] == [Extent(0, 3)]


def test_variants_of_a_key_stay_while_one_is_replaced(index: Index) -> None:
    gzip, plain, newer = (
        entry("web//a", 3, vary=(("accept-encoding", name),)) for name in ("gzip", None, "gzip")
    )  # fmt: skip
    index.put_entries("web//a", [gzip, plain])
    index.put_entries("web//a", [plain, newer])
    assert index.entries("web//a") == [plain, newer]
    assert leftovers.loose(index) == [gzip.version]
    assert index.objects == 1


def test_a_closed_index_holds_nothing_and_takes_nothing(index: Index) -> None:
    mine = entry("web//a", 3)
    index.put_entries("web//a", [mine])
    index.close()
    assert index.entries("web//a") == []
    assert least_recent(index, None, 10) == []
    with pytest.raises(StoreError, match="not open"):
        index.put_entries("web//a", [])
    index.open()
    assert index.entries("web//a") == [mine]


def test_the_longest_unused_are_told_page_by_page(index: Index) -> None:
    made: list[Entry] = [entry(f"web//{number}", 3) for number in range(10)]
    for each in made:
        index.put_entries(each.key, [each])
        index.add_extent(each, Extent(0, 3), (1,), b"abc")
    touch(index, [(each.key, 1000.0 - number // 2) for number, each in enumerate(made)])
    told, after = [], None
    while page := least_recent(index, after, 3):
        told += [each.key for each in page]
        after = page[-1]
        assert all(each.body_bytes == 3 for each in page)
    assert told == [f"web//{number}" for number in (8, 9, 6, 7, 4, 5, 2, 3, 0, 1)]
