"""An origin that says something else of the same object than before: found by the random model (`tests/soak`)."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import Truncated, request_bytes
from tests.running import HOST, running, web

SIZE = 3_000_000
PART = {"Range": "bytes=0-999999"}


@pytest.mark.parametrize("cache_control", ["no-store", "private, max-age=60"])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=500000-2999999"}])
async def test_the_rest_of_an_object_that_is_not_to_be_stored_any_more_is_not_taken_for_all_of_it(
    tmp_path: Path, cache_control: str, headers: dict[str, str]
) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        found = origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=60"))
        await nezha.get("/a", headers=PART)
        await nezha.quiet()
        found.cache_control = cache_control
        answer = await nezha.get("/a", headers=headers)
        start = 500_000 if headers else 0
        assert answer.status == (206 if headers else 200)
        assert answer.body == pattern(SIZE)[start:]
        assert answer.get("cache-control") == cache_control


async def test_a_token_gets_all_of_an_object_of_which_everybody_s_part_is_stored(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=60"))
        await nezha.get("/a", headers=PART)
        await nezha.quiet()
        answer = await nezha.get("/a", headers={"Authorization": "Bearer t"})
        assert (answer.status, answer.body) == (200, pattern(SIZE))


@pytest.mark.parametrize("cache_control", ["no-store", "private, max-age=3600"])
async def test_what_a_304_forbids_to_store_does_not_stay_stored(tmp_path: Path, cache_control: str) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        found = origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=3600"))
        await nezha.get("/a")
        found.cache_control = cache_control
        asked = await nezha.get("/a", headers={"Cache-Control": "no-cache"})
        assert asked.body == pattern(SIZE)
        assert (asked.get("cache-status") or "").endswith("detail=revalidated")
        await nezha.get("/a")
        assert origin.requests[-1].header("if-none-match") is None
        assert origin.count() == 3
        await nezha.until(lambda: nezha.metric("nezha_store_objects") == 0)


async def test_one_variant_does_not_stand_in_for_another_while_the_origin_is_unwell(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin, grace="1h", grant_in_outage="1h")) as nezha:
        origin.serve("/a", Object(body=b"english", cache_control="max-age=3600", headers=[("Vary", "Accept-Language")]))
        await nezha.get("/a", headers={"Accept-Language": "en"})
        origin.fault("/a", Fault(status=503))
        assert (await nezha.get("/a", headers={"Accept-Language": "de"})).status == 503
        assert (await nezha.get("/a", headers={"Accept-Language": "en"})).body == b"english"


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
async def test_what_a_304_forbids_to_store_is_not_stored_by_the_fill_that_runs(tmp_path: Path, etag: str) -> None:
    release = asyncio.Event()
    async with Origin() as origin, running(tmp_path, web(origin, parallel=1)) as nezha:
        found = origin.serve("/a", Object(body=Pattern(SIZE), etag=etag, cache_control="max-age=3600"))
        origin.fault("/a", Fault(hold=release, hold_after=2_000_000), nth=1)
        async with await nezha.client() as client:
            await client.send(request_bytes("GET", "/a", HOST))
            await client.read_head()
            found.cache_control = "private, max-age=3600"
            second = asyncio.create_task(nezha.get("/a", headers={"Cache-Control": "no-cache"}))
            await origin.finished(1)  # the 304
            release.set()
            assert await client.read(SIZE) == (await second).body == pattern(SIZE)
        await nezha.quiet()
        await nezha.get("/a")
        assert origin.count() == 3
        assert nezha.metric("nezha_store_objects") == 0


async def test_an_origin_that_ends_after_each_byte_is_not_asked_for_each_byte(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin, parallel=1)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=3600"))
        origin.fault("/a", Fault(close_after=1))
        with pytest.raises(Truncated) as cut:
            await nezha.get("/a")
        assert cut.value.partial == pattern(SIZE)[: len(cut.value.partial)]
        assert origin.count() <= 10
        assert nezha.metric("nezha_cut_responses_total", reason="resume") == 1
