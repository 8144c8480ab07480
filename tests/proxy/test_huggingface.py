"""Hugging Face through Nezha: redirects and tokens pass, bytes are stored once, and no secret is ever on the disk."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.doubles.huggingface import CAS, FILES, HUB, XORBS, File, HubOrigin, presigned
from tests.doubles.xet import unpacked
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


async def read_token(nezha: Running, authorization: str, repository: str = "org/model") -> dict[str, str]:
    """The fields by which the CAS knows who has shown this to the hub."""
    target = f"/api/models/{repository}/xet-read-token/main"
    found = await nezha.get(target, host=HUB, headers={"Authorization": authorization})
    assert (found.status, found.get("cache-status")) == (200, "nezha; fwd=bypass; detail=hub")
    return {"Authorization": f"Bearer {found.get('x-xet-access-token')}"}


async def reconstruction(nezha: Running, file: File, headers: dict[str, str], version: int = 1) -> Any:
    found = await nezha.get(f"/v{version}/reconstructions/{file.hash}", host=CAS, headers=headers)
    assert (found.status, found.get("cache-status")) == (200, "nezha; fwd=bypass; detail=hub")
    return json.loads(found.body)


def places(found: Any) -> dict[tuple[str, int], tuple[str, str]]:
    """The URL and the Range of each run of chunks, by its xorb and the number of its first chunk."""
    first = {
        (name, each["range"]["start"]): (each["url"], each["url_range"])
        for name, group in found.get("fetch_info", {}).items()
        for each in group
    }
    second = {
        (name, each["chunks"]["start"]): (group["url"], each["bytes"])
        for name, groups in found.get("xorbs", {}).items()
        for group in groups
        for each in group["ranges"]
    }
    return {key: (url, f"bytes={span['start']}-{span['end']}") for key, (url, span) in (first | second).items()}


@pytest.mark.parametrize("version", [1, 2])
async def test_a_file_is_put_together_of_what_is_stored_of_xorbs(tmp_path: Path, version: int) -> None:
    body = pattern(11_000_000)
    async with scene(tmp_path) as (nezha, origin):
        origin.files[RESOLVE], origin.cas_version = File(body), version
        moved = []
        where: dict[tuple[str, int], tuple[str, str]] = {}
        for _ in range(2):
            token = await read_token(nezha, "Bearer good")
            found = await reconstruction(nezha, origin.files[RESOLVE], token, version)
            where, whole = places(found), b""
            for term in found["terms"]:
                url, span = where[term["hash"], term["range"]["start"]]
                stored = await nezha.get(url.removeprefix(f"https://{XORBS}"), host=XORBS, headers={"Range": span})
                assert stored.status == 206
                whole += unpacked(stored.body)
            assert whole == body
            await nezha.quiet()
            moved.append(origin.xorb_bytes)
        assert len(where) == 7
        assert moved[0] == moved[1] == nezha.metric("nezha_store_bytes") > len(body)
        assert len(origin.tokens) == 2
        assert nezha.metric("nezha_store_objects") == 3


async def test_a_xorb_is_shown_no_further_than_its_url_goes_and_a_file_to_nobody_else(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h", immutable=True) as (nezha, origin):
        file = origin.files[RESOLVE]
        origin.files["/else/where/resolve/main/b.bin"] = File(b"another's", "Bearer other")
        good, other = await read_token(nezha, "Bearer good"), await read_token(nezha, "Bearer other", "else/where")
        found = places(await reconstruction(nezha, file, good))
        for path, xorb in file.cut.xorbs.items():  # all of them is stored, what others own in them too
            assert (await nezha.get(presigned(path), host=XORBS)).body == xorb
        await nezha.quiet()
        before = origin.xorb_bytes
        for url, span in found.values():
            target = url.removeprefix(f"https://{XORBS}")
            assert (await nezha.get(target, host=XORBS, headers={"Range": span})).status == 206
            for asked in ({"Range": "bytes=0-1007"}, {"Range": f"{span}0"}, {}):
                refused = await nezha.get(target, host=XORBS, headers=asked)
                assert (refused.status, refused.get("etag")) == (403, None)
        for headers, status in ((other, 404), ({}, 401), (GOOD, 401)):
            refused = await nezha.get(f"/v1/reconstructions/{file.hash}", host=CAS, headers=headers)
            assert (refused.status, b"terms" in refused.body) == (status, False)
        assert origin.xorb_bytes == before


async def test_neither_a_token_nor_a_signature_is_on_the_disk(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        await nezha.get(RESOLVE, host=HUB, headers={"Authorization": "Bearer good"})
        url = presigned(f"/repo/{origin.files[RESOLVE].hash}", uid="planted-holder")
        secret = url.rpartition("Signature=")[2]
        assert (await nezha.get(url, host=FILES)).body == BODY
        token = await read_token(nezha, "Bearer good")
        found = await reconstruction(nezha, origin.files[RESOLVE], token)
        xorb, span = next(iter(places(found).values()))
        signature = xorb.rpartition("Signature=")[2]
        assert (
            await nezha.get(xorb.removeprefix(f"https://{XORBS}"), host=XORBS, headers={"Range": span})
        ).status == 206
        await nezha.quiet()
    held = await asyncio.to_thread(everything_in, tmp_path / "cache")
    assert origin.files[RESOLVE].hash.encode() in held
    assert urlsplit(xorb).path.encode()[1:] in held
    for planted in (secret, signature, "planted-holder", "Bearer", *origin.tokens, "unpacked_length"):
        assert planted.encode() not in held
