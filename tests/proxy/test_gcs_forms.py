"""The URL forms of one GCS object: the bytes of a generation are shared, heads and permission are not."""

import asyncio
import gzip
import random
from pathlib import Path

import pytest

from tests.control.asking import operate
from tests.doubles.gcs import HOST, Blob, GcsOrigin
from tests.faults import Fault
from tests.objects import pattern
from tests.proxy.test_gcs import BODY, GENERATION, GOOD, JSON, MEDIA, SIZE, XML, read, scene
from tests.rawclient import Response, Truncated, request_bytes
from tests.running import Running, running
from tests.wire import Received

FORMS = [MEDIA, JSON, XML]
GZIP = {"Accept-Encoding": "gzip"}
NEW = pattern(SIZE, 2)


def said(answer: Response) -> tuple[str | None, str | None, str | None]:
    """By what the head of a form is told from that of another."""
    return answer.get("content-type"), answer.get("etag"), answer.get("x-goog-generation")


def heads(origin: GcsOrigin, blob: Blob | None = None) -> dict[str, tuple[str, str, str]]:
    """What each form says."""
    blob = blob or origin.blobs["data", "a/b"]
    media = "application/x-json-form", blob.etag, str(blob.generation)
    return {MEDIA: media, JSON: media, XML: ("application/octet-stream", f'"{blob.md5}"', str(blob.generation))}


def is_conditional(request: Received) -> bool:
    return request.header("x-goog-if-generation-not-match") == str(GENERATION)


async def stored_bytes(nezha: Running) -> float:
    await nezha.quiet()
    return nezha.metric("nezha_store_bytes")


