"""When a stored extent is compared with its checksum: `verify: first`, `always`, `never`."""

import asyncio
from pathlib import Path

import pytest

from nezha.errors import ExtentCorrupt
from tests.store.parts import SLICE, Opened, body, database, extent_files, flip, opened

SIZE = 3 * SLICE
SMALL = 1000


async def damaged_file(directory: Path) -> None:
    await asyncio.to_thread(lambda: flip(extent_files(directory)[1], 5))


def damage_row(directory: Path) -> None:
    with database(directory) as connection:
        ((value,),) = connection.execute("SELECT value FROM Cache WHERE key LIKE 'x/%'").fetchall()
        connection.execute("UPDATE Cache SET value = ? WHERE key LIKE 'x/%'", (value[:-1] + bytes([value[-1] ^ 1]),))


async def is_read(opened_store: Opened, key: str) -> bool:
    try:
        await opened_store.read(key)
    except ExtentCorrupt:
        return False
    return True


async def test_first_finds_damage_at_the_first_read_after_a_start(tmp_path: Path) -> None:
    async with opened(tmp_path, verify="first") as first:
        await first.keep("web//a", body(SIZE))
    await damaged_file(first.directory)
    for _ in range(2):  # as often as there is a start
        async with opened(tmp_path, verify="first") as again:
            assert not await is_read(again, "web//a")


async def test_first_does_not_look_again_after_a_good_read(tmp_path: Path) -> None:
    async with opened(tmp_path, verify="first") as first:
        await first.keep("web//a", body(SIZE))
    async with opened(tmp_path, verify="first") as again:
        assert await is_read(again, "web//a")
        await damaged_file(again.directory)
        assert await is_read(again, "web//a")


async def test_first_does_not_read_again_what_this_process_wrote(tmp_path: Path) -> None:
    async with opened(tmp_path, verify="first") as first:
        await first.keep("web//a", body(SIZE))
        await damaged_file(first.directory)
        assert await is_read(first, "web//a")


async def test_always_looks_at_each_read(tmp_path: Path) -> None:
    async with opened(tmp_path, verify="always") as first:
        await first.keep("web//a", body(SIZE))
        for _ in range(3):
            assert await is_read(first, "web//a")
        await damaged_file(first.directory)
        for _ in range(3):
            assert not await is_read(first, "web//a")


async def test_never_looks_at_the_length_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, verify="never") as first:
        await first.keep("web//a", body(SIZE))
    await damaged_file(first.directory)
    async with opened(tmp_path, verify="never") as again:
        assert await is_read(again, "web//a")
        await asyncio.to_thread(lambda: extent_files(again.directory)[1].write_bytes(b"short"))
        assert not await is_read(again, "web//a")


@pytest.mark.parametrize(("verify", "is_found"), [("first", True), ("always", True), ("never", False)])
async def test_an_inline_extent_follows_the_same_rule(tmp_path: Path, verify: str, is_found: bool) -> None:
    async with opened(tmp_path, verify=verify) as first:
        await first.keep("web//a", body(SMALL))
    await asyncio.to_thread(damage_row, first.directory)
    async with opened(tmp_path, verify=verify) as again:
        assert await is_read(again, "web//a") is not is_found


async def test_swapped_files_of_two_extents_are_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(SIZE))

    def swap() -> None:
        one, two, _ = extent_files(first.directory)
        content = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(content)

    await asyncio.to_thread(swap)
    async with opened(tmp_path) as again:
        assert not await is_read(again, "web//a")


async def test_a_dropped_extent_is_a_gap_that_can_be_filled_again(tmp_path: Path) -> None:
    content = body(SIZE)
    async with opened(tmp_path) as first:
        await first.keep("web//a", content)
    await damaged_file(first.directory)
    async with opened(tmp_path) as again:
        (stored,) = await again.store.lookup("web//a")
        damaged = stored.body.extents[1]
        again.store.drop_extent(stored, damaged)
        again.store.drop_extent(stored, damaged)  # two readers met it
        assert again.metric("nezha_corrupt_extents_total") == 1
        assert stored.body.at(SLICE) is None
        await again.store.put(stored, damaged.extent, memoryview(content)[slice(*damaged.extent)])
        again.store.drop_extent(stored, damaged)  # a third one, late: what is there now is another extent
        assert again.metric("nezha_corrupt_extents_total") == 1
        assert await again.read("web//a") == content
        assert again.metric("nezha_store_bytes") == SIZE
