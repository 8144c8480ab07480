"""What a lookup finds, whoever else looks, writes or drops at the same time."""

import asyncio
from pathlib import Path

from tests.store.parts import SLICE, body, entry, locked, opened, sound

SIZE = 2 * SLICE


async def test_many_lookups_of_one_key_load_it_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(SIZE))
    async with opened(tmp_path) as again:
        found = await asyncio.gather(*(again.store.lookup("web//a") for _ in range(200)))
        assert all(each is found[0] for each in found)
        assert [each.extent for each in found[0][0].body.extents] == [(0, SLICE), (SLICE, SIZE)]


async def test_a_lookup_goes_on_though_those_who_asked_first_have_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(SIZE))
    async with opened(tmp_path) as again:
        leaving = [asyncio.ensure_future(again.store.lookup("web//a")) for _ in range(3)]
        await asyncio.sleep(0)
        staying = asyncio.ensure_future(again.store.lookup("web//a"))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        assert len(await staying) == 1


async def test_that_nothing_is_stored_is_known_without_asking_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.store.lookup("web//a") == []
        assert await store.store.remove("web//a") == 0
        await store.keep("web//a", body(SIZE))
        assert await store.read("web//a") == body(SIZE)


async def test_a_dropped_object_is_not_found_in_a_row_that_still_stands(tmp_path: Path) -> None:
    async with opened(tmp_path, memory=0) as store:
        await store.keep("web//a", body(SIZE))
        await store.keep("web//b", body(SIZE))
        await store.written()
        async with locked(store.directory):
            assert await store.store.remove("web//a") == SIZE
            await store.store.lookup("web//b")  # there is room for one in memory
            assert await store.store.lookup("web//a") == []
        await store.written()
        await store.store.lookup("web//b")
        assert await store.store.lookup("web//a") == []
    assert (await asyncio.to_thread(sound, store.directory)).objects == 1


async def test_a_new_version_is_found_before_its_row_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path, memory=0) as store:
        await store.keep("web//a", body(SIZE))
        await store.keep("web//b", body(SIZE))
        await store.written()
        async with locked(store.directory):
            new = await store.store.begin(entry("web//a", SIZE, '"v2"'), is_complete=True)
            await store.store.lookup("web//b")
            assert await store.store.lookup("web//a") == [new]
        await store.written()
        await store.store.lookup("web//b")
        assert await store.store.lookup("web//a") == [new]


async def test_leaders_who_begin_one_version_at_once_share_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        begun = await asyncio.gather(
            *(store.store.begin(entry("web//a", SIZE), is_complete=True) for _ in range(10))
        )  # fmt: skip
        assert len(set(begun)) == 1
        assert await store.store.lookup("web//a") == [begun[0]]


async def test_of_versions_begun_at_once_one_stays_and_the_others_leave_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:

        async def store_version(number: int) -> None:
            stored = await store.store.begin(entry("web//a", SIZE, f'"v{number}"'), is_complete=True)
            await store.fill(stored, body(SIZE, number))

        await asyncio.gather(*(store_version(number) for number in range(10)), return_exceptions=True)
        (stored,) = await store.store.lookup("web//a")
        number = int(stored.entry.fields.all("etag")[0].strip('"v'))
        assert await store.read("web//a") == body(SIZE, number)
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert (on_disk.objects, on_disk.body_bytes, on_disk.versions) == (1, SIZE, frozenset({stored.entry.version}))


async def test_two_readers_of_a_version_hold_the_same_one_though_memory_let_go_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        for key in ("web//a", "web//b", "web//c"):
            await first.keep(key, body(SIZE))
    async with opened(tmp_path, memory=0) as again:
        (stored,) = await again.store.lookup("web//a")
        await asyncio.gather(again.store.lookup("web//b"), again.store.lookup("web//c"))
        assert await again.store.lookup("web//a") == [stored]


async def test_variants_are_found_together_and_the_oldest_of_too_many_goes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(10):
            await store.keep("web//a", body(100, number), f'"{number}"', (("accept", str(number)),))
        found = await store.store.lookup("web//a")
        assert len(found) == 8
        assert found[-1].entry.vary == (("accept", "9"),)
        assert store.metric("nezha_store_objects") == 1
        await store.written()
        assert store.metric("nezha_store_bytes") == 800
    async with opened(tmp_path) as again:
        assert {each.entry.version for each in await again.store.lookup("web//a")} == {
            each.entry.version for each in found
        }
        assert again.metric("nezha_store_objects") == 1
