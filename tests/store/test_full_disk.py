"""A full volume: every answer is still right, what failed is counted, and the store gets well by itself."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nezha.errors import StoreError
from nezha.model import Extent
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.running import Running, running, web
from tests.store.conftest import Mount
from tests.store.parts import SLICE, Opened, body, entry, opened, sound

MIB = 1 << 20
FRESH = "max-age=3600"


def fill(directory: Path, *, keep: int = 0) -> Path:
    """Takes what is free on the volume, but for `keep` bytes."""
    path = directory / "other"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            free = os.statvfs(directory).f_bavail * 4096
            file.write(bytes(max(4096, min(MIB, free))))
    if keep:
        os.truncate(path, path.stat().st_size - keep)
    return path


async def filled(directory: Path, *, keep: int = 0) -> Path:
    return await asyncio.to_thread(fill, directory, keep=keep)


async def emptied(directory: Path) -> None:
    await asyncio.to_thread((directory / "other").unlink)


async def try_to_keep(store: Opened, key: str, content: bytes, etag: str) -> bool:
    with contextlib.suppress(StoreError):
        await store.keep(key, content, etag)
        return True
    return False


# -- the store


async def test_the_reserve_lets_the_store_make_room_on_a_full_volume(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "64m")
    async with opened(directory, size="1GiB", min_free=0) as store:
        for number in range(20):
            await store.keep(f"web//{number}", body(MIB, number))
        await store.until_on_disk(lambda cache: (cache / "reserve").exists())
        await filled(directory)
        assert await store.read("web//7") == body(MIB, 7)  # reading needs no room
        for size in (100, SLICE):
            stored = await store.store.begin(entry(f"web//{size}", size), is_complete=True)
            async with asyncio.timeout(10):
                while not stored.body.extents:
                    with contextlib.suppress(StoreError):
                        await store.store.put(stored, Extent(0, size), memoryview(body(size)))
                    await asyncio.sleep(0)
        await store.until(lambda: store.metric("nezha_store_usable") == 1)
        assert store.metric("nezha_store_evicted_bytes_total") > 0
        assert store.metric("nezha_store_bytes") > 5 * MIB
        assert await store.read("web//19") == body(MIB, 19)
        await store.until_on_disk(lambda cache: (cache / "reserve").exists())
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes == store.metric("nezha_store_bytes")


@pytest.mark.parametrize("keep", [0, 8192, 65536, 300_000])
async def test_whatever_is_left_free_a_failed_write_leaves_nothing_behind(mount: Mount, keep: int) -> None:
    directory = await asyncio.to_thread(mount, "32m")
    async with opened(directory, size="1GiB", min_free=0) as store:
        await store.keep("web//old", body(MIB, 1))
        await store.until_on_disk(lambda cache: (cache / "reserve").exists())
        await filled(directory, keep=keep)
        for number in range(6):
            for size in (50, 20_000, SLICE, 3 * SLICE):
                await try_to_keep(store, f"web//{size}", body(size, number), f'"{number}"')
        await emptied(directory)
        await store.until(lambda: store.metric("nezha_store_usable") == 1)
        for size in (50, 20_000, SLICE, 3 * SLICE):
            assert await try_to_keep(store, f"web//{size}", body(size, 9), '"9"')
        for size in (50, 20_000, SLICE, 3 * SLICE):
            assert await store.read(f"web//{size}") == body(size, 9)
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert on_disk.body_bytes == store.metric("nezha_store_bytes")


async def test_what_was_dropped_on_a_full_volume_does_not_come_back(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "32m")
    async with opened(directory, size="1GiB", min_free=0, memory=0) as store:
        for number in range(10):
            await store.keep(f"web//{number}", body(SLICE, number))
        await store.until_on_disk(lambda cache: (cache / "reserve").exists())
        await asyncio.to_thread((store.directory / "reserve").unlink)
        await filled(directory)
        for number in range(5):
            await store.store.remove(f"web//{number}")
        await store.written()
        for _ in range(3):
            for number in range(5):
                assert await store.store.lookup(f"web//{number}") == []
        await emptied(directory)
        await store.until(lambda: store.metric("nezha_store_usable") == 1)
        await store.until(lambda: store.metric("nezha_store_bytes") <= 5 * SLICE)
    async with opened(directory, size="1GiB", min_free=0) as again:
        for number in range(5):
            assert await again.store.lookup(f"web//{number}") == []
    await asyncio.to_thread(sound, store.directory)


async def test_without_inodes_the_store_makes_room_as_well(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "64m", "nr_inodes=60")
    async with opened(directory, size="1GiB", min_free=0) as store:
        stored = sum([await try_to_keep(store, f"web//{number}", body(SLICE, number), '"1"') for number in range(80)])
        assert stored > 15
        assert store.metric("nezha_store_errors_total", kind="full") > 0
        await store.until(lambda: store.metric("nezha_store_usable") == 1)
        assert store.metric("nezha_store_evicted_bytes_total", reason="full") > 0
        assert await try_to_keep(store, "web//new", body(SLICE, 99), '"1"')
        assert await store.read("web//new") == body(SLICE, 99)
    await asyncio.to_thread(sound, store.directory)


async def test_a_store_opened_on_a_full_volume_gets_well_and_has_kept_what_it_had(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "32m")
    async with opened(directory, size="1GiB", min_free=0) as first:
        await first.keep("web//a", body(MIB))
    await asyncio.to_thread(lambda: (first.directory / "reserve").unlink(missing_ok=True))
    await filled(directory)
    async with opened(directory, size="1GiB", min_free=0) as again:
        assert await again.read("web//a") in (None, body(MIB))
        await try_to_keep(again, "web//b", body(MIB, 2), '"2"')
        await emptied(directory)
        await again.until(lambda: again.metric("nezha_store_usable") == 1)
        assert await try_to_keep(again, "web//c", body(MIB, 3), '"3"')
        assert await again.read("web//c") == body(MIB, 3)
    await asyncio.to_thread(sound, again.directory)


async def test_a_first_start_without_room_for_a_directory_gets_well(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "32m", "nr_inodes=20")
    taken = [directory / str(number) for number in range(30)]

    def take() -> None:
        with contextlib.suppress(OSError):
            for path in taken:
                path.touch()

    await asyncio.to_thread(take)
    async with opened(directory, size="1GiB", min_free=0) as store:
        assert await store.store.lookup("web//a") == []
        assert not await try_to_keep(store, "web//a", body(SLICE), '"1"')
        assert store.metric("nezha_store_usable") == 0
        for path in taken:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        await store.until(lambda: store.metric("nezha_store_usable") == 1)
        assert await try_to_keep(store, "web//b", body(SLICE), '"1"')
        assert await store.read("web//b") == body(SLICE)


# -- the server


@contextlib.asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[Running, Origin]]:
    """A server on a volume of its own, in front of objects of several sizes."""
    async with Origin() as origin:
        for number, size in enumerate([100, 30_000, 200_000, 3 * MIB, 9 * MIB]):
            origin.serve(f"/{number}", Object(body=Pattern(size, number), cache_control=FRESH))
        origin.serve("/asked", Object(body=Pattern(100_000, 7)))
        async with running(directory, web(origin), size="1GiB", min_free=0) as nezha:
            yield nezha, origin


async def all_are_right(nezha: Running) -> bool:
    answers = await asyncio.gather(*(nezha.get(f"/{number}") for number in range(5)), nezha.get("/asked"))
    sizes = [100, 30_000, 200_000, 3 * MIB, 9 * MIB]
    expected = [pattern(size, number) for number, size in enumerate(sizes)] + [pattern(100_000, 7)]
    return [answer.body for answer in answers] == expected


async def test_every_answer_is_right_while_the_volume_fills_and_empties(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "48m")
    async with serving(directory) as (nezha, origin):
        assert await all_are_right(nezha)
        for keep in (0, 20_000, 500_000, 0):
            await filled(directory, keep=keep)
            for turn in range(3):
                for served in origin.objects.values():
                    served.etag = f'"{keep}-{turn}"'
                await nezha.get("/any", method="POST")  # who knows what it changes: all is asked for once more
                assert await all_are_right(nezha)
            await emptied(directory)
        assert nezha.metric("nezha_cut_responses_total") == 0
        assert nezha.metric("nezha_store_errors_total", kind="full") > 0
        await nezha.until(lambda: nezha.metric("nezha_store_usable") == 1)
        for served in origin.objects.values():
            served.etag = '"last"'
        await nezha.get("/any", method="POST")
        for _ in range(2):
            assert await all_are_right(nezha)
            await nezha.quiet()
        assert nezha.metric("nezha_store_bytes") > 9 * MIB
    await asyncio.to_thread(sound, directory / "cache")


async def test_a_server_started_on_a_full_volume_serves(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "48m")
    async with serving(directory) as (nezha, _):
        assert await all_are_right(nezha)
        await nezha.quiet()
    await asyncio.to_thread(lambda: (directory / "cache" / "reserve").unlink(missing_ok=True))
    await filled(directory)
    async with serving(directory) as (nezha, _):
        for _ in range(2):
            assert await all_are_right(nezha)
        await emptied(directory)
        await nezha.until(lambda: nezha.metric("nezha_store_usable") == 1)
        assert await all_are_right(nezha)
        await nezha.quiet()
        assert nezha.metric("nezha_store_bytes") > 9 * MIB
    await asyncio.to_thread(sound, directory / "cache")
