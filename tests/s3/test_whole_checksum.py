"""A complete object is checked against the checksum of all its bytes that its origin states, whatever way it came."""

import asyncio
import contextlib
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from awscrt import checksums

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import Response, Truncated, request_bytes
from tests.running import Running, running
from tests.wire import Headers

HOST = "data.s3.us-east-1.amazonaws.com"
SIZE, SLICE = 6_000_001, 1 << 20
BODY = pattern(SIZE)
WITHHELD = 64 << 10
CRCS: dict[str, Callable[[bytes], int]] = {
    "crc64nvme": checksums.crc64nvme,
    "crc32c": checksums.crc32c,
    "crc32": zlib.crc32,
}


def base64_of(algorithm: str, body: bytes) -> str:
    return b64encode(CRCS[algorithm](body).to_bytes(8 if algorithm == "crc64nvme" else 4)).decode()


def s3_says(algorithm: str, body: bytes) -> Headers:
    return [(f"x-amz-checksum-{algorithm}", base64_of(algorithm, body)), ("x-amz-checksum-type", "FULL_OBJECT")]


def gcs_says(body: bytes) -> Headers:
    return [("x-goog-hash", f"crc32c={base64_of('crc32c', body)}"), ("x-goog-hash", "md5=1B2M2Y8AsgTpgAmY7PhCfg==")]


SAYS: dict[str, Callable[[bytes], Headers]] = {
    **{algorithm: lambda body, algorithm=algorithm: s3_says(algorithm, body) for algorithm in CRCS},  # type: ignore[misc]
    "x-goog-hash": gcs_says,
}


@contextlib.asynccontextmanager
async def nezha_before(origin: Origin, tmp_path: Path, **more: object) -> AsyncIterator[Running]:
    s3 = {"name": "s3", "dialect": "s3", "buckets": ["data"], "regions": ["us-east-1"], "connect": origin.url, **more}
    async with running(tmp_path, {"parallel": 1, "fresh": "1d", "grant": "1d", **s3}, slice="1MiB") as nezha:
        yield nezha


async def read(nezha: Running, *, part: str | None = None) -> Response:
    return await nezha.get("/k", host=HOST, headers={"Range": f"bytes={part}"} if part else {})


async def was_cut(nezha: Running) -> bool:
    """Whether a read of all bytes is cut before its last one."""
    try:
        await read(nezha)
    except Truncated as cut:
        return len(cut.partial) <= max(0, SIZE - WITHHELD)
    return False


@pytest.mark.parametrize("name", list(SAYS))
async def test_an_object_that_agrees_is_stored_and_served(tmp_path: Path, name: str) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        origin.serve("/k", Object(body=BODY, headers=SAYS[name](BODY)))
        for _ in range(2):
            answer = await read(nezha)
            assert answer.body == BODY
            assert {(key.lower(), value) for key, value in SAYS[name](BODY)} <= {
                (key.lower(), value) for key, value in answer.headers
            }
            await nezha.quiet()
        assert origin.count() == 1
        assert nezha.metric("nezha_store_errors_total") == 0


@pytest.mark.parametrize("name", list(SAYS))
async def test_an_object_that_differs_is_cut_dropped_and_counted(tmp_path: Path, name: str) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        origin.serve("/k", Object(body=BODY, headers=SAYS[name](BODY[:-1] + b"?")))
        assert await was_cut(nezha)
        await nezha.quiet()
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") == 0)
        assert nezha.metric("nezha_store_errors_total", kind="checksum") == 1
        assert nezha.metric("nezha_cut_responses_total", reason="checksum") == 1


async def test_what_differed_passes_for_a_while_so_that_clients_see_for_themselves(tmp_path: Path) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        found = origin.serve("/k", Object(body=BODY, headers=s3_says("crc32", b"another")))
        assert await was_cut(nezha)
        for _ in range(2):
            answer = await read(nezha)
            assert answer.body == BODY
            assert answer.get("cache-status") == "nezha; fwd=uri-miss; detail=checksum"
        found.etag, found.headers = '"v2"', s3_says("crc32", BODY)
        for _ in range(2):
            assert (await read(nezha)).body == BODY
        await nezha.quiet()
        assert nezha.metric("nezha_store_bytes") == SIZE
        assert origin.count() == 4


@pytest.mark.parametrize("size", [1, 1000, WITHHELD, WITHHELD + 1])
async def test_of_a_small_object_that_differs_the_end_is_withheld_too(tmp_path: Path, size: int) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        origin.serve("/k", Object(body=BODY[:size], headers=s3_says("crc32c", b"another")))
        with pytest.raises(Truncated) as cut:
            await read(nezha)
        assert len(cut.value.partial) == max(0, size - WITHHELD)
        await nezha.quiet()
        assert nezha.metric("nezha_store_errors_total", kind="checksum") == 1


@pytest.mark.parametrize("is_true", [True, False])
@pytest.mark.parametrize("algorithm", list(CRCS))
async def test_slices_of_parallel_lanes_make_one_checksum(tmp_path: Path, algorithm: str, is_true: bool) -> None:
    size = 20 * SLICE + 1
    async with Origin() as origin, nezha_before(origin, tmp_path, parallel=4) as nezha:
        said = pattern(size) if is_true else pattern(size, 1)
        origin.serve("/k", Object(body=Pattern(size), headers=s3_says(algorithm, said)))
        origin.fault("/k", Fault(rate=20e6))
        if is_true:
            assert (await read(nezha)).body == pattern(size)
        else:
            with pytest.raises(Truncated) as cut:
                await read(nezha)
            assert len(cut.value.partial) <= size - WITHHELD
        await nezha.quiet()
        assert any(request.header("range") for request in origin.requests)
        assert nezha.metric("nezha_store_errors_total", kind="checksum") == (0 if is_true else 1)


