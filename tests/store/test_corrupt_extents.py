"""A corrupt extent through the whole server: dropped, counted, and fetched again within the same response."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.objects import Object, Pattern, pattern
from tests.origin import Fault, Origin
from tests.rawclient import Truncated
from tests.running import HOST, running, web
from tests.store.parts import database, extent_files, flip, sound

SLICE = 64 << 10
SIZE = 10 * SLICE + 5000  # ten files, and an extent in a row
FRESH = "max-age=3600"


def extents(cache: Path) -> list[Path]:
    """The files of the one stored object, in order."""
    return sorted(extent_files(cache), key=lambda path: path.name.split("-")[1])


def flip_row(cache: Path) -> None:
    with database(cache) as connection:
        ((row, value),) = connection.execute(
            "SELECT rowid, value FROM Cache WHERE key LIKE 'x/%' AND filename IS NULL"
        ).fetchall()
        damaged = bytes([value[0] ^ 1]) + value[1:]
        connection.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (damaged, row))


def swap(cache: Path) -> None:
    first, second, *_ = extents(cache)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def each(damage: Callable[[Path], None], paths: Iterable[Path]) -> None:
    """The same damage to several files."""
    for path in paths:
        damage(path)


DAMAGES: dict[str, tuple[Callable[[Path], None], int]] = {
    "the first extent": (lambda cache: flip(extents(cache)[0], 0), 1),
    "one in the middle": (lambda cache: flip(extents(cache)[4], SLICE // 2), 1),
    "the last file": (lambda cache: flip(extents(cache)[9], SLICE - 1), 1),
    "one in a row": (flip_row, 1),
    "one that is short": (lambda cache: os.truncate(extents(cache)[3], SLICE - 1), 1),
    "one that is empty": (lambda cache: os.truncate(extents(cache)[3], 0), 1),
    "one that has grown": (lambda cache: os.truncate(extents(cache)[3], SLICE + 1), 1),
    "one that is missing": (lambda cache: extents(cache)[3].unlink(), 1),
    "two that were swapped": (swap, 2),
    "three, here and there": (
        lambda cache: each(lambda path: flip(path, 9), [extents(cache)[number] for number in (0, 5, 6)]),
        3,
    ),
    "all of them": (lambda cache: each(lambda path: flip(path, 1), extents(cache)), 10),
    "all that are missing": (lambda cache: each(Path.unlink, extents(cache)), 10),
}


@pytest.mark.parametrize("tls", [False, True], ids=["HTTP", "HTTPS"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_response_is_right_and_the_extent_is_replaced(tmp_path: Path, damage: str, tls: bool) -> None:
    harm, count = DAMAGES[damage]
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        await asyncio.to_thread(harm, tmp_path / "cache")
        origin.clear()
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            async with await nezha.client(name=HOST if tls else None) as client:
                assert (await client.get("/a", HOST)).body == pattern(SIZE)
            assert nezha.metric("nezha_corrupt_extents_total") == count
            assert origin.count() >= 1
            assert origin.bytes_sent <= SIZE
            await nezha.quiet()
            assert nezha.metric("nezha_store_bytes") == SIZE
            origin.clear()
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.count() == 0
            assert nezha.metric("nezha_cut_responses_total") == 0
    assert (await asyncio.to_thread(sound, tmp_path / "cache")).body_bytes == SIZE


async def test_a_small_object_in_a_row_is_fetched_again(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(3000), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        await asyncio.to_thread(flip_row, tmp_path / "cache")
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == pattern(3000)
            assert nezha.metric("nezha_corrupt_extents_total") == 1
            await nezha.quiet()
            assert (await nezha.get("/a")).body == pattern(3000)
            assert origin.count() == 2
    await asyncio.to_thread(sound, tmp_path / "cache")


async def test_many_readers_of_a_corrupt_object_all_get_it_right(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        await asyncio.to_thread(lambda: each(lambda path: flip(path, 1), extents(tmp_path / "cache")[2:7]))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            answers = await asyncio.gather(*(nezha.get("/a") for _ in range(16)))
            assert all(answer.body == pattern(SIZE) for answer in answers)
            await nezha.quiet()
            assert nezha.metric("nezha_store_bytes") == SIZE
            assert nezha.metric("nezha_cut_responses_total") == 0
    await asyncio.to_thread(sound, tmp_path / "cache")


async def test_a_range_beside_the_damage_needs_no_origin(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        await asyncio.to_thread(lambda: flip(extents(tmp_path / "cache")[4], 0))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            beside = await nezha.get("/a", headers={"Range": f"bytes=0-{4 * SLICE - 1}"})
            assert (beside.status, beside.body) == (206, pattern(SIZE)[: 4 * SLICE])
            assert origin.count() == 1
            across = await nezha.get("/a", headers={"Range": f"bytes={4 * SLICE - 10}-{4 * SLICE + 9}"})
            assert (across.status, across.body) == (206, pattern(SIZE)[4 * SLICE - 10 : 4 * SLICE + 10])
            assert nezha.metric("nezha_corrupt_extents_total") == 1


async def test_where_the_origin_is_gone_too_nothing_wrong_is_sent(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        await asyncio.to_thread(lambda: flip(extents(tmp_path / "cache")[4], 0))
        origin.fault("/a", Fault(status=503))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            with pytest.raises(Truncated) as caught:
                await nezha.get("/a")
            assert caught.value.partial == pattern(SIZE)[: len(caught.value.partial)]
            assert nezha.metric("nezha_cut_responses_total") == 1
            origin.heal("/a")
            assert (await nezha.get("/a")).body == pattern(SIZE)


async def test_where_the_object_has_changed_meanwhile_versions_are_not_mixed(tmp_path: Path) -> None:
    async with Origin() as origin:
        served = origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        await asyncio.to_thread(lambda: flip(extents(tmp_path / "cache")[4], 0))
        served.body, served.etag = Pattern(SIZE, 2), '"v2"'
        async with running(tmp_path, web(origin), slice="64KiB") as nezha:
            with pytest.raises(Truncated) as caught:
                await nezha.get("/a")
            assert caught.value.partial == pattern(SIZE)[: len(caught.value.partial)]
            assert (await nezha.get("/a")).body == pattern(SIZE, 2)
