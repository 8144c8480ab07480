"""A version that was replaced or dropped: its readers finish, and then it leaves nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from nezha.errors import StoreError
from nezha.model import Extent, Fields
from tests.store.parts import SLICE, body, entry, extent_files, opened, sound

OLD, NEW = body(2 * SLICE, 1), body(3 * SLICE, 2)


async def test_a_new_version_drops_the_old_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await store.keep("web//a", OLD)
        new = await store.keep("web//a", NEW, '"v2"')
        await store.written()
        assert await store.read("web//a") == NEW
        assert store.metric("nezha_store_bytes") == len(NEW)
        assert store.metric("nezha_store_objects") == 1
        assert (old.body.is_removed, old.body.extents) == (True, [])
    assert (await asyncio.to_thread(sound, store.directory)).versions == {new.entry.version}


async def test_a_reader_of_the_old_version_finishes_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await store.keep("web//a", OLD)
        with store.store.lease(old), store.store.lease(old):
            await store.keep("web//a", NEW, '"v2"')
            await store.written()
            assert store.metric("nezha_store_bytes") == len(OLD) + len(NEW)
            assert await store.bytes_of(old) == OLD
        await store.written()
        assert store.metric("nezha_store_bytes") == len(NEW)
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes == len(NEW)


async def test_a_reader_of_a_dropped_object_finishes_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await store.keep("web//a", OLD)
        with store.store.lease(old):
            assert await store.store.remove("web//a") == len(OLD)
            assert await store.store.remove("web//a") == 0
            assert await store.store.lookup("web//a") == []
            assert await store.bytes_of(old) == OLD
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert (on_disk.objects, on_disk.body_bytes) == (0, 0)


async def test_a_lease_after_the_end_counts_nothing_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await store.keep("web//a", OLD)
        await store.keep("web//b", NEW)
        await store.store.remove("web//a")
        for _ in range(3):
            with store.store.lease(old):
                assert old.body.at(0) is None
        await store.written()
        assert store.metric("nezha_store_bytes") == len(NEW)


async def test_an_extent_for_a_version_that_has_ended_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await store.store.begin(entry("web//a", len(OLD)), is_complete=True)
        await store.store.remove("web//a")
        for length in (100, SLICE):
            with pytest.raises(StoreError):
                await store.store.put(old, Extent(0, length), memoryview(OLD)[:length])
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes == 0


@pytest.mark.parametrize("length", [100, SLICE])
async def test_an_extent_that_is_being_written_while_its_version_ends_leaves_nothing(
    tmp_path: Path, length: int
) -> None:
    async with opened(tmp_path) as store:
        for number in range(20):
            old = await store.store.begin(entry("web//a", length, f'"{number}"'), is_complete=True)
            writing = asyncio.ensure_future(store.store.put(old, Extent(0, length), memoryview(OLD)[:length]))
            for _ in range(number):
                await asyncio.sleep(0)
            await store.store.remove("web//a")
            await asyncio.gather(writing, return_exceptions=True)
        await store.written()
        assert store.metric("nezha_store_bytes") == 0
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes == 0


async def test_an_extent_over_a_stored_one_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        stored = await store.keep("web//a", OLD)
        with pytest.raises(StoreError):
            await store.store.put(stored, Extent(10, SLICE + 10), memoryview(OLD)[10 : SLICE + 10])
        assert await store.read("web//a") == OLD


async def test_an_extent_over_one_that_is_being_written_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        stored = await store.store.begin(entry("web//a", SLICE), is_complete=True)
        puts = [store.store.put(stored, Extent(start, SLICE), memoryview(OLD)[start:SLICE]) for start in (0, 0, 100)]
        first, *others = await asyncio.gather(*puts, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert all(isinstance(other, StoreError) for other in others)
        assert await store.read("web//a") == OLD[:SLICE]
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes == SLICE


async def test_a_hidden_version_is_seen_once_it_is_complete(tmp_path: Path) -> None:
    made = replace(entry("web//a", 0), fields=Fields([]))
    async with opened(tmp_path) as store:
        stored = await store.store.begin(made, is_complete=False)
        with store.store.lease(stored):
            await store.fill(stored, OLD)
            assert await store.store.lookup("web//a") == []
            await store.store.complete(stored, replace(made, size=len(OLD)))
        assert await store.read("web//a") == OLD
    async with opened(tmp_path) as again:
        assert await again.read("web//a") == OLD
        assert (await again.store.lookup("web//a"))[0].entry.size == len(OLD)
        await again.until(lambda: again.metric("nezha_store_usable") == 1)
    await asyncio.to_thread(sound, store.directory)


async def test_a_hidden_version_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        stored = await store.store.begin(entry("web//a", 0), is_complete=False)
        with store.store.lease(stored):
            await store.fill(stored, OLD)
        await store.written()
        assert store.metric("nezha_store_bytes") == 0
    assert await asyncio.to_thread(extent_files, store.directory) == []
    assert (await asyncio.to_thread(sound, store.directory)).objects == 0


async def test_what_a_304_brought_is_kept_over_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        stored = await store.keep("web//a", OLD)
        store.store.freshen(stored, replace(stored.entry, answered_at=77.0))
        assert (await store.store.lookup("web//a"))[0].entry.answered_at == 77.0
    async with opened(tmp_path) as again:
        (found,) = await again.store.lookup("web//a")
        assert (found.entry.answered_at, found.entry.version) == (77.0, stored.entry.version)


async def test_what_a_304_brought_for_a_dropped_version_brings_nothing_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        stored = await store.keep("web//a", OLD)
        with store.store.lease(stored):
            store.store.freshen(stored, replace(stored.entry, answered_at=77.0))
            await store.store.remove("web//a")
            store.store.freshen(stored, replace(stored.entry, answered_at=78.0))
    async with opened(tmp_path) as again:
        assert await again.store.lookup("web//a") == []