@pytest.mark.parametrize("algorithm", list(CRCS))
async def test_what_ranges_brought_before_counts(tmp_path: Path, algorithm: str) -> None:
    """The checksum is stated by the answer that brings the rest; what was stored by a process before is read again."""
    async with Origin() as origin:
        for seed, wrong in ((0, False), (1, True)):
            body = pattern(SIZE, seed)
            says = s3_says(algorithm, b"another" if wrong else body)
            origin.serve("/k", Object(body=body, etag=f'"v{seed}"', headers=says))
            async with nezha_before(origin, tmp_path / str(seed)) as nezha:
                assert (await read(nezha, part="100-3000000")).body == body[100:3_000_001]
                await nezha.quiet()
            async with nezha_before(origin, tmp_path / str(seed)) as nezha:
                asked = len(origin.requests)
                origin.fault("/k", Fault(ignore_range=True), when=lambda request: request.header("range") is not None)
                assert await was_cut(nezha) is wrong
                await nezha.quiet()
                assert len(origin.requests) > asked
                assert nezha.metric("nezha_store_errors_total", kind="checksum") == int(wrong)
                origin.heal()


async def test_a_part_says_nothing_of_the_whole(tmp_path: Path) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        origin.serve("/k", Object(body=BODY, headers=s3_says("crc32", b"one part")))  # as S3 says it of a part
        parts = [(await read(nezha, part=part)) for part in ("0-2999999", "3000000-")]
        assert b"".join(part.body for part in parts) == BODY
        assert [part.get("x-amz-checksum-crc32") for part in parts] == [None, None]
        await nezha.quiet()
        whole = await read(nezha)
        assert (whole.body, whole.get("x-amz-checksum-crc32")) == (BODY, None)


@pytest.mark.parametrize("is_true", [True, False])
async def test_a_head_before_ranges_states_it_too(tmp_path: Path, is_true: bool) -> None:
    """So boto3 and the CRT begin their transfers."""
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        said = s3_says("crc64nvme", BODY if is_true else b"another")
        found = origin.serve("/k", Object(body=BODY, headers=said))
        head = await nezha.get("/k", host=HOST, method="HEAD")
        assert head.get("x-amz-checksum-crc64nvme") == said[0][1]
        found.headers = []
        assert (await read(nezha, part=f"0-{SIZE // 2}")).status == 206
        with contextlib.nullcontext() if is_true else contextlib.suppress(Truncated):  # by then it may be judged
            assert (await read(nezha, part=f"{SIZE // 2 + 1}-")).status == 206
        await nezha.quiet()
        assert nezha.metric("nezha_store_errors_total", kind="checksum") == int(not is_true)
        await nezha.until(lambda: nezha.metric("nezha_store_bytes") == (SIZE if is_true else 0))


async def test_the_end_is_withheld_from_who_reads_all_and_from_nobody_else(tmp_path: Path) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha, await nezha.client() as leader:
        origin.serve("/k", Object(body=BODY, headers=s3_says("crc64nvme", BODY)))
        assert (await read(nezha, part="-1000")).body == BODY[-1000:]
        going = asyncio.Event()
        origin.fault("/k", Fault(hold=going, hold_after=SIZE - 2000), nth=1)
        await leader.send(request_bytes("GET", "/k", HOST))
        head = await leader.read_head()
        assert await leader.read(SIZE - WITHHELD) == BODY[:-WITHHELD]
        await origin.held()
        assert (await read(nezha, part=f"{SIZE - 3000}-{SIZE - 2001}")).body == BODY[-3000:-2000]
        going.set()
        assert await leader.read(WITHHELD) == BODY[-WITHHELD:]
        assert head.get("content-length") == str(SIZE)


@pytest.mark.parametrize("at", [1_500_000, SIZE - WITHHELD - 1, SIZE - WITHHELD, SIZE - 1000, SIZE - 1])
async def test_a_reset_is_repaired_before_the_verdict(tmp_path: Path, at: int) -> None:
    async with Origin() as origin, nezha_before(origin, tmp_path) as nezha:
        origin.serve("/k", Object(body=BODY, headers=s3_says("crc32c", BODY)))
        origin.fault("/k", Fault(reset_after=at), nth=1)
        assert (await read(nezha)).body == BODY
        await nezha.quiet()
        assert nezha.metric("nezha_store_bytes") == SIZE
        assert [request.header("range") for request in origin.requests] == [None, f"bytes={at}-{SIZE - 1}"]


async def test_an_http_origin_is_not_judged_by_fields_that_mean_nothing_there(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=BODY, headers=s3_says("crc32", b"another"), cache_control="max-age=60"))
        web = {"name": "web", "dialect": "http", "hosts": ["web.test"], "connect": origin.url}
        async with running(tmp_path, web) as nezha:
            for _ in range(2):
                assert (await nezha.get("/k")).body == BODY
            assert origin.count() == 1
