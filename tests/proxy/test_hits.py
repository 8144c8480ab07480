"""What a stored object answers: whole, in parts, conditionally, to HEAD; and what it costs the origin."""

from pathlib import Path

import pytest

from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.running import HOST, running, web

SIZE = 9_000_000  # two whole slices and a part
FRESH = "max-age=3600"


async def test_a_second_read_asks_the_origin_for_nothing(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            cold = await nezha.get("/a")
            warm = await nezha.get("/a")
            assert cold.body == warm.body == pattern(SIZE)
            assert cold.get("cache-status") == "nezha; fwd=uri-miss; stored"
            assert (warm.get("cache-status") or "").startswith("nezha; hit; ttl=")
            assert warm.get("etag") == '"v1"'
            assert warm.get("age") is not None
            assert origin.count() == 1
            assert nezha.metric("nezha_requests_total", origin="web", outcome="hit") == 1
            assert nezha.metric("nezha_response_bytes_total", origin="web", source="cache") == SIZE
            assert nezha.metric("nezha_response_bytes_total", origin="web", source="origin") == SIZE
            assert nezha.metric("nezha_origin_bytes_total", origin="web") == SIZE


async def test_http_and_https_share_one_object(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            async with await nezha.client(name=HOST) as client:
                assert (await client.get("/a", HOST)).body == pattern(SIZE)
            assert origin.count() == 1


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=4194300-4194310", 4194300, 4194311),
        ("bytes=8999999-", SIZE - 1, SIZE),
        ("bytes=-500", SIZE - 500, SIZE),
        ("bytes=0-99999999", 0, SIZE),
        ("bytes=-99999999", 0, SIZE),
        ("Bytes=7-9", 7, 10),
    ],
)
async def test_a_range_of_a_stored_object(tmp_path: Path, asked: str, start: int, stop: int) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            part = await nezha.get("/a", headers={"Range": asked})
            assert part.status == 206
            assert part.get("content-range") == f"bytes {start}-{stop - 1}/{SIZE}"
            assert part.body == pattern(SIZE)[start:stop]
            assert origin.count() == 1


