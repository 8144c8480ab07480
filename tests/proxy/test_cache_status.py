"""What Cache-Status says of answers that Nezha makes itself, and of those that are nobody else's (RFC 9211).

That every Cache-Status is a well-formed one is seen to by the client of all tests (`tests.rawclient`).
"""

from pathlib import Path

import pytest

from tests.cache_status import check_cache_status
from tests.faults import Fault
from tests.objects import Object
from tests.origin import Origin
from tests.rawclient import request_bytes
from tests.running import HOST, running, web

BUCKET_HOST = "data.s3.us-east-1.amazonaws.com"
PASSING = {"Cookie": "a=b"}  # a credential that the dialect does not know


def s3(origin: Origin) -> dict[str, object]:
    buckets = {"name": "s3", "dialect": "s3", "buckets": ["data"], "regions": ["us-east-1"]}
    return {**buckets, "connect": origin.url}


@pytest.mark.parametrize(
    "value",
    [
        "", "nezha; hit;", "nezha; hit; hit", "nezha; hit; fwd=miss", "nezha; fwd=no-reason", "nezha; stored",
        "nezha; fwd=miss; detail=Origin Unreachable", "nezha; FWD=miss", 'nezha; fwd="miss"', "nezha; hit=1",
        "nezha; hit; ttl=1.5", "nezha; hit; ttl=?1", "1; hit", "nezha; reason=x", "nezha, ", "(nezha); hit",
    ],
)  # fmt: skip
def test_the_check_can_fail(value: str) -> None:
    with pytest.raises(ValueError):
        check_cache_status(value)


FAULTS = {
    "origin-unreachable": (Fault(drop=True), 502),
    "origin-timeout": (Fault(delay_head=30), 504),
    "origin-mismatch": (Fault(garbage=True), 502),
}


@pytest.mark.parametrize("detail", FAULTS)
async def test_an_error_says_why_it_asked_and_what_went_wrong(tmp_path: Path, detail: str) -> None:
    fault, status = FAULTS[detail]
    async with Origin() as origin:
        origin.fault("*", fault)
        async with running(tmp_path, web(origin, head_timeout="200ms")) as nezha:
            for method, headers, fwd in (
                ("GET", {}, "miss"),
                ("GET", {"Range": "bytes=0-1"}, "miss"),
                ("GET", PASSING, "bypass"),
                ("HEAD", {}, "bypass"),
                ("DELETE", {}, "method"),
            ):
                refused = await nezha.get("/a", headers=headers, method=method)
                assert refused.status == status
                assert refused.get("cache-status") == f"nezha; fwd={fwd}; detail={detail}"


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "not stored"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(drop=True), "nezha; fwd=miss; detail=origin-unreachable"),
        (Fault(status=503), "nezha; fwd=miss; detail=status"),
        (Fault(status=302), "nezha; fwd=miss; detail=status"),
        (Fault(status=403), "nezha; fwd=request"),
        (Fault(status=404), "nezha; fwd=request"),
    ],
    ids=["down", "503", "302", "403", "404"],
)
async def test_who_may_not_read_does_not_learn_what_is_stored(
    tmp_path: Path, fault: Fault, said: str, is_stored: bool
) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=b"hello" * 10))
        async with running(tmp_path, s3(origin)) as nezha:
            if is_stored:
                assert (await nezha.get("/k", host=BUCKET_HOST)).status == 200
            origin.fault("/k", fault)
            for headers in ({}, {"Range": "bytes=3-5"}, {"Range": "bytes=90-99"}, {"If-Match": '"other"'}):
                refused = await nezha.get("/k", host=BUCKET_HOST, headers=headers)
                assert refused.status == (fault.status or 502)
                assert refused.get("cache-status") == said


async def test_what_never_reached_the_cache_says_only_why(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin, hosts=[HOST, "other.test"]), connections=1) as nezha:
        async with await nezha.client(name=HOST) as client:
            misdirected = await client.get("/a", "other.test")
            assert (misdirected.status, misdirected.get("cache-status")) == (421, "nezha; detail=misdirected")
            unknown = await client.get("/a", "unknown.test")
            assert (unknown.status, unknown.get("cache-status")) == (421, "nezha; detail=unknown-host")
            surplus = await nezha.get("/a")
            assert (surplus.status, surplus.get("cache-status")) == (503, "nezha; detail=connections")
            malformed = await client.exchange(b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert (malformed.status, malformed.get("cache-status")) == (400, "nezha; detail=request-error")
        assert origin.count() == 0


async def test_a_body_that_breaks_off_was_on_its_way(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        await client.send(request_bytes("PUT", "/a", HOST, [("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\nx\r\n")
        refused = await client.read_response("PUT")
        assert (refused.status, refused.get("cache-status")) == (400, "nezha; fwd=method; detail=request-error")


async def test_an_answer_that_is_not_stored_says_why_it_was_asked_for(tmp_path: Path) -> None:
    async with Origin() as origin:
        found = origin.serve("/a", Object(body=b"hello" * 10, cache_control="no-store"))
        async with running(tmp_path, web(origin)) as nezha:
            answer = await nezha.get("/a")
            assert answer.get("cache-status") == "nezha; fwd=uri-miss; detail=no-store"
            found.cache_control = None
            await nezha.get("/a", headers={"Range": "bytes=0-9"})
            await nezha.quiet()
            found.cache_control = "no-store"
            answer = await nezha.get("/a", headers={"Range": "bytes=5-14"})
            assert answer.get("cache-status") == "nezha; fwd=partial; detail=no-store"
            found.etag = '"v2"'
            answer = await nezha.get("/a", headers={"Range": "bytes=0-9"})
            assert answer.get("cache-status") == "nezha; fwd=stale; detail=no-store"


async def test_a_variant_that_is_not_there_is_a_vary_miss(tmp_path: Path) -> None:
    async with Origin() as origin:
        vary = [("Vary", "Accept-Language")]
        origin.serve("/a", Object(body=b"hello", etag=None, headers=vary, cache_control="max-age=60"))
        async with running(tmp_path, web(origin)) as nezha:
            for language, fwd in (("de", "uri-miss"), ("fr", "vary-miss")):
                answer = await nezha.get("/a", headers={"Accept-Language": language})
                assert answer.get("cache-status") == f"nezha; fwd={fwd}; stored"
                await nezha.quiet()
