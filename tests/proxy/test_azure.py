"""Azure Blob Storage through Nezha: x-ms-range is Range, SharedKey goes out as it came, no id is replayed."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.doubles.azure import API, HOST, AzureOrigin, Blob, sas, signed
from tests.faults import Fault
from tests.objects import pattern
from tests.rawclient import Response, request_bytes
from tests.running import Running, running

SIZE = 3_000_000
BODY = pattern(SIZE)
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
PATH = "/models/a/b.bin"
VERSION = {"x-ms-version": API}


@asynccontextmanager
async def scene(directory: Path, **more: object) -> AsyncIterator[tuple[Running, AzureOrigin]]:
    cache = {"slice": more.pop("slice")} if "slice" in more else {}
    async with AzureOrigin() as origin:
        origin.blobs["models/a/b.bin"] = Blob(BODY)
        settings = {"name": "az", "dialect": "azure", "accounts": ["mydata"], "connect": origin.url, **more}
        async with running(directory, settings, **cache) as nezha:
            yield nezha, origin


async def shared(nezha: Running, **headers: str) -> Response:
    """A read as azure-storage-blob signs it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await nezha.get(PATH, host=HOST, headers=signed("GET", PATH, named))


async def by_sas(nezha: Running, seconds: float = 600.0, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await nezha.get(sas(PATH, seconds=seconds), host=HOST, headers={**VERSION, **named})


async def test_a_shared_key_request_goes_out_as_it_came_and_warm_bytes_come_from_the_store(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        asked = "bytes=0-33554431"
        for _ in range(3):
            answer = await shared(nezha, x_ms_range=asked)
            assert (answer.status, answer.body) == (206, BODY)
            assert answer.get("content-range") == f"bytes 0-{SIZE - 1}/{SIZE}"
        assert [request.header("x-ms-range") for request in origin.requests] == [asked] * 3
        assert all(request.header("if-none-match") is None for request in origin.requests)
        assert nezha.metric("nezha_response_bytes_total", source="cache") == 2 * SIZE
        assert nezha.metric("nezha_store_bytes") == SIZE


async def test_ranges_of_a_shared_key_are_adopted_and_completed_by_its_own_requests_only(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for asked in ("bytes=0-999999", "bytes=500000-1999999", "bytes=2000000-"):
            start, _, last = asked.removeprefix("bytes=").partition("-")
            stop = int(last) + 1 if last else SIZE
            assert (await shared(nezha, x_ms_range=asked)).body == BODY[int(start) : stop]
            await nezha.quiet()
        assert nezha.metric("nezha_store_bytes") == SIZE
        assert (await shared(nezha)).body == BODY
        assert origin.requests[-1].header("x-ms-range") is None


async def test_x_ms_range_wins_over_range_and_every_range_is_answered_with_206(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, _):
        for _ in range(2):
            answer = await by_sas(nezha, Range="bytes=0-9", x_ms_range="bytes=10-19")
            assert (answer.status, answer.body) == (206, BODY[10:20])
            answer = await by_sas(nezha, Range="bytes=0-9")
            assert (answer.status, answer.body) == (206, BODY[:10])


async def test_every_sas_and_token_shares_one_copy_and_is_asked_by_etag(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        assert (await by_sas(nezha)).body == BODY
        assert (await by_sas(nezha, seconds=900)).body == BODY
        answer = await nezha.get(PATH, host=HOST, headers={**VERSION, "Authorization": "Bearer good"})
        assert answer.body == BODY
        assert [request.header("if-none-match") for request in origin.requests] == [None, '"0x8D1"', '"0x8D1"']
        assert nezha.metric("nezha_origin_bytes_total") == SIZE


async def test_a_slow_blob_is_read_by_lanes_that_say_x_ms_range_where_the_client_does(tmp_path: Path) -> None:
    async with scene(tmp_path, slice="256KiB") as (nezha, origin):
        origin.fault(PATH, Fault(rate=4e6))
        assert (await by_sas(nezha, x_ms_range="bytes=0-33554431")).body == BODY
        await nezha.quiet()
        lanes = [request for request in origin.requests if request.header("if-match")]
        assert lanes
        assert all(request.header("range") is None for request in lanes)


async def test_ids_are_echoed_or_fresh_and_never_anothers(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, _):
        first = await by_sas(nezha, x_ms_client_request_id="one")
        assert (first.get("x-ms-client-request-id"), first.get("x-ms-request-id")) == ("one", "request-1")
        assert first.get("x-ms-lease-status") == "unlocked"
        url = sas(PATH, seconds=800)
        for client_id in ("two", "three"):
            answer = await nezha.get(url, host=HOST, headers={**VERSION, "x-ms-client-request-id": client_id})
            assert answer.body == BODY
            assert answer.get("x-ms-client-request-id") == client_id
            assert answer.get("x-ms-version") == API
            assert answer.get("x-ms-request-id") is None
            assert answer.get("x-ms-lease-status") is None
            assert answer.get("x-ms-error-code") is None
            assert ("hit; ttl" in (answer.get("cache-status") or "")) == (client_id == "three")


@pytest.mark.parametrize("first", ["", "bytes=0-33554431"])
async def test_the_checksum_of_the_whole_is_called_so_on_a_part(first: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, _):
        await (by_sas(nezha, x_ms_range=first) if first else by_sas(nezha))
        for _ in range(2):
            whole = await by_sas(nezha)
            assert (whole.get("content-md5"), whole.get("x-ms-blob-content-md5")) == (MD5, None)
            part = await by_sas(nezha, x_ms_range="bytes=5-9")
            assert (part.get("content-md5"), part.get("x-ms-blob-content-md5")) == (None, MD5)


async def test_the_checksum_is_told_once_whatever_answers_came(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, _):
        for _ in range(3):
            whole, part = await shared(nezha), await shared(nezha, x_ms_range="bytes=5-9")
            assert (whole.get("content-md5"), whole.get("x-ms-blob-content-md5")) == (MD5, None)
            assert (part.get("content-md5"), part.get("x-ms-blob-content-md5")) == (None, MD5)


async def test_a_head_is_the_stores_own_for_it_says_more(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, _):
        url = sas(PATH)
        await nezha.get(url, host=HOST, headers=VERSION)
        head = await nezha.get(url, host=HOST, headers=VERSION, method="HEAD")
        assert (head.status, head.get("x-ms-access-tier")) == (200, "Hot")


async def test_who_names_no_api_gets_the_etag_as_the_oldest_writes_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        origin.blobs["models/a/b.bin"].is_public = True
        await by_sas(nezha)
        for _ in range(2):
            answer = await nezha.get(PATH, host=HOST)
            assert (answer.body, answer.get("etag")) == (BODY, "0x8D1")
            part = await nezha.get(PATH, host=HOST, headers={"Range": "bytes=3-7"})
            assert (part.status, part.body) == (206, BODY[3:8])
        assert origin.requests[-1].header("if-none-match") == "0x8D1"


async def test_what_was_written_through_nezha_is_read_after_it(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        url = sas(PATH)
        for _ in range(2):
            await nezha.get(url, host=HOST, headers=VERSION)
        assert origin.count() == 1, "a live grant: nobody is asked"
        body = pattern(1000, 3)
        headers = signed("PUT", PATH, {"x-ms-blob-type": "BlockBlob", "Content-Length": str(len(body))})
        async with await nezha.client() as client:
            await client.send(request_bytes("PUT", PATH, HOST, list(headers.items())) + body)
            assert (await client.read_response()).status == 201
        assert (await nezha.get(url, host=HOST, headers=VERSION)).body == pattern(1000, 3)


async def test_after_an_overwrite_past_nezha_only_the_new_bytes_come(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        await shared(nezha)
        origin.blobs["models/a/b.bin"] = Blob(pattern(SIZE, 2), '"0x8D2"')
        for _ in range(2):
            assert (await shared(nezha)).body == pattern(SIZE, 2)
            assert (await by_sas(nezha, x_ms_range="bytes=7-99")).body == pattern(SIZE, 2)[7:100]