async def test_only_the_gaps_of_a_partly_stored_object_are_fetched(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            middle = await nezha.get("/a", headers={"Range": "bytes=3000000-5999999"})
            assert middle.body == pattern(SIZE)[3000000:6000000]
            await nezha.quiet()
            again = await nezha.get("/a", headers={"Range": "bytes=3500000-3500099"})
            assert again.body == pattern(SIZE)[3500000:3500100]
            assert origin.count() == 1
            whole = await nezha.get("/a")
            assert whole.status == 200
            assert whole.body == pattern(SIZE)
            assert [request.header("range") for request in origin.requests] == [
                "bytes=3000000-5999999",
                "bytes=0-2999999",
                "bytes=6000000-8999999",
            ]
            assert nezha.metric("nezha_origin_bytes_total", origin="web") == SIZE


@pytest.mark.parametrize("asked", ["bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=", "bytes=-"])
async def test_a_range_that_is_none_is_ignored(tmp_path: Path, asked: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            whole = await nezha.get("/a", headers={"Range": asked})
            assert (whole.status, whole.body) == (200, b"hello")


async def test_a_range_beyond_the_end_is_416_with_the_size(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            refused = await nezha.get("/a", headers={"Range": "bytes=5-"})
            assert (refused.status, refused.get("content-range")) == (416, "bytes */5")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": '"v1"'}, 304),
        ({"If-None-Match": 'W/"v1", "other"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": '"v1"'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Thu, 01 Jan 2025 00:00:00 GMT"}, 200),
        ({"If-Unmodified-Since": "Thu, 01 Jan 2025 00:00:00 GMT"}, 412),
        ({"Range": "bytes=1-2", "If-Range": '"v1"'}, 206),
        ({"Range": "bytes=1-2", "If-Range": '"other"'}, 200),
    ],
)
async def test_preconditions_are_judged_by_the_stored_object(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with Origin() as origin:
        modified = "Thu, 01 Jan 2026 00:00:00 GMT"
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH, last_modified=modified))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            answer = await nezha.get("/a", headers=headers)
            assert answer.status == status
            # whether a precondition has failed is the origin's to say (RFC 9111 4.3.2), with its own body
            assert answer.body == {200: b"hello", 206: b"el", 412: b"412\n"}.get(status, b"")
            assert origin.count() == (2 if status == 412 else 1)


async def test_head_is_answered_from_a_fresh_object_and_never_starts_a_fill(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            first = await nezha.get("/a", method="HEAD")
            assert (first.status, first.get("content-length"), first.body) == (200, str(SIZE), b"")
            assert nezha.metric("nezha_store_objects") == 0
            await nezha.get("/a")
            second = await nezha.get("/a", method="HEAD")
            assert (second.status, second.get("content-length"), second.body) == (200, str(SIZE), b"")
            assert (second.get("cache-status") or "").startswith("nezha; hit")
            assert [request.method for request in origin.requests] == ["HEAD", "GET"]


async def test_a_stale_object_is_served_after_a_304(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            again = await nezha.get("/a")
            assert again.body == pattern(SIZE)
            assert again.get("cache-status") == "nezha; fwd=stale; fwd-status=304; detail=revalidated"
            assert origin.requests[-1].header("if-none-match") == '"v1"'
            assert nezha.metric("nezha_requests_total", outcome="revalidated") == 1
            assert nezha.metric("nezha_origin_bytes_total") == SIZE


async def test_a_new_version_drops_the_old_one(tmp_path: Path) -> None:
    async with Origin() as origin:
        served = origin.serve("/a", Object(body=Pattern(SIZE, 1)))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            served.body, served.etag = Pattern(SIZE, 2), '"v2"'
            changed = await nezha.get("/a")
            assert changed.body == pattern(SIZE, 2)
            assert changed.get("etag") == '"v2"'
            assert (await nezha.get("/a", headers={"Range": "bytes=5-9"})).body == pattern(SIZE, 2)[5:10]
            await nezha.quiet()
            assert nezha.metric("nezha_store_objects") == 1
            await nezha.until(lambda: nezha.metric("nezha_store_bytes") == SIZE)


async def test_a_partly_stored_version_that_changed_is_never_completed_by_the_new_one(tmp_path: Path) -> None:
    async with Origin() as origin:
        served = origin.serve("/a", Object(body=Pattern(SIZE, 1), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a", headers={"Range": "bytes=0-999999"})
            served.body, served.etag = Pattern(SIZE, 2), '"v2"'
            whole = await nezha.get("/a")
            assert (whole.status, whole.body) == (200, pattern(SIZE, 2))


async def test_a_body_of_unknown_length_is_stored_whole(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH, framing="chunked"))
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            warm = await nezha.get("/a")
            assert warm.body == pattern(SIZE)
            assert warm.get("content-length") == str(SIZE)
            assert origin.count() == 1


async def test_an_object_without_a_strong_validator_is_stored_whole(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), etag='W/"v1"', cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert (await nezha.get("/a", headers={"Range": "bytes=5-9"})).body == pattern(SIZE)[5:10]
            assert origin.count() == 1


async def test_a_body_that_ends_by_close_is_forwarded_and_not_stored(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH, framing="close"))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):
                assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.count() == 2
            assert nezha.metric("nezha_store_objects") == 0


async def test_an_empty_object_is_stored(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"", cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == b""
            assert (await nezha.get("/a")).get("content-length") == "0"
            assert origin.count() == 1


async def test_vary_keeps_variants_apart(tmp_path: Path) -> None:
    async with Origin() as origin:
        served = Object(body=b"deutsch", etag='"de"', cache_control=FRESH, headers=[("Vary", "Accept-Language")])
        origin.serve("/a", served)
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a", headers={"Accept-Language": "de"})).body == b"deutsch"
            served.body, served.etag = b"english", '"en"'
            assert (await nezha.get("/a", headers={"Accept-Language": "en"})).body == b"english"
            assert (await nezha.get("/a", headers={"Accept-Language": "de"})).body == b"deutsch"
            assert (await nezha.get("/a", headers={"Accept-Language": "en"})).body == b"english"
            assert origin.count() == 2


@pytest.mark.parametrize("control", ["no-store", "private", "private, max-age=60"])
async def test_what_may_not_be_stored_is_forwarded(tmp_path: Path, control: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"mine", cache_control=control))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):
                assert (await nezha.get("/a")).body == b"mine"
            assert origin.count() == 2
            assert nezha.metric("nezha_store_objects") == 0


async def test_an_object_too_large_to_keep_is_forwarded(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin, max_object="4MiB")) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert nezha.metric("nezha_store_objects") == 0
            assert nezha.metric("nezha_requests_total", outcome="pass") == 1
