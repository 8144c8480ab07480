"""A purge beside traffic: what is on its way is found by nobody afterwards, and nobody's answer suffers from it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nezha.control.place import connect
from tests.control.asking import operate
from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient, request_bytes
from tests.running import HOST, Running, running, web

SIZE = 9_000_000
FRESH = "max-age=3600"
KEY = f"web/{HOST}//a"
NEW = Object(body=b"new", etag='"v2"', cache_control=FRESH)


@contextlib.asynccontextmanager
async def reading(nezha: Running, count: int) -> AsyncIterator[RawClient]:
    """A client that has read the first bytes of /a."""
    async with await nezha.client() as client:
        await client.send(request_bytes("GET", "/a", HOST))
        assert (await client.read_head()).status == 200
        assert await client.read(count) == pattern(count)
        yield client


async def purge(directory: Path, name: str = KEY) -> dict[str, int]:
    said = await operate(directory, "purge", name, "--json")
    assert said.code == 0, said.errors
    counts: dict[str, int] = said.json
    return counts


async def test_an_answer_that_was_asked_for_before_a_purge_is_not_stored(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", Fault(hold=release), nth=1)
        early = asyncio.create_task(nezha.get("/a"))
        await origin.held()
        await purge(tmp_path)
        # Who asks afterwards does not even wait for that answer.
        assert (await nezha.get("/a")).body == pattern(SIZE)
        release.set()
        assert (await early).body == pattern(SIZE)
        assert origin.count("GET") == 2


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', None])
async def test_a_reader_of_a_purged_fill_gets_its_version_and_others_the_new_one(
    tmp_path: Path, etag: str | None
) -> None:
    release = asyncio.Event()
    async with Origin() as origin, running(tmp_path, web(origin, parallel=1)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), etag=etag, cache_control=FRESH))
        origin.fault("/a", Fault(hold=release, hold_after=5_000_000), nth=1)
        async with reading(nezha, 1_000_000) as client:
            assert (await purge(tmp_path))["fills"] == 1
            origin.serve("/a", NEW)
            assert (await nezha.get("/a")).body == b"new"
            release.set()
            assert await client.read(SIZE - 1_000_000) == pattern(SIZE)[1_000_000:]
        await nezha.quiet()
        assert (await nezha.get("/a")).body == b"new"
        assert nezha.metric("nezha_store_objects") == 1
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") == len(b"new"))
        assert origin.count("GET") == 2


@pytest.mark.parametrize("etag", ['"v1"', None])
async def test_a_purged_fill_ends_with_its_last_reader(tmp_path: Path, etag: str | None) -> None:
    release = asyncio.Event()
    async with Origin() as origin, running(tmp_path, web(origin, parallel=1)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), etag=etag, cache_control=FRESH))
        origin.fault("/a", Fault(hold=release, hold_after=5_000_000))
        async with reading(nezha, 1_000_000):
            await purge(tmp_path)
            assert nezha.metric("nezha_fills_running") == 1
        await nezha.quiet()  # although the origin never goes on
        await origin.gone()
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") == 0)


async def test_a_fill_that_nobody_reads_ends_at_once(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with Origin() as origin, running(tmp_path, web(origin, parallel=1)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", Fault(hold=release, hold_after=5_000_000))
        async with reading(nezha, 1_000_000):
            pass
        assert nezha.metric("nezha_fills_running") == 1
        assert (await purge(tmp_path))["fills"] == 1
        await nezha.quiet()
        await origin.gone()
        assert nezha.metric("nezha_fill_bytes_buffered") == 0


async def test_a_purge_while_lanes_bring_slices_leaves_the_response_whole(tmp_path: Path) -> None:
    size = 40_000_000
    async with Origin() as origin, running(tmp_path, web(origin, parallel=4)) as nezha:
        origin.serve("/a", Object(body=Pattern(size), cache_control=FRESH))
        origin.fault("/a", Fault(rate=40e6))
        async with reading(nezha, 8_000_000) as client:
            await purge(tmp_path)
            assert await client.read(size - 8_000_000) == pattern(size)[8_000_000:]
        await nezha.quiet()
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") == 0)
        assert nezha.metric("nezha_cut_responses_total") == 0


async def test_a_purge_ends_the_grants_of_what_it_names(tmp_path: Path) -> None:
    bearer = {"Authorization": "Bearer t"}
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for path in ("/a", "/b"):
            origin.serve(path, Object(body=b"hello", cache_control="public, max-age=60"))
            await nezha.get(path, headers=bearer)
        await nezha.quiet()
        assert nezha.metric("nezha_grants") == 2
        assert (await purge(tmp_path))["grants"] == 1
        assert nezha.metric("nezha_grants") == 1
        origin.authorize = lambda _: 403
        assert (await nezha.get("/a", headers=bearer)).status == 403
        assert (await nezha.get("/b", headers=bearer)).status == 200


async def test_traffic_goes_on_beside_a_long_purge(tmp_path: Path) -> None:
    count = 1_000
    async with Origin(is_recording=False) as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("*", Object(body=b"hello", cache_control=FRESH))
        async with await nezha.client() as client:
            for number in range(count):
                await client.get(f"/p/{number}", HOST)
            await client.get("/kept", HOST)
            await nezha.quiet()
            purging = asyncio.create_task(purge(tmp_path, f"web/{HOST}//p/"))
            await nezha.until(lambda: 0 < nezha.metric("nezha_purged_objects_total") < count)
            hit = await client.get("/kept", HOST)
            assert (hit.get("cache-status") or "").startswith("nezha; hit")
            assert nezha.metric("nezha_purged_objects_total") < count
            assert (await purging)["objects"] == count
        assert nezha.metric("nezha_store_objects") == 1


async def test_a_purge_goes_to_its_end_without_the_operator(tmp_path: Path) -> None:
    count = 200
    async with Origin(is_recording=False) as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("*", Object(body=b"hello", cache_control=FRESH))
        async with await nezha.client() as client:
            for number in range(count):
                await client.get(f"/{number}", HOST)
        await nezha.quiet()

        def ask_and_leave() -> None:
            with connect(tmp_path / "cache") as connection:
                connection.sendall(b'{"command": "purge", "text": "web/", "is_prefix": true}\n')

        await asyncio.to_thread(ask_and_leave)
        await nezha.until(lambda: nezha.metric("nezha_store_objects") == 0)
        assert nezha.metric("nezha_purged_objects_total") == count
