"""Hugging Face through Nezha: redirects and tokens pass, bytes are stored once, and no secret is ever on the disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.doubles.huggingface import FILES, HUB, XORBS, File, HubOrigin, presigned
from tests.objects import pattern
from tests.running import Running, running

SIZE = 3_000_000
BODY = pattern(SIZE)
RESOLVE = "/org/model/resolve/main/a.bin"
GOOD = {"Authorization": "Bearer good"}


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@asynccontextmanager
async def scene(directory: Path, **more: object) -> AsyncIterator[tuple[Running, HubOrigin]]:
    async with HubOrigin() as origin:
        origin.files[RESOLVE] = File(BODY)
        origin.xorbs["/xorbs/default/1"] = BODY
        async with running(
            directory, {"name": "hub", "dialect": "huggingface", "connect": origin.url, **more}
        ) as nezha:
            yield nezha, origin


async def test_a_file_is_found_by_the_hubs_redirect_and_stored_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        seen = set()
        for _ in range(3):
            found = await nezha.get(RESOLVE, host=HUB, headers=GOOD)
            assert (found.status, found.get("cache-status")) == (302, "nezha; fwd=bypass; detail=hub")
            assert found.get("x-linked-etag") == f'"{origin.files[RESOLVE].hash}"'
            url = urlsplit(found.get("location") or "")
            seen.add(url.query)
            assert (await nezha.get(f"{url.path}?{url.query}", host=FILES)).body == BODY
        assert len(seen) == 3
        await nezha.quiet()
        assert nezha.metric("nezha_store_objects") == 1
        assert nezha.metric("nezha_store_bytes") == SIZE
        assert nezha.metric("nezha_response_bytes_total", source="cache") == 2 * SIZE


async def test_a_hub_that_refuses_is_relayed(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, _):
        assert (await nezha.get(RESOLVE, host=HUB, headers=GOOD)).status == 302
        for headers in ({}, {"Authorization": "Bearer other"}):
            refused = await nezha.get(RESOLVE, host=HUB, headers=headers)
            assert (refused.status, refused.get("location")) == (401, None)


async def test_a_url_signed_for_one_range_grants_that_range_and_no_more(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h", immutable=True) as (nezha, origin):
        only = "bytes=1000-1999999"
        whole = presigned("/xorbs/default/1")
        assert (await nezha.get(whole, host=XORBS)).body == BODY
        await nezha.quiet()
        url = presigned("/xorbs/default/1", only=only)
        for _ in range(2):
            answer = await nezha.get(url, host=XORBS, headers={"Range": only})
            assert (answer.status, answer.body) == (206, BODY[1000:2_000_000])
        assert origin.count() == 2, "the second was granted"
        for asked in ({"Range": "bytes=0-2999999"}, {"Range": "bytes=999-1999"}, {}):
            refused = await nezha.get(url, host=XORBS, headers=asked)
            assert (refused.status, refused.get("etag")) == (403, None)


async def test_parts_of_a_xorb_by_urls_of_their_own_are_one_copy(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for only in ("bytes=0-1999999", "bytes=1000000-2999999"):
            start, stop = (int(number) for number in only.removeprefix("bytes=").split("-"))
            answer = await nezha.get(presigned("/xorbs/default/1", only=only), host=XORBS, headers={"Range": only})
            assert answer.body == BODY[start : stop + 1]
            await nezha.quiet()
        assert [request.header("range") for request in origin.requests] == ["bytes=0-1999999", "bytes=1000000-2999999"]
        assert nezha.metric("nezha_store_bytes") == SIZE


async def test_neither_a_token_nor_a_signature_is_on_the_disk(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        await nezha.get(RESOLVE, host=HUB, headers={"Authorization": "Bearer good"})
        url = presigned(f"/repo/{origin.files[RESOLVE].hash}", uid="planted-holder")
        secret = url.rpartition("Signature=")[2]
        assert (await nezha.get(url, host=FILES)).body == BODY
        await nezha.quiet()
    held = await asyncio.to_thread(everything_in, tmp_path / "cache")
    assert origin.files[RESOLVE].hash.encode() in held
    for planted in (secret, "planted-holder", "Bearer good"):
        assert planted.encode() not in held
