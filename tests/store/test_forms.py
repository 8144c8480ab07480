"""The forms of one version share its extents and nothing else: what drops, holds or counts one does so for all."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from nezha.model import Entry, Extent
from nezha.store.hot import Stored, bodies_of
from tests.store.parts import SLICE, Opened, body, entry, opened, sound

KEY = "gcs/data/a"
OLD, NEW = body(3 * SLICE, 1), body(3 * SLICE, 2)


def formed(form: str, mark: str = "7", size: int = len(OLD), key: str = KEY) -> Entry:
    return replace(entry(key, size, f'"{form}"'), mark=mark, form=form)


async def begun(store: Opened, form: str, mark: str = "7", size: int = len(OLD)) -> Stored:
    return await store.store.begin(formed(form, mark, size), is_complete=True)


async def both(store: Opened) -> tuple[Stored, Stored]:
    """A version that was stored by one form, and is known by another."""
    xml = await begun(store, "xml")
    await store.fill(xml, OLD)
    return xml, await begun(store, "json")


async def test_what_one_form_brought_another_has(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        xml, json = await both(store)
        assert (xml.entry.form, json.entry.form) == ("xml", "json")
        assert (xml.entry.fields.get("etag"), json.entry.fields.get("etag")) == ('"xml"', '"json"')
        assert await store.bytes_of(json) == OLD
        assert await begun(store, "json") is json
        assert await begun(store, "xml") is xml
        await store.written()
        assert store.metric("nezha_store_bytes") == len(OLD)
        assert store.metric("nezha_store_objects") == 1


async def test_forms_bring_parts_of_one_version(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        xml, json = await begun(store, "xml"), await begun(store, "json")
        with store.store.lease(xml), store.store.lease(json):
            for number, stored in enumerate((xml, json, xml)):
                extent = Extent(number * SLICE, (number + 1) * SLICE)
                await store.store.put(stored, extent, memoryview(OLD)[extent.start : extent.stop])
        assert await store.bytes_of(xml) == await store.bytes_of(json) == OLD


async def test_a_restart_keeps_forms_and_their_one_body(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await both(store)
    for _ in range(2):
        async with opened(tmp_path) as store:
            found = await store.store.lookup(KEY)
            assert {each.entry.form: each.entry.fields.get("etag") for each in found} == {
                "xml": '"xml"',
                "json": '"json"',
            }
            assert len(list(bodies_of(found))) == 1
            assert await store.bytes_of(found[0]) == OLD
            assert store.metric("nezha_store_bytes") == len(OLD)
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert (on_disk.objects, on_disk.body_bytes, len(on_disk.versions)) == (1, len(OLD), 1)


@pytest.mark.parametrize(("mark", "size"), [("8", len(OLD)), ("7", len(OLD) + 1), ("8", len(OLD) + 1)])
async def test_another_version_takes_no_byte_of_it(mark: str, size: int, tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        xml = await begun(store, "xml")
        await store.fill(xml, OLD)
        json = await begun(store, "json", mark, size)
        assert json.body is not xml.body
        assert json.body.extents == []
        assert json.entry.version != xml.entry.version


async def test_a_new_version_by_any_form_ends_the_old_one_in_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await both(store)
        new = await begun(store, "json", "8")
        await store.fill(new, NEW)
        assert await store.store.lookup(KEY) == [new]
        await store.written()
        assert store.metric("nezha_store_bytes") == len(NEW)
    assert len((await asyncio.to_thread(sound, store.directory)).versions) == 1


async def test_without_a_mark_nothing_is_shared(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        one, other = (replace(formed(form, mark=""), fields=entry(KEY, 1).fields) for form in ("xml", "xml+gzip"))
        xml = await store.store.begin(one, is_complete=True)
        await store.fill(xml, OLD)
        gzip = await store.store.begin(other, is_complete=True)  # the same strong ETag, and maybe other bytes
        assert gzip.body is not xml.body
        assert {each.entry.form for each in await store.store.lookup(KEY)} == {"xml", "xml+gzip"}


async def test_a_lease_by_one_form_holds_what_is_dropped_by_another(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        xml, json = await both(store)
        with store.store.lease(json):
            with store.store.lease(xml):
                assert await store.store.remove(KEY) == len(OLD)
            assert await store.bytes_of(json) == OLD
            assert not json.body.is_removed
        assert xml.body.is_removed
        assert await store.store.lookup(KEY) == []
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert (on_disk.objects, on_disk.body_bytes) == (0, 0)


async def test_a_version_that_is_rejected_goes_in_every_form(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        _, json = await both(store)
        store.store.reject(json)
        assert await store.store.lookup(KEY) == []
    assert (await asyncio.to_thread(sound, store.directory)).body_bytes == 0


async def test_a_form_that_makes_way_for_others_leaves_the_bytes_to_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.fill(await begun(store, "form-0"), OLD)
        for number in range(1, 12):
            await begun(store, f"form-{number}")
        found = await store.store.lookup(KEY)
        assert len(found) == 8
        assert [await store.bytes_of(each) for each in found] == [OLD] * 8
    async with opened(tmp_path) as store:
        assert await store.read(KEY) == OLD


async def test_bytes_are_listed_and_evicted_once(tmp_path: Path) -> None:
    size = 10 * SLICE
    async with opened(tmp_path, size=size) as store:
        await both(store)
        await store.written()
        (listed,) = await store.store.listing.page(("gcs/", "gcs0"), "")
        assert (len(listed.entries), listed.stored_bytes) == (2, len(OLD))
        for number in range(4):
            await store.keep(f"web/w//{number}", body(2 * SLICE, number))
        await store.written()
        assert store.metric("nezha_store_evicted_bytes_total") == len(OLD)
        assert await store.store.lookup(KEY) == []
    async with opened(tmp_path) as store:
        assert await store.store.lookup(KEY) == []
    await asyncio.to_thread(sound, store.directory)


async def test_from_the_disk_alone_bytes_are_listed_and_evicted_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await both(store)
    async with opened(tmp_path, size=4 * SLICE) as store:
        (listed,) = await store.store.listing.page(("gcs/", "gcs0"), "")
        assert listed.stored_bytes == len(OLD)
        await store.keep("web/w//a", body(2 * SLICE))
        await store.written()
        assert store.metric("nezha_store_evicted_bytes_total") == len(OLD)
