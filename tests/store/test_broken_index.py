"""An index that is damaged: what cannot be trusted is a miss, it is removed, and the store goes on."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nezha.errors import ExtentCorrupt, StoreError
from nezha.model import Extent
from tests.store.parts import SLICE, Opened, body, database, opened, sound

SIZE = 2 * SLICE


def garbage(directory: Path) -> None:
    (directory / "index" / "cache.db").write_bytes(body(50_000, 9))


def header(directory: Path) -> None:
    with (directory / "index" / "cache.db").open("r+b") as file:
        file.write(bytes(100))


def other_tables(directory: Path) -> None:
    (directory / "index" / "cache.db").unlink()
    with sqlite3.connect(directory / "index" / "cache.db") as connection:
        connection.execute("CREATE TABLE Cache (a, b)")
        connection.execute("CREATE TABLE Settings (a, b)")
    connection.close()


def other_settings(directory: Path) -> None:
    with database(directory) as connection:
        connection.execute("INSERT INTO Settings VALUES ('disk_surprise', 1)")


def no_account(directory: Path) -> None:
    with database(directory) as connection:
        connection.execute("UPDATE Settings SET value = 'lots' WHERE key = 'size'")


def a_directory(directory: Path) -> None:
    (directory / "index" / "cache.db").unlink()
    (directory / "index" / "cache.db").mkdir()


def no_database(directory: Path) -> None:
    (directory / "index" / "cache.db").unlink()


DAMAGES = [garbage, header, other_tables, other_settings, no_account, no_database]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
async def test_a_damaged_index_is_begun_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(SIZE))
    await asyncio.to_thread(damage, first.directory)
    async with opened(tmp_path) as again:
        await again.until(lambda: again.metric("nezha_store_usable") == 1)
        assert await again.read("web//a") is None
        await again.keep("web//b", body(SIZE, 2))
        assert await again.read("web//b") == body(SIZE, 2)
        await again.until_on_disk(lambda directory: len(list(directory.rglob("*.x"))) == 2)
    on_disk = await asyncio.to_thread(sound, first.directory)
    assert (on_disk.objects, on_disk.body_bytes) == (1, SIZE)


async def test_an_index_that_cannot_be_a_database_is_set_aside_as_well(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(SIZE))
    await asyncio.to_thread(a_directory, first.directory)
    async with opened(tmp_path) as again:
        assert await again.read("web//a") is None


async def test_damage_that_shows_while_the_store_is_in_use_ends_well(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        for number in range(400):
            await first.keep(f"web//{number}", body(100, number))
        await first.keep("web//large", body(SIZE))

    def damage() -> None:
        with (first.directory / "index" / "cache.db").open("r+b") as file:
            length = file.seek(0, 2)
            file.seek(8192)
            file.write(body(length - 8192, 5))

    async with opened(tmp_path) as again:
        assert await again.read("web//large") == body(SIZE)
        (stored,) = await again.store.lookup("web//large")
        await asyncio.to_thread(damage)
        with again.store.lease(stored):
            for number in range(400):
                assert await again.read(f"web//{number}") in (None, body(100, number))
            await again.until(lambda: again.metric("nezha_store_errors_total", kind="corrupt") > 0)
            await again.until(lambda: again.metric("nezha_store_usable") == 1)
            assert stored.body.at(0) is None  # its reader asks the origin for what it still needs
        assert await again.read("web//large") is None
        await again.keep("web//a", body(SIZE, 2))
        assert await again.read("web//a") == body(SIZE, 2)
    on_disk = await asyncio.to_thread(sound, first.directory)
    assert (on_disk.objects, on_disk.body_bytes) == (1, SIZE)


async def test_wherever_the_database_is_damaged_no_wrong_byte_is_served(tmp_path: Path) -> None:
    bodies = {f"web//{number}": body(size, number) for number, size in enumerate([10, 500, 5000, SLICE, SIZE])}
    async with opened(tmp_path / "0") as first:
        for key, content in bodies.items():
            await first.keep(key, content)
    rng = random.Random(4)
    served = 0
    for turn in range(1, 26):
        await asyncio.to_thread(copy_and_damage, tmp_path / "0", tmp_path / str(turn), rng)
        async with opened(tmp_path / str(turn)) as store:
            served += await read_all(store, bodies)
            await store.until(lambda: store.metric("nezha_store_usable") == 1)
            await keep_new(store)
    assert served > 40


async def keep_new(store: Opened) -> None:
    """The store takes an object: at the latest when it has met the damage and seen to it."""
    async with asyncio.timeout(10):
        while True:
            await store.store.remove("web//new")
            try:
                await store.keep("web//new", body(SIZE, 99), '"new"')
                assert await store.read("web//new") == body(SIZE, 99)
            except StoreError:
                await store.until(lambda: store.metric("nezha_store_usable") == 1)
            else:
                return


def copy_and_damage(source: Path, target: Path, rng: random.Random) -> None:
    shutil.copytree(source, target)
    path = target / "cache" / "index" / "cache.db"
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 5, 50])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


async def read_all(store: Opened, bodies: dict[str, bytes]) -> int:
    """Reads what can be read, which is right; how many objects were whole."""
    whole = 0
    for key, content in bodies.items():
        for stored in await store.store.lookup(key):
            for extent in list(stored.body.extents):
                with contextlib.suppress(ExtentCorrupt):
                    found = await store.bytes_in(stored, extent)
                    assert found == content[slice(*extent.extent)]
                    whole += len(found) == len(content)
    return whole


# -- rows


def set_rows(directory: Path, sql: str, *values: object) -> None:
    with database(directory) as connection:
        connection.execute(sql, values)


async def test_the_rows_of_another_schema_are_misses_and_go_with_all_they_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        for number in range(20):
            await first.keep(f"web//{number}", body(SIZE, number))
    await asyncio.to_thread(
        set_rows,
        first.directory,
        "UPDATE Cache SET value = replace(value, '\"schema\":1', '\"schema\":2') WHERE key < 'p'",
    )
    async with opened(tmp_path) as again:
        assert again.metric("nezha_store_bytes") == 20 * SIZE
        assert await again.read("web//3") is None
        await again.until(lambda: again.metric("nezha_store_bytes") == 0)
        assert again.metric("nezha_store_objects") == 0
        assert again.metric("nezha_store_errors_total") == 0
        await again.keep("web//3", body(SIZE, 3))
    assert (await asyncio.to_thread(sound, first.directory)).body_bytes == SIZE


@pytest.mark.parametrize("value", ["{", "[]", "", None, 5, b"\x80\x04]\x94.", b"{", "\x00"], ids=range(8))
async def test_one_unreadable_row_is_a_miss_and_the_others_stay(tmp_path: Path, value: object) -> None:
    async with opened(tmp_path) as first:
        for key in ("web//a", "web//b"):
            await first.keep(key, body(SIZE))
    await asyncio.to_thread(set_rows, first.directory, "UPDATE Cache SET value = ? WHERE key = 'o/web//a'", value)
    async with opened(tmp_path) as again:
        assert await again.read("web//a") is None
        assert await again.read("web//b") == body(SIZE)
        await again.until(lambda: again.metric("nezha_store_bytes") == SIZE)
        await again.keep("web//a", body(SIZE, 2))
        assert await again.read("web//a") == body(SIZE, 2)
    assert (await asyncio.to_thread(sound, first.directory)).objects == 2


async def test_an_unreadable_row_that_was_replaced_meanwhile_takes_nothing_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(SIZE))
    await asyncio.to_thread(set_rows, first.directory, "UPDATE Cache SET value = '{' WHERE key = 'o/web//a'")
    async with opened(tmp_path) as again:
        await again.keep("web//a", body(SIZE, 2))
        await again.until(lambda: again.metric("nezha_store_bytes") == SIZE)
        assert await again.read("web//a") == body(SIZE, 2)
    assert (await asyncio.to_thread(sound, first.directory)).objects == 1


@pytest.mark.parametrize(
    "change",
    [
        "tag = replace(tag, '\"schema\":1', '\"schema\":3')",
        "tag = '{'",
        "tag = NULL",
        "filename = 'x'",
        "filename = NULL",
    ],
)
async def test_an_unreadable_extent_is_a_gap(tmp_path: Path, change: str) -> None:
    content = body(SIZE)
    async with opened(tmp_path) as first:
        await first.keep("web//a", content)
    sql = f"UPDATE Cache SET {change} WHERE key LIKE 'x/%/0000000000000000'"
    await asyncio.to_thread(set_rows, first.directory, sql)
    async with opened(tmp_path) as again:
        (stored,) = await again.store.lookup("web//a")
        assert stored.body.intervals(Extent(0, SIZE)) == [Extent(SLICE, SIZE)]
        await again.store.put(stored, Extent(0, SLICE), memoryview(content)[:SLICE])
        assert await again.read("web//a") == content
        assert again.metric("nezha_store_bytes") == SIZE
