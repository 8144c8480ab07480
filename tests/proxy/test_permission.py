"""Nobody gets a byte or a head of a stored object, or of a running fill, without the origin's word for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import request_bytes
from tests.running import running, web
from tests.wire import Received

SIZE = 6_000_000
BUCKET_HOST = "data.s3.us-east-1.amazonaws.com"
GOOD, BAD = {"Authorization": "Bearer good"}, {"Authorization": "Bearer bad"}


def only(value: str) -> Callable[[Received], int | None]:
    """An origin that lets only this Authorization read."""
    return lambda request: None if request.header("authorization") == value else 403


def s3(origin: Origin, **more: object) -> dict[str, object]:
    buckets = {"name": "s3", "dialect": "s3", "buckets": ["data"], "regions": ["us-east-1"]}
    return {**buckets, "connect": origin.url, **more}


def signed(signature: str, names: str = "host;x-amz-content-sha256;x-amz-date") -> dict[str, str]:
    scope = "Credential=AKIA1/20261123/us-east-1/s3/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders={names}, Signature={signature}"}


async def test_a_wrong_token_gets_the_origins_refusal_and_not_a_byte(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="public, max-age=60"))
        origin.authorize = only("Bearer good")
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a", headers=GOOD)).body == pattern(SIZE)
            for headers in (BAD, {}, {"Authorization": "Basic Zm9vOmJhcg=="}):
                for method in ("GET", "HEAD"):
                    refused = await nezha.get("/a", headers=headers, method=method)
                    assert refused.status == 403
                    assert refused.get("etag") is None
                    assert refused.get("cache-status") in {"nezha; fwd=request", "nezha; fwd=bypass; detail=head"}
            refused = await nezha.get("/a", headers={**BAD, "Range": "bytes=0-9"})
            assert refused.status == 403


async def test_a_token_is_remembered_for_the_grant_and_no_longer(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="public, max-age=3600"))
        origin.authorize = only("Bearer good")
        async with running(tmp_path, web(origin, grant="1h")) as nezha:
            await nezha.get("/a", headers=GOOD)
            assert (await nezha.get("/a", headers=GOOD)).body == pattern(SIZE)
            assert origin.count() == 1
            assert nezha.metric("nezha_grants") == 1
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="public, max-age=3600"))
        origin.authorize = only("Bearer good")
        async with running(tmp_path / "none", web(origin, grant=0)) as nezha:
            await nezha.get("/a", headers=GOOD)
            origin.authorize = only("nobody")
            assert (await nezha.get("/a", headers=GOOD)).status == 403


async def test_an_object_first_read_with_a_token_is_not_open_to_everybody(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="public, max-age=3600"))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a", headers=GOOD)
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.requests[-1].header("if-none-match") == '"v1"'
            assert origin.count() == 2


async def test_every_use_of_a_signature_is_asked_and_moves_no_body(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        async with running(tmp_path, s3(origin, fresh="1d")) as nezha:
            for number in range(4):
                answer = await nezha.get("/k", host=BUCKET_HOST, headers=signed(f"{number}"))
                assert answer.body == pattern(SIZE)
            assert [request.header("if-none-match") for request in origin.requests] == [None, *['"v1"'] * 3]
            assert nezha.metric("nezha_origin_bytes_total") == SIZE


async def test_a_wrong_signature_gets_nothing_of_what_another_has_stored(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        origin.authorize = only(signed("good")["Authorization"])
        async with running(tmp_path, s3(origin, fresh="1d")) as nezha:
            assert (await nezha.get("/k", host=BUCKET_HOST, headers=signed("good"))).body == pattern(SIZE)
            for headers in (signed("bad"), {}):
                refused = await nezha.get("/k", host=BUCKET_HOST, headers=headers)
                assert (refused.status, refused.get("etag")) == (403, None)


async def test_a_signed_range_goes_out_as_it_is_and_is_adopted(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        async with running(tmp_path, s3(origin)) as nezha:
            for asked in ("bytes=100-4999999", "bytes=100-4999999", "bytes=4000000-5999999"):
                headers = {**signed("x", "host;range;x-amz-date"), "Range": asked}
                answer = await nezha.get("/k", host=BUCKET_HOST, headers=headers)
                start, stop = (int(number) for number in asked.removeprefix("bytes=").split("-"))
                assert answer.body == pattern(SIZE)[start : stop + 1]
                await nezha.quiet()
            assert [request.header("range") for request in origin.requests] == [
                "bytes=100-4999999",
                "bytes=100-4999999",
                "bytes=4000000-5999999",
            ]
            assert origin.requests[1].header("if-none-match") == '"v1"'
            assert nezha.metric("nezha_store_bytes") == SIZE - 100


async def test_parallel_signed_ranges_of_a_cold_object_are_one_version(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        async with running(tmp_path, s3(origin)) as nezha:
            parts = [(start, min(start + 1_000_000, SIZE)) for start in range(0, SIZE, 1_000_000)]
            answers = await asyncio.gather(
                *(
                    nezha.get(
                        "/k",
                        host=BUCKET_HOST,
                        headers={**signed("x", "host;range;if-match"), "Range": f"bytes={start}-{stop - 1}"},
                    )
                    for start, stop in parts
                )
            )
            assert b"".join(answer.body for answer in answers) == pattern(SIZE)
            await nezha.quiet()
            assert nezha.metric("nezha_store_objects") == 1
            assert nezha.metric("nezha_store_bytes") == SIZE
            assert nezha.metric("nezha_origin_bytes_total") == SIZE


async def test_signed_clients_at_once_move_the_body_once_and_a_wrong_one_gets_403(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        origin.authorize = lambda request: 403 if "Signature=bad" in (request.header("authorization") or "") else None
        async with running(tmp_path, s3(origin)) as nezha:
            signatures = ["bad" if number == 17 else f"good{number}" for number in range(32)]
            answers = await asyncio.gather(
                *(nezha.get("/k", host=BUCKET_HOST, headers=signed(each)) for each in signatures)
            )
            for signature, answer in zip(signatures, answers, strict=True):
                if signature == "bad":
                    assert answer.status == 403
                    assert len(answer.body) < 100
                else:
                    assert answer.body == pattern(SIZE)
            whole = [request for request in origin.requests if not request.header("if-none-match")]
            assert (
                len([request for request in whole if request.header("if-match") is None]) <= 2
            )  # the leader, the bad one
            assert nezha.metric("nezha_origin_bytes_total") <= SIZE * 1.05


async def test_a_follower_without_permission_gets_nothing_of_a_running_fill(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        origin.authorize = only(signed("good")["Authorization"])
        going = asyncio.Event()
        origin.fault("/k", Fault(hold=going, hold_after=1_000_000), nth=1)
        async with running(tmp_path, s3(origin)) as nezha, await nezha.client() as leader:
            await leader.send(request_bytes("GET", "/k", BUCKET_HOST, list(signed("good").items())))
            await origin.held()
            refused = await nezha.get("/k", host=BUCKET_HOST, headers=signed("bad"))
            assert (refused.status, refused.get("etag")) == (403, None)
            going.set()
            assert (await leader.read_response()).body == pattern(SIZE)


async def test_anonymous_reads_of_an_object_store_are_asked_unless_fresh(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE), cache_control="public, max-age=31536000"))
        async with running(tmp_path, s3(origin)) as nezha:
            await nezha.get("/k", host=BUCKET_HOST)
            await nezha.get("/k", host=BUCKET_HOST)
            assert origin.count() == 2
        async with running(tmp_path / "fresh", s3(origin, fresh="1d", grant="1h")) as nezha:
            await nezha.get("/k", host=BUCKET_HOST)
            await nezha.get("/k", host=BUCKET_HOST)
            assert origin.count() == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_a_credential_that_ends_during_a_fill_hurts_nobody(tmp_path: Path, status: int) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(20_000_000)))
        going = asyncio.Event()
        origin.fault("/k", Fault(hold=going, hold_after=100_000), nth=1)
        origin.fault("/k", Fault(status=status), when=lambda request: request.header("range") is not None)
        async with running(tmp_path, s3(origin, parallel=4)) as nezha, await nezha.client() as client:
            await client.send(request_bytes("GET", "/k", BUCKET_HOST, list(signed("x").items())))
            await origin.arrived(2)
            going.set()
            assert (await client.read_response()).body == pattern(20_000_000)


async def test_a_write_is_seen_by_the_next_read(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=b"old"))
        async with running(tmp_path, s3(origin, fresh="1d", grant="1d", immutable=True)) as nezha:
            assert (await nezha.get("/k", host=BUCKET_HOST)).body == b"old"
            async with await nezha.client() as client:
                await client.exchange(request_bytes("PUT", "/k", BUCKET_HOST, body=b"new"))
            assert (await nezha.get("/k", host=BUCKET_HOST)).body == b"new"
            origin.objects["/k"].body, origin.objects["/k"].etag = b"third", '"v3"'
            async with await nezha.client() as client:
                await client.exchange(request_bytes("POST", "/?delete", BUCKET_HOST, body=b"<xml/>"))
            assert (await nezha.get("/k", host=BUCKET_HOST)).body == b"third"


async def test_while_the_origin_is_down_only_live_grants_are_served(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        async with running(tmp_path, s3(origin, fresh="1d", grant="1h")) as nezha:
            await nezha.get("/k", host=BUCKET_HOST)
            await nezha.get("/k", host=BUCKET_HOST, headers=signed("x"))
            await origin.stop()
            assert (await nezha.get("/k", host=BUCKET_HOST)).body == pattern(SIZE)
            assert (await nezha.get("/k", host=BUCKET_HOST, headers=signed("x"))).status == 502


async def test_a_host_of_an_unconfigured_bucket_passes(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/other/k", Object(body=b"theirs"))
        async with running(tmp_path, s3(origin, fresh="1d")) as nezha:
            for _ in range(2):
                answer = await nezha.get("/other/k", host="s3.us-east-1.amazonaws.com")
                assert answer.body == b"theirs"
                assert answer.get("cache-status") == "nezha; fwd=bypass; detail=bucket"
            assert origin.count() == 2


async def test_url_forms_of_one_bucket_share_one_object(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("*", Object(body=Pattern(SIZE)))
        async with running(tmp_path, s3(origin)) as nezha:
            for path, host in (
                ("/k", BUCKET_HOST),
                ("/k", "data.s3.amazonaws.com"),
                ("/data/k", "s3.amazonaws.com"),
                ("/data/%6b", "s3.us-east-1.amazonaws.com"),
            ):
                assert (await nezha.get(path, host=host)).body == pattern(SIZE)
            assert nezha.metric("nezha_origin_bytes_total") == SIZE
            assert nezha.metric("nezha_store_objects") == 1


async def test_a_write_during_a_fill_keeps_what_it_brings_out_of_the_store(tmp_path: Path) -> None:
    async with Origin() as origin:
        for path, etag in (("/strong", '"v1"'), ("/weak", 'W/"v1"')):
            origin.serve(path, Object(body=Pattern(SIZE, 1), etag=etag))
            going = asyncio.Event()
            origin.fault(path, Fault(hold=going, hold_after=1_000_000), nth=1)
            async with running(tmp_path / path[1:], s3(origin, fresh="1d", grant="1d")) as nezha:
                async with await nezha.client() as leader, await nezha.client() as writer:
                    await leader.send(request_bytes("GET", path, BUCKET_HOST))
                    await origin.held()
                    await writer.exchange(request_bytes("PUT", path, BUCKET_HOST, body=b"new"))
                    going.set()
                    assert (await leader.read_response()).body == pattern(SIZE, 1)
                await nezha.quiet()
                assert (await nezha.get(path, host=BUCKET_HOST)).body == b"new"


async def test_an_answer_from_before_a_write_is_not_stored(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=b"old"))
        going = asyncio.Event()
        origin.fault("/k", Fault(hold=going), nth=1)
        async with running(tmp_path, s3(origin, fresh="1d", grant="1d")) as nezha:
            async with await nezha.client() as leader, await nezha.client() as writer:
                await leader.send(request_bytes("GET", "/k", BUCKET_HOST))
                await origin.held()
                await writer.exchange(request_bytes("PUT", "/k", BUCKET_HOST, body=b"new"))
                going.set()
                await leader.read_response()
            assert (await nezha.get("/k", host=BUCKET_HOST)).body == b"new"


async def test_what_a_token_is_told_makes_nothing_fresh_for_everybody(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=3600"))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")  # open, then
            origin.authorize = only("Bearer good")
            asked = await nezha.get("/a", headers={**GOOD, "Cache-Control": "no-cache"})
            assert (asked.get("cache-status") or "").endswith("detail=revalidated")
            assert (await nezha.get("/a")).status == 403
            assert (await nezha.get("/a", headers=BAD)).status == 403


async def test_a_slice_that_a_token_brought_does_not_make_the_rest_open(tmp_path: Path) -> None:
    part = {"Range": "bytes=0-999999"}
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="public, max-age=3600"))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a", headers=part)
            await nezha.quiet()
            origin.authorize = only("Bearer good")
            assert (await nezha.get("/a", headers=GOOD)).body == pattern(SIZE)
            assert (await nezha.get("/a", headers=part)).status == 403
