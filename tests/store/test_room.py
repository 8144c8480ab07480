"""Limits: `size` and `min_free` hold, what was unused the longest goes first, and nothing goes that is being read."""

import asyncio
import os
from pathlib import Path

import pytest

from nezha.errors import StoreFull
from nezha.model import Extent
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.running import running, web
from tests.store.conftest import Mount
from tests.store.parts import SLICE, body, entry, opened, sound

MIB = 1 << 20
SIZE = 2 * SLICE


async def test_the_store_stays_within_its_size_and_what_was_unused_the_longest_goes(tmp_path: Path) -> None:
    async with opened(tmp_path, size="4MiB") as store:
        for number in range(32):  # exactly full
            await store.keep(f"web//{number}", body(SIZE, number))
        assert store.metric("nezha_store_bytes") == 4 * MIB
        for number in range(0, 32, 2):
            assert await store.read(f"web//{number}") == body(SIZE, number)
        await store.keep("web//new", body(SIZE, 99))
        assert store.metric("nezha_store_bytes") <= 0.95 * 4 * MIB + SIZE
        assert store.metric("nezha_store_evicted_bytes_total", reason="size") == 3 * SIZE
        assert store.metric("nezha_store_evicted_bytes_total") == 3 * SIZE
        gone = [number for number in range(32) if not await store.store.lookup(f"web//{number}")]
        assert gone == [1, 3, 5]
        for number in range(100, 200):
            await store.keep(f"web//{number}", body(SIZE, number))
            assert store.metric("nezha_store_bytes") <= 4 * MIB
        assert await store.read("web//199") == body(SIZE, 199)
        assert store.metric("nezha_store_errors_total") == 0
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert on_disk.body_bytes <= 4 * MIB


async def test_last_uses_outlive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, size="4MiB") as first:
        for number in range(32):
            await first.keep(f"web//{number}", body(SIZE, number))
        for number in range(16):
            await first.read(f"web//{number}")
    async with opened(tmp_path, size="4MiB") as again:
        await again.keep("web//new", body(SIZE, 99))
        gone = [number for number in range(32) if not await again.store.lookup(f"web//{number}")]
        assert gone == [16, 17, 18]


async def test_objects_of_every_kind_are_evicted(tmp_path: Path) -> None:
    async with opened(tmp_path, size="1MiB") as store:
        for number in range(300):
            await store.keep(f"web//{number}", body(20_000, number))  # in rows
            await store.keep(f"web//a/{number % 3}", body(50_000, number), f'"{number}"')  # replaced again and again
            vary = (("accept", str(number)),)
            await store.keep(f"web//b/{number % 5}", body(1000, number), f'"{number}"', vary)
            assert store.metric("nezha_store_bytes") <= MIB
        assert await store.read("web//299") == body(20_000, 299)
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes <= MIB


async def test_evicting_what_is_cold_does_not_empty_the_memory(tmp_path: Path) -> None:
    async with opened(tmp_path, size="4MiB") as first:
        for number in range(32):
            await first.keep(f"web//{number}", body(SIZE, number))
    async with opened(tmp_path, size="4MiB", memory="20KiB") as again:
        warm = [await again.store.lookup(f"web//{number}") for number in (30, 31)]
        await again.keep("web//new", body(SIZE, 99))
        assert [await again.store.lookup(f"web//{number}") for number in (30, 31)] == warm


async def test_what_is_being_read_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, size="4MiB") as store:
        oldest = await store.keep("web//oldest", body(SIZE, 1))
        with store.store.lease(oldest):
            for number in range(200):
                await store.keep(f"web//{number}", body(SIZE, number))
            assert await store.bytes_of(oldest) == body(SIZE, 1)
            assert await store.store.lookup("web//oldest") == [oldest]
        for number in range(200, 300):
            await store.keep(f"web//{number}", body(SIZE, number))
        assert await store.store.lookup("web//oldest") == []


async def test_a_descriptor_outlives_eviction(tmp_path: Path) -> None:
    async with opened(tmp_path, size="4MiB") as store:
        stored = await store.keep("web//a", body(SIZE, 1))
        fd = await asyncio.to_thread(store.store.reads.open, stored, stored.body.extents[1])
        await store.store.remove("web//a")
        await store.written()
        try:
            assert await asyncio.to_thread(os.pread, fd, SLICE, 0) == body(SIZE, 1)[SLICE:]
        finally:
            os.close(fd)


async def test_where_everything_is_being_read_nothing_is_stored_until_it_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path, size="1MiB") as store:
        leases = []
        for number in range(8):
            stored = await store.keep(f"web//{number}", body(SIZE, number))
            lease = store.store.lease(stored)
            lease.__enter__()
            leases.append(lease)
        new = await store.store.begin(entry("web//new", SLICE), is_complete=True)
        for _ in range(3):
            with pytest.raises(StoreFull):
                await store.store.put(new, Extent(0, SLICE), memoryview(body(SLICE)))
        assert store.metric("nezha_store_errors_total", kind="full") == 3
        assert store.metric("nezha_store_usable") == 0
        assert store.metric("nezha_store_bytes") == MIB
        for lease in leases:
            lease.__exit__(None, None, None)
        async with asyncio.timeout(5):
            while not new.body.extents:
                try:
                    await store.store.put(new, Extent(0, SLICE), memoryview(body(SLICE)))
                except StoreFull:
                    await asyncio.sleep(0.05)
        assert store.metric("nezha_store_usable") == 1
        assert store.metric("nezha_store_bytes") < MIB


