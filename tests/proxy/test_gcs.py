"""Google Cloud Storage through Nezha: asked by generation, each form with its own head, no bytes of another coding."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.doubles.gcs import HOST, Blob, GcsOrigin, hmac_header, signed_url
from tests.faults import Fault
from tests.objects import pattern
from tests.rawclient import Response, Truncated, request_bytes
from tests.running import Running, running

SIZE = 3_000_000
BODY = pattern(SIZE)
MEDIA = "/download/storage/v1/b/data/o/a%2Fb?alt=media"
JSON = "/storage/v1/b/data/o/a%2Fb?alt=media"
XML = "/data/a/b"
GOOD = {"Authorization": "Bearer good"}
GENERATION = 1700000000000001


@asynccontextmanager
async def scene(directory: Path, body: bytes = BODY, **more: object) -> AsyncIterator[tuple[Running, GcsOrigin]]:
    cache = {"slice": more.pop("slice")} if "slice" in more else {}
    async with GcsOrigin() as origin:
        origin.blobs["data", "a/b"] = Blob(body)
        settings = {"name": "gcs", "dialect": "gcs", "connect": origin.url, "buckets": ["data", "other"], **more}
        async with running(directory, settings, **cache) as nezha:
            yield nezha, origin


async def read(nezha: Running, target: str, host: str = HOST, **headers: str) -> Response:
    return await nezha.get(target, host=host, headers={**GOOD, **headers})


@pytest.mark.parametrize(
    ("target", "parameter", "field"),
    [
        (MEDIA, f"&ifGenerationNotMatch={GENERATION}", None),
        (JSON, f"&ifGenerationNotMatch={GENERATION}", None),
        (XML, "", str(GENERATION)),
    ],
)
async def test_a_stored_object_is_asked_for_by_its_generation(
    target: str, parameter: str, field: str | None, tmp_path: Path
) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for _ in range(3):
            assert (await read(nezha, target)).body == BODY
        assert [request.target for request in origin.requests] == [target, *[f"{target}{parameter}"] * 2]
        assert origin.requests[1].header("x-goog-if-generation-not-match") == field
        assert origin.requests[1].header("if-none-match") is None
        assert nezha.metric("nezha_origin_bytes_total") == SIZE


async def test_a_signature_that_covers_the_stores_headers_is_asked_by_etag(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for _ in range(2):
            answer = await nezha.get(XML, host=HOST, headers=hmac_header("GOOG1GOOD", XML))
            assert answer.body == BODY
            assert (await nezha.get(signed_url("GOOG1GOOD", XML), host=HOST)).body == BODY
        etag = origin.blobs["data", "a/b"].md5
        assert [request.header("if-none-match") for request in origin.requests] == [None, *[f'"{etag}"'] * 3]
        assert nezha.metric("nezha_origin_bytes_total") == SIZE


@pytest.mark.parametrize("target", [MEDIA, JSON, XML])
async def test_after_an_overwrite_past_nezha_only_the_new_bytes_come(target: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        await read(nezha, target)
        origin.blobs["data", "a/b"] = Blob(pattern(SIZE, 2), GENERATION + 1)
        for _ in range(2):
            answer = await read(nezha, target)
            assert answer.body == pattern(SIZE, 2)
            assert answer.get("x-goog-generation") == str(GENERATION + 1)
        await nezha.quiet()
        assert nezha.metric("nezha_store_objects") == 1


async def test_each_form_answers_with_its_own_head_and_every_name_of_the_xml_form_is_one(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for _ in range(2):
            media, xml = await read(nezha, MEDIA), await read(nezha, "/data/%61%2Fb")
            assert (media.body, media.get("content-type")) == (BODY, "application/x-json-form")
            assert (xml.body, xml.get("content-type")) == (BODY, "application/octet-stream")
            assert media.get("etag") == origin.blobs["data", "a/b"].etag
            assert xml.get("etag") == f'"{origin.blobs["data", "a/b"].md5}"'
        assert (await read(nezha, "/a/b", host=f"data.{HOST}")).body == BODY
        await nezha.quiet()
        assert nezha.metric("nezha_store_objects") == 1


async def test_what_belongs_to_an_exchange_or_to_the_whole_is_not_repeated_on_a_part(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, _):
        whole = await read(nezha, MEDIA)
        assert whole.get("x-guploader-uploadid") == "upload-1"
        assert whole.get("content-range") is None
        again = await read(nezha, MEDIA)
        assert again.get("x-guploader-uploadid") is None
        assert again.get("x-goog-hash") == whole.get("x-goog-hash") is not None
        part = await read(nezha, MEDIA, Range="bytes=0-9")
        assert (part.status, part.body) == (206, BODY[:10])
        assert part.get("x-goog-hash") is None
        assert part.get("x-goog-generation") == str(GENERATION)


async def test_who_does_not_accept_gzip_never_gets_it_and_inflated_bytes_are_not_stored(tmp_path: Path) -> None:
    packed = gzip.compress(BODY, 1)
    async with scene(tmp_path) as (nezha, origin):
        origin.blobs["data", "a/b"] = Blob(packed, encoding="gzip")
        for _ in range(2):
            stored = await read(nezha, MEDIA, **{"Accept-Encoding": "gzip"})
            assert (stored.body, stored.get("content-encoding")) == (packed, "gzip")
            inflated = await read(nezha, MEDIA)
            assert (inflated.body, inflated.get("content-encoding")) == (BODY, None)
            assert inflated.get("cache-status") == "nezha; fwd=uri-miss; detail=transcoded"
            part = await read(nezha, MEDIA, **{"Accept-Encoding": "gzip", "Range": "bytes=5-9"})
            assert (part.status, part.body) == (206, packed[5:10])
        await nezha.quiet()
        assert nezha.metric("nezha_store_bytes") == len(packed)


async def test_parts_of_a_generation_complete_each_other(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        assert (await read(nezha, MEDIA, Range="bytes=0-1999999")).body == BODY[:2_000_000]
        await nezha.quiet()
        assert (await read(nezha, MEDIA)).body == BODY
        await nezha.quiet()
        assert [request.header("range") for request in origin.requests] == ["bytes=0-1999999", "bytes=2000000-2999999"]
        assert nezha.metric("nezha_origin_bytes_total") == SIZE


@pytest.mark.parametrize("size", [1_500_000, SIZE, 4_000_000])
async def test_what_is_missing_of_a_generation_is_never_another_ones(size: int, tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        await read(nezha, MEDIA, Range="bytes=0-1999999")
        await nezha.quiet()
        # No If-Match goes out with the question for the rest: the generation of its answer tells.
        origin.blobs["data", "a/b"] = Blob(pattern(size, 2), GENERATION + 1)
        for _ in range(2):
            answer = await read(nezha, MEDIA)
            assert (answer.status, answer.body) == (200, pattern(size, 2))
            assert answer.get("x-goog-generation") == str(GENERATION + 1)


async def test_an_answer_that_breaks_off_is_resumed_within_its_generation(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        origin.fault(MEDIA.partition("?")[0], Fault(reset_after=1_000_000), nth=1)
        assert (await read(nezha, MEDIA)).body == BODY
        assert origin.count() >= 2


async def test_a_slow_object_is_read_by_lanes_of_its_generation(tmp_path: Path) -> None:
    async with scene(tmp_path, slice="256KiB") as (nezha, origin):
        origin.fault(MEDIA.partition("?")[0], Fault(rate=4e6))
        assert (await read(nezha, MEDIA)).body == BODY
        await nezha.quiet()
        ranges = [request for request in origin.requests if request.header("range")]
        assert ranges
        assert all(request.header("if-match") is None for request in ranges)


async def test_a_generation_that_is_named_is_read_from_the_object_where_that_is_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        assert (await read(nezha, MEDIA, Range="bytes=0-1999999")).body == BODY[:2_000_000]
        await nezha.quiet()
        for _ in range(2):
            assert (await read(nezha, f"{MEDIA}&generation={GENERATION}")).body == BODY
            await nezha.quiet()
        assert (await read(nezha, MEDIA)).body == BODY
        assert origin.requests[-1].target == f"{MEDIA}&ifGenerationNotMatch={GENERATION}"
        assert nezha.metric("nezha_origin_bytes_total") == SIZE
        assert nezha.metric("nezha_store_objects") == 1


async def test_an_old_generation_that_is_still_there_does_not_pass_for_the_object(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        named = f"{MEDIA}&generation={GENERATION}"
        assert (await read(nezha, MEDIA)).body == BODY
        # Somebody writes; that the old one is still to be had says nothing of which is the object.
        async with await nezha.client() as client:
            await client.send(request_bytes("POST", "/batch/storage/v1", HOST, list(GOOD.items()), b""))
            assert (await client.read_response()).status == 200
        origin.old["data", "a/b"] = origin.blobs["data", "a/b"]
        origin.blobs["data", "a/b"] = Blob(pattern(SIZE, 2), GENERATION + 1)
        for _ in range(2):
            assert (await read(nezha, named)).body == BODY
        assert (await read(nezha, MEDIA)).body == pattern(SIZE, 2)
        # And once it is another, the old one is stored beside it.
        for _ in range(2):
            assert (await read(nezha, named)).body == BODY
            assert (await read(nezha, MEDIA)).body == pattern(SIZE, 2)
        await nezha.quiet()
        assert nezha.metric("nezha_store_objects") == 2
        assert nezha.metric("nezha_origin_bytes_total") <= 3 * SIZE + 1000


async def test_a_generation_that_is_named_and_not_the_object_has_a_key_of_its_own(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        named = f"{MEDIA}&generation={GENERATION}"
        for _ in range(2):
            assert (await read(nezha, named)).body == BODY
        origin.blobs["data", "a/b"] = Blob(pattern(SIZE, 2), GENERATION + 1)
        assert (await read(nezha, named)).status == 404
        assert (await read(nezha, MEDIA)).body == pattern(SIZE, 2)


@pytest.mark.parametrize(
    ("method", "target"),
    [("PUT", XML), ("POST", "/upload/storage/v1/b/data/o?uploadType=media&name=a/b"), ("POST", "/batch/storage/v1")],
)
async def test_what_was_written_through_nezha_is_read_after_it_in_every_form(
    method: str, target: str, tmp_path: Path
) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        for form in (MEDIA, JSON, XML):
            await read(nezha, form)
        seen = origin.count()
        assert (await read(nezha, MEDIA)).body == BODY
        assert origin.count() == seen, "a live grant: nobody is asked"
        async with await nezha.client() as client:
            await client.send(request_bytes(method, target, HOST, list(GOOD.items()), pattern(1000, 3)))
            assert (await client.read_response()).status == 200
        if "batch" in target:
            origin.blobs["data", "a/b"] = Blob(pattern(1000, 3), GENERATION + 1)
        for form in (MEDIA, JSON, XML):
            assert (await read(nezha, form)).body == pattern(1000, 3), form


async def test_metadata_passes_and_is_never_stored(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        for _ in range(2):
            answer = await read(nezha, "/storage/v1/b/data/o/a%2Fb")
            assert answer.get("cache-status") == "nezha; fwd=bypass; detail=metadata"
        assert origin.count() == 2
        assert nezha.metric("nezha_store_objects") == 0


async def test_a_public_object_is_read_by_who_shows_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        origin.blobs["data", "a/b"].is_public = True
        for _ in range(2):
            assert (await nezha.get(MEDIA, host=HOST)).body == BODY
        assert nezha.metric("nezha_origin_bytes_total") == SIZE
        origin.blobs["data", "a/b"].is_public = False
        assert (await nezha.get(MEDIA, host=HOST)).status == 401


@pytest.mark.parametrize("target", [MEDIA, XML])
async def test_an_object_that_is_not_what_its_checksum_says_is_cut_and_not_kept(target: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        origin.blobs["data", "a/b"].crc32c = Blob(b"another").crc32c
        with pytest.raises(Truncated):
            await read(nezha, target)
        await nezha.until(lambda: nezha.metric("nezha_store_objects") == 0)
        origin.blobs["data", "a/b"] = Blob(BODY)
        assert (await read(nezha, target)).body == BODY
