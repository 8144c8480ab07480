"""What is stored, page by page in the order of keys; and pages dropped at once, but for what somebody holds."""

import asyncio
from pathlib import Path

from nezha.keytext import Named
from nezha.store.listing import PAGE, Listed
from tests.store.parts import SLICE, Opened, body, opened, sound

ALL = Named("", is_prefix=True)


async def pages(store: Opened, named: Named = ALL) -> list[list[Listed]]:
    found: list[list[Listed]] = []
    for span in named.spans():
        while page := await store.store.listing.page(span, found[-1][-1].key if found else ""):
            found.append(page)
    return found


async def test_pages_hold_every_key_once_in_order(tmp_path: Path) -> None:
    keys = [f"web/w//{number:04}" for number in range(PAGE + 10)]
    async with opened(tmp_path) as store:
        for key in reversed(keys):
            await store.keep(key, b"hello")
        await store.written()
        found = await pages(store)
        assert [len(page) for page in found] == [PAGE, 10]
        assert [each.key for page in found for each in page] == keys
        assert found[0][0].stored_bytes == 5
    async with opened(tmp_path) as store:  # from the disk alone
        assert [each.key for page in await pages(store) for each in page] == keys
        assert [each.key for page in await pages(store, Named("web/w//0003", is_prefix=False)) for each in page] == [
            "web/w//0003"
        ]


async def test_keys_of_any_bytes_are_listed_and_dropped(tmp_path: Path) -> None:
    keys = sorted(["s3/b/a", "s3/b/a\0", "s3/b/a\0b", "s3/b/\xff", "s3/b/a#", "s3/b/a#1", "s3/b/\n", "s3/b/"])
    async with opened(tmp_path) as store:
        for key in keys:
            await store.keep(key, b"hello")
        await store.written()
        (page,) = await pages(store)
        assert [each.key for each in page] == keys
        gone, held = store.store.listing.drop(page)
        assert ([each.key for each in gone], held) == (keys, [])
        await store.written()
        assert await pages(store) == []


async def test_what_is_read_is_left_to_its_readers(tmp_path: Path) -> None:
    old = body(2 * SLICE, 1)
    async with opened(tmp_path) as store:
        read = await store.keep("web/w//read", old)
        idle = await store.keep("web/w//idle", old)
        await store.written()
        with store.store.lease(read):
            (page,) = await pages(store)
            gone, held = store.store.listing.drop(page)
            assert ([each.key for each in gone], held) == (["web/w//idle"], ["web/w//read"])
            assert idle.body.is_removed
            assert await store.bytes_of(read) == old
            await store.store.remove("web/w//read")
            assert await store.bytes_of(read) == old
        for key in ("web/w//read", "web/w//idle"):
            assert await store.read(key) is None
        await store.written()
        assert (store.metric("nezha_store_bytes"), store.metric("nezha_store_objects")) == (0, 0)
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert (on_disk.objects, on_disk.body_bytes) == (0, 0)


async def test_what_was_stored_since_the_page_was_read_stays(tmp_path: Path) -> None:
    old, new = body(SLICE, 1), body(SLICE, 2)
    async with opened(tmp_path) as store:
        await store.keep("web/w//a", old)
        await store.written()
        (page,) = await pages(store)
    async with opened(tmp_path) as store:
        kept = await store.keep("web/w//a", new, '"v2"')
        await store.written()
        store.store.listing.drop(page)  # which speaks of the old version
        await store.written()
        assert await store.read("web/w//a") == new
    assert (await asyncio.to_thread(sound, store.directory)).versions == {kept.entry.version}
