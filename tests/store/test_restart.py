"""What a restart keeps, and what it clears away."""

import asyncio
import secrets
from pathlib import Path

from nezha.model import Extent
from nezha.store.bodies import checksums
from nezha.store.index import Index
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.running import running, web
from tests.store.parts import SLICE, body, entry, extent_files, opened, sound

SIZE = 9_000_000
FRESH = "max-age=3600"


async def test_a_restart_keeps_the_cache(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/large", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.serve("/small", Object(body=Pattern(500, 2), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/large")).body == pattern(SIZE)
            assert (await nezha.get("/small")).body == pattern(500, 2)
            await nezha.quiet()
        origin.clear()
        for _ in range(2):
            async with running(tmp_path, web(origin)) as nezha:
                assert nezha.metric("nezha_store_bytes") == SIZE + 500
                assert nezha.metric("nezha_store_objects") == 2
                assert (await nezha.get("/large")).body == pattern(SIZE)
                small = await nezha.get("/small", headers={"Range": "bytes=100-199"})
                assert (small.status, small.body) == (206, pattern(500, 2)[100:200])
                assert nezha.metric("nezha_requests_total", outcome="hit") == 2
        assert origin.count() == 0
    await asyncio.to_thread(sound, tmp_path / "cache")


async def test_what_has_to_be_asked_again_costs_no_body_after_a_restart(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            await nezha.quiet()
        origin.clear()
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert (origin.count(), origin.bytes_sent) == (1, 0)
            assert nezha.metric("nezha_requests_total", outcome="revalidated") == 1


async def test_part_of_an_object_is_kept_and_the_rest_is_fetched(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a", headers={"Range": "bytes=1000000-4999999"})
            await nezha.quiet()
        origin.clear()
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            await nezha.quiet()
            assert origin.bytes_sent <= SIZE - 4_000_000
    assert (await asyncio.to_thread(sound, tmp_path / "cache")).body_bytes == SIZE


async def test_staged_files_are_swept(tmp_path: Path) -> None:
    staging = tmp_path / "cache" / "staging"

    def leave() -> None:
        staging.mkdir(parents=True)
        for number in range(5):
            (staging / f"{number:x}").write_bytes(bytes(100_000))

    await asyncio.to_thread(leave)
    async with opened(tmp_path) as store:
        assert await asyncio.to_thread(lambda: list(staging.iterdir())) == []
        await store.keep("web//a", body(SLICE))  # whose staged file would have had such a name
        assert await store.read("web//a") == body(SLICE)


async def test_files_without_a_row_are_swept_while_the_store_is_in_use(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.keep("web//a", body(2 * SLICE))

    def leave() -> None:
        (known, *_) = extent_files(first.directory)
        for folder in (known.parent, first.directory / "index" / "zz"):
            folder.mkdir(exist_ok=True)
            (folder / f"{secrets.token_hex(16)}-{0:016x}-{secrets.token_hex(4)}.x").write_bytes(bytes(100_000))
        version, start, _ = known.name.split("-")
        (known.parent / f"{version}-{start}-00000000.x").write_bytes(bytes(100_000))  # of a row, but not its file
        (known.parent / f"{version}-{999:016x}-00000000.x").write_bytes(bytes(100_000))

    await asyncio.to_thread(leave)
    async with opened(tmp_path) as again:
        await again.keep("web//b", body(2 * SLICE, 2))
        await again.until_on_disk(lambda directory: len(extent_files(directory)) == 4)
        assert await again.read("web//a") == body(2 * SLICE)
        assert await again.read("web//b") == body(2 * SLICE, 2)
    await asyncio.to_thread(sound, first.directory)


async def test_versions_without_an_entry_are_swept_and_hidden_ones_that_are_new_are_not(tmp_path: Path) -> None:
    def leave() -> None:
        index = Index(tmp_path / "cache" / "index")
        index.open()
        for _ in range(300):
            made = entry("web//lost", 100)
            index.loosen(made.version)
            index.add_extent(made, Extent(0, 100), checksums(memoryview(body(100))), body(100))
        index.close()

    await asyncio.to_thread((tmp_path / "cache").mkdir)
    await asyncio.to_thread(leave)
    async with opened(tmp_path) as store:
        hidden = await store.store.begin(entry("web//a", 100), is_complete=False)
        with store.store.lease(hidden):
            await store.fill(hidden, body(100))
            await store.until(lambda: store.metric("nezha_store_bytes") == 100)
            await store.store.complete(hidden, hidden.entry)
        assert await store.read("web//a") == body(100)
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert (on_disk.objects, on_disk.body_bytes) == (1, 100)


async def test_many_objects_cost_a_start_nothing_before_they_are_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        for number in range(300):
            await first.keep(f"web//{number}", body(50, number))
    async with opened(tmp_path) as again:
        assert again.metric("nezha_store_objects") == 300
        assert again.store._versions._hot.used_bytes == 0
        assert await again.read("web//299") == body(50, 299)