@pytest.mark.parametrize("first", FORMS)
async def test_what_one_form_brought_is_read_by_all_with_their_own_heads(first: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        await read(nezha, first)
        await nezha.quiet()
        for _ in range(2):
            for form in FORMS:
                for more in ({}, GZIP):
                    answer = await read(nezha, form, **more)
                    assert (answer.body, said(answer)) == (BODY, heads(origin)[form])
        assert await stored_bytes(nezha) == SIZE
        assert nezha.metric("nezha_store_objects") == 1
        assert nezha.metric("nezha_origin_bytes_total") == SIZE
        # Each form has asked for its head once, as its client did, and then by the generation.
        plain = [request for request in origin.requests if request.target in FORMS and not is_conditional(request)]
        assert (origin.count(), len(plain)) == (1 + 4 * 3, 2 * 3)


async def test_a_small_object_costs_its_other_forms_no_connection(tmp_path: Path) -> None:
    async with scene(tmp_path, pattern(1000)) as (nezha, origin):
        for form in [*FORMS, *FORMS]:
            answer = await read(nezha, form)
            assert (answer.body, said(answer)) == (pattern(1000), heads(origin)[form])
            await nezha.quiet()
        assert origin.connections == 1
        assert await stored_bytes(nezha) == 1000


async def test_who_may_not_read_gets_nothing_by_any_form(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, _):
        await read(nezha, MEDIA)
        for form in FORMS:
            for bearer in ("Bearer other", "Bearer none"):
                answer = await read(nezha, form, Authorization=bearer)
                assert answer.status in {401, 403}
                assert said(answer)[1:] == (None, None)


async def test_a_grant_is_for_the_form_by_which_it_was_given(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        for form in FORMS:
            await read(nezha, form)
        origin.blobs["data", "a/b"].readers.add("other")
        for number, form in enumerate(FORMS, 1):
            for _ in range(2):
                assert (await read(nezha, form, Authorization="Bearer other")).body == BODY
            assert origin.count() == len(FORMS) + number


async def test_who_asks_by_another_form_meanwhile_joins_the_fill(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with scene(tmp_path, parallel=1) as (nezha, origin):
        origin.fault("/download/storage/v1/b/data/o/a%2Fb", Fault(hold=release, hold_after=1_000_000), nth=1)
        first = asyncio.create_task(read(nezha, MEDIA))
        await origin.held()
        others = [asyncio.create_task(read(nezha, form)) for form in (JSON, XML)]
        await origin.arrived(3)
        release.set()
        answers = [await task for task in (first, *others)]
        assert [answer.body for answer in answers] == [BODY] * 3
        assert [said(answer) for answer in answers] == [heads(origin)[form] for form in FORMS]
        assert await stored_bytes(nezha) == SIZE
        assert nezha.metric("nezha_origin_bytes_total") == SIZE


async def test_one_form_does_not_wait_for_the_head_of_another(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with scene(tmp_path) as (nezha, origin):
        origin.fault("/download/storage/v1/b/data/o/a%2Fb", Fault(hold=release))
        first = asyncio.create_task(read(nezha, MEDIA))
        await origin.held()
        assert (await read(nezha, XML)).body == BODY
        release.set()
        assert said(await first) == heads(origin)[MEDIA]
        assert await stored_bytes(nezha) == SIZE


async def test_parts_that_forms_brought_complete_each_other(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for form, part in ((MEDIA, "0-999999"), (XML, "1000000-1999999"), (JSON, "1500000-2999999")):
            start, _, stop = part.partition("-")
            answer = await read(nezha, form, Range=f"bytes={part}")
            assert (answer.status, answer.body) == (206, BODY[int(start) : int(stop) + 1])
            assert said(answer) == heads(origin)[form]
            await nezha.quiet()
        for form in FORMS:
            assert (await read(nezha, form)).body == BODY
        assert await stored_bytes(nezha) == SIZE
        assert all(request.header("range") for request in origin.requests[:3])
        assert origin.count() == 6, "whose last three brought heads only"


@pytest.mark.parametrize("part", [None, "bytes=0-1999999"])
@pytest.mark.parametrize("size", [SIZE, 1_500_000, 4_000_000])
async def test_a_new_generation_that_one_form_finds_never_mixes_with_the_old(
    part: str | None, size: int, tmp_path: Path
) -> None:
    new = pattern(size, 2)
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        for form in (XML, MEDIA):
            await read(nezha, form, **({"Range": part} if part else {}))
            await nezha.quiet()
        origin.blobs["data", "a/b"] = Blob(new, GENERATION + 1)
        for form in (JSON, XML, MEDIA):  # JSON learns of it; XML and media had live grants for the old one
            answer = await read(nezha, form)
            assert (answer.status, answer.body, said(answer)) == (200, new, heads(origin)[form])
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") == size)
        assert nezha.metric("nezha_store_objects") == 1


async def test_a_restart_keeps_what_the_forms_share(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        for form in FORMS:
            await read(nezha, form)
        await nezha.quiet()
        await nezha.server.close()
        settings = {"name": "gcs", "dialect": "gcs", "connect": origin.url, "buckets": ["data"]}
        async with running(tmp_path, settings) as again:
            for form in FORMS:
                answer = await read(again, form)
                assert (answer.body, said(answer)) == (BODY, heads(origin)[form])
                assert (answer.get("cache-status") or "").endswith("detail=revalidated")
            assert again.metric("nezha_origin_bytes_total") == 0
            assert again.metric("nezha_store_bytes") == SIZE


async def test_a_generation_that_is_named_by_one_form_is_read_from_what_another_stored(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        await read(nezha, MEDIA)
        await nezha.quiet()
        named = f"{JSON}&generation={GENERATION}"
        for _ in range(2):
            answer = await read(nezha, named)
            assert (answer.body, said(answer)) == (BODY, heads(origin)[JSON])
            assert int(answer.get("age") or 0) < 60
        assert await stored_bytes(nezha) == SIZE
        # That it is still to be had says nothing of which is the object: that is asked.
        origin.old["data", "a/b"] = origin.blobs["data", "a/b"]
        origin.blobs["data", "a/b"] = Blob(NEW, GENERATION + 1)
        assert (await read(nezha, JSON)).body == NEW
        assert (await read(nezha, named)).body == BODY


async def test_a_purge_drops_an_object_in_every_form(tmp_path: Path) -> None:
    async with scene(tmp_path, fresh="1d", grant="1h") as (nezha, origin):
        for form in FORMS:
            await read(nezha, form)
        await nezha.quiet()
        (found,) = (await operate(tmp_path, "ls", "--json")).json
        (version,) = found["versions"]
        assert (found["key"], version["size"], version["stored"]) == ("gcs/data/a/b", SIZE, SIZE)
        assert version["forms"] == ["json", "media", "xml"]
        purged = await operate(tmp_path, "purge", "gcs/data/a/b", "--json")
        assert (purged.json["objects"], purged.json["bytes"]) == (1, SIZE)
        origin.blobs["data", "a/b"] = Blob(NEW, GENERATION + 1)
        for form in FORMS:
            assert (await read(nezha, form)).body == NEW


async def test_a_write_during_a_fill_ends_it_for_every_form(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with scene(tmp_path, parallel=1, fresh="1d", grant="1h") as (nezha, origin):
        origin.fault("/download/storage/v1/b/data/o/a%2Fb", Fault(hold=release, hold_after=1_000_000), nth=1)
        first = asyncio.create_task(read(nezha, MEDIA))
        await origin.held()
        async with await nezha.client() as client:
            await client.send(request_bytes("PUT", XML, HOST, list(GOOD.items()), NEW))
            assert (await client.read_response()).status == 200
        for form in (JSON, XML):
            assert (await read(nezha, form)).body == NEW
        release.set()
        assert (await first).body == BODY
        for form in FORMS:
            assert (await read(nezha, form)).body == NEW


async def test_what_differs_from_its_checksum_is_doubted_in_every_form(tmp_path: Path) -> None:
    async with scene(tmp_path) as (nezha, origin):
        origin.blobs["data", "a/b"].crc32c = Blob(b"another").crc32c
        with pytest.raises(Truncated):
            await read(nezha, MEDIA)
        await nezha.until(lambda: nezha.metric("nezha_store_objects") == 0)
        for form in FORMS:
            answer = await read(nezha, form)
            assert answer.body == BODY
            assert (answer.get("cache-status") or "").endswith("detail=checksum")


async def test_what_is_stored_compressed_is_shared_by_those_only_who_accept_it(tmp_path: Path) -> None:
    packed = gzip.compress(BODY, 1)
    async with scene(tmp_path) as (nezha, origin):
        origin.blobs["data", "a/b"] = Blob(packed, encoding="gzip")
        for _ in range(2):
            for form in FORMS:
                answer = await read(nezha, form, **GZIP)
                assert (answer.body, answer.get("content-encoding")) == (packed, "gzip")
                inflated = await read(nezha, form)
                assert (inflated.body, inflated.get("content-encoding")) == (BODY, None)
        assert await stored_bytes(nezha) == len(packed)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_read_by_whatever_form_is_of_one_generation_with_its_own_head(
    seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    size = 500_000
    generations = {GENERATION + number: pattern(size, number) for number in range(6)}

    async def reader(nezha: Running, origin: GcsOrigin, form: str) -> None:
        start = rng.choice([0, 0, rng.randrange(size)])
        stop = rng.choice([size, rng.randrange(start, size) + 1])
        more = {} if (start, stop) == (0, size) else {"Range": f"bytes={start}-{stop - 1}"}
        try:
            answer = await read(nezha, form, **more, **rng.choice([{}, GZIP]))
        except Truncated:
            return  # the object was replaced meanwhile: cut, and never spliced
        generation = int(answer.get("x-goog-generation") or 0)
        assert answer.body == generations[generation][start:stop]
        assert said(answer) == heads(origin, Blob(generations[generation], generation))[form]

    async with scene(tmp_path, generations[GENERATION], slice="64KiB", parallel=3) as (nezha, origin):
        async with asyncio.TaskGroup() as readers:
            for generation, body in generations.items():
                origin.blobs["data", "a/b"] = Blob(body, generation)
                for _ in range(10):
                    task = readers.create_task(reader(nezha, origin, rng.choice(FORMS)))
                    if rng.random() < 0.3:
                        await task
        await nezha.quiet()
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") <= size)