async def test_an_extent_larger_than_the_cache_evicts_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, size="100KiB") as store:
        await store.keep("web//a", body(SLICE))
        large = await store.store.begin(entry("web//b", SIZE), is_complete=True)
        with pytest.raises(StoreFull):
            await store.store.put(large, Extent(0, SIZE), memoryview(body(SIZE)))
        assert await store.read("web//a") == body(SLICE)
        await store.keep("web//c", body(SLICE, 2))
        assert await store.read("web//c") == body(SLICE, 2)


async def test_a_smaller_size_after_a_restart_is_kept_to(tmp_path: Path) -> None:
    async with opened(tmp_path, size="4MiB") as first:
        for number in range(32):
            await first.keep(f"web//{number}", body(SIZE, number))
    async with opened(tmp_path, size="1MiB") as again:
        await again.until(lambda: again.metric("nezha_store_bytes") <= 0.95 * MIB)
        assert await again.read("web//31") == body(SIZE, 31)
    assert (await asyncio.to_thread(sound, again.directory)).body_bytes <= MIB


# -- min_free


def free_of(directory: Path) -> float:
    volume = os.statvfs(directory)
    return volume.f_bavail / volume.f_blocks


async def test_part_of_the_volume_stays_free(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "64m")
    async with opened(directory, size="1GiB", min_free="50%") as store:
        for number in range(60):
            await store.keep(f"web//{number}", body(MIB, number))
            assert await asyncio.to_thread(free_of, directory) >= 0.5
        assert store.metric("nezha_store_bytes") > 16 * MIB
        assert store.metric("nezha_store_evicted_bytes_total", reason="free") > 0
        assert store.metric("nezha_store_errors_total") == 0
        assert await store.read("web//59") == body(MIB, 59)


async def test_the_store_gives_way_when_others_fill_the_volume(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "64m")
    async with opened(directory, size="1GiB", min_free="25%") as store:
        for number in range(30):
            await store.keep(f"web//{number}", body(MIB, number))
        await asyncio.to_thread((directory / "other").write_bytes, bytes(20 * MIB))
        await store.until_on_disk(lambda directory: free_of(directory) >= 0.25)
        assert 0 < store.metric("nezha_store_bytes") < 30 * MIB
        assert await store.read("web//29") == body(MIB, 29)
        assert store.metric("nezha_store_errors_total") == 0


async def test_min_free_larger_than_what_there_is_stores_nothing_and_serves(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "64m")
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(MIB), cache_control="max-age=60"))
        async with running(directory, web(origin), min_free="100GiB") as nezha:
            for _ in range(2):
                assert (await nezha.get("/a")).body == pattern(MIB)
                await nezha.quiet()
            assert nezha.metric("nezha_store_bytes") == 0
            assert nezha.metric("nezha_store_errors_total", kind="full") > 0
            assert nezha.metric("nezha_store_usable") == 0
            assert origin.count() == 2


# -- through the server


async def test_an_object_larger_than_max_object_passes(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/large", Object(body=Pattern(3 * MIB), cache_control="max-age=60"))
        origin.serve("/small", Object(body=Pattern(MIB, 2), cache_control="max-age=60"))
        async with running(tmp_path, {**web(origin), "max_object": "2MiB"}) as nezha:
            for _ in range(2):
                assert (await nezha.get("/large")).body == pattern(3 * MIB)
                assert (await nezha.get("/small")).body == pattern(MIB, 2)
            await nezha.quiet()
            assert nezha.metric("nezha_store_bytes") == MIB
            assert origin.count(path="/large") == 2
            assert origin.count(path="/small") == 1


async def test_objects_that_do_not_all_fit_are_all_served(tmp_path: Path) -> None:
    async with Origin() as origin:
        for number in range(12):
            origin.serve(f"/{number}", Object(body=Pattern(MIB, number), cache_control="max-age=60"))
        async with running(tmp_path, web(origin), size="4MiB") as nezha:
            for _ in range(2):
                answers = await asyncio.gather(*(nezha.get(f"/{number}") for number in range(12)))
                assert [answer.body for answer in answers] == [pattern(MIB, number) for number in range(12)]
            await nezha.quiet()
            assert nezha.metric("nezha_store_bytes") <= 4 * MIB
    assert (await asyncio.to_thread(sound, tmp_path / "cache")).body_bytes <= 4 * MIB


async def test_an_object_evicted_while_it_is_sent_arrives_whole(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(8 * MIB), cache_control="max-age=60"))
        for number in range(20):
            origin.serve(f"/{number}", Object(body=Pattern(MIB, number), cache_control="max-age=60"))
        async with running(tmp_path, web(origin), size="16MiB") as nezha:
            assert (await nezha.get("/a")).body == pattern(8 * MIB)
            await nezha.quiet()
            async with await nezha.client() as slow:
                await slow.send(b"GET /a HTTP/1.1\r\nHost: web.test\r\n\r\n")
                head = await slow.read_head()
                for number in range(20):
                    assert (await nezha.get(f"/{number}")).body == pattern(MIB, number)
                assert await slow.read_body(head) == pattern(8 * MIB)
            assert origin.count(path="/a") == 1
            assert nezha.metric("nezha_store_bytes") <= 16 * MIB
