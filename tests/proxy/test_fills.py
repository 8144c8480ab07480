"""A fill and those who read from it: leaders, followers, lanes, and what happens when somebody leaves."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient, Response, Truncated, request_bytes
from tests.running import HOST, Running, running, web
from tests.wire import Received

SIZE = 20_000_000
FRESH = "max-age=3600"


def is_whole(request: Received) -> bool:
    """Whether a request names no range (lane 0 of a plain GET)."""
    return request.header("range") is None


async def begin(nezha: Running, path: str = "/a", headers: tuple[tuple[str, str], ...] = ()) -> RawClient:
    """A client whose GET has been answered with a head; its body is on the way."""
    client = await nezha.client()
    await client.send(request_bytes("GET", path, HOST, headers))
    return client


async def finish(client: RawClient) -> Response:
    response = await client.read_response()
    await client.close()
    return response


async def test_a_second_client_joins_a_running_fill_from_the_first_byte(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000))
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            first = await begin(nezha)
            await origin.held()
            second = await begin(nezha)
            head = await second.read_head()
            assert head.get("cache-status") == "nezha; fwd=uri-miss; collapsed"
            assert await second.read(500_000) == pattern(SIZE)[:500_000]
            going.set()
            assert (await finish(first)).body == pattern(SIZE)
            assert await second.read(SIZE - 500_000) == pattern(SIZE)[500_000:]
            await second.close()
            assert origin.count() == 1
            assert nezha.metric("nezha_response_bytes_total", source="cache") == SIZE


async def test_a_range_joins_a_running_fill_in_its_middle(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=9_000_000))
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            first = await begin(nezha)
            await origin.held()
            there = await nezha.get("/a", headers={"Range": "bytes=6000000-6999999"})
            assert there.body == pattern(SIZE)[6_000_000:7_000_000]
            ahead = await begin(nezha, headers=(("Range", "bytes=8500000-9499999"),))
            assert await ahead.read_head()
            going.set()
            assert await ahead.read(1_000_000) == pattern(SIZE)[8_500_000:9_500_000]
            await ahead.close()
            assert (await finish(first)).body == pattern(SIZE)
            assert origin.count() == 1


async def test_the_leader_may_leave(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000))
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            leader = await begin(nezha)
            await origin.held()
            follower = await begin(nezha)
            await follower.read_head()
            leader.abort()
            going.set()
            assert await follower.read(SIZE) == pattern(SIZE)
            await follower.close()
            assert origin.count() == 1


async def test_a_fill_that_nobody_reads_is_finished(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000))
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            leader = await begin(nezha)
            await origin.held()
            leader.abort()
            going.set()
            await origin.finished(1)
            await nezha.quiet()
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.count() == 1


async def test_many_clients_at_once_move_the_body_once(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            answers = await asyncio.gather(*(nezha.get("/a") for _ in range(32)))
            assert all(answer.body == pattern(SIZE) for answer in answers)
            # A busy machine may take the origin for slow and let further lanes help: no byte comes twice all the same.
            assert all(request.header("if-match") for request in origin.requests[1:])
            assert nezha.metric("nezha_origin_bytes_total") <= SIZE * 1.05


async def test_followers_of_what_is_not_stored_ask_for_themselves(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"mine", cache_control="no-store"))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going), nth=1)
        async with running(tmp_path, web(origin)) as nezha:
            leader = await begin(nezha)
            await origin.held()
            followers = [await begin(nezha) for _ in range(4)]
            going.set()
            for client in (leader, *followers):
                assert (await finish(client)).body == b"mine"
            assert origin.count() == 5


async def test_a_slow_origin_is_read_by_several_lanes(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=100_000), when=is_whole)
        async with running(tmp_path, web(origin, parallel=4)) as nezha:
            client = await begin(nezha)
            # Lane 0 stands still: the others bring all but its slice.
            await origin.arrived(5)
            await origin.until(lambda: origin.bytes_sent >= SIZE - 4194304)
            going.set()
            assert (await finish(client)).body == pattern(SIZE)
            ranges = [request for request in origin.requests if request.header("range")]
            assert len(ranges) == 4
            assert all(request.header("if-match") == '"v1"' for request in ranges)
            await nezha.quiet()
            assert nezha.metric("nezha_origin_bytes_total") <= SIZE * 1.05
            assert nezha.metric("nezha_store_bytes") == SIZE


@pytest.mark.parametrize(
    "fault",
    [
        Fault(change_etag='"v2"'),
        Fault(wrong_content_range=17),
        Fault(ignore_range=True),
        Fault(status=412),
        Fault(status=503),
        Fault(reset_after=1_000_000),
        Fault(close_after=0),
        Fault(drop=True),
        Fault(lie_length=5),
        Fault(lie_length=-5),
        Fault(garbage=True),
    ],
    ids=str,
)
async def test_a_lane_that_fails_ends_parallelism_and_not_the_response(tmp_path: Path, fault: Fault) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=100_000), when=is_whole)
        origin.fault("/a", fault, when=lambda request: not is_whole(request))
        async with running(tmp_path, web(origin, parallel=4)) as nezha:
            client = await begin(nezha)
            await origin.arrived(2)
            origin.heal("/a")
            going.set()
            assert (await finish(client)).body == pattern(SIZE)
            await nezha.quiet()
            assert (await nezha.get("/a")).body == pattern(SIZE)


async def test_a_reset_in_the_middle_is_resumed_within_the_response(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", Fault(reset_after=7_654_321), nth=1)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.count() == 2
            assert origin.requests[1].header("if-match") == '"v1"'
            assert nezha.metric("nezha_cut_responses_total") == 0


async def test_a_response_is_cut_when_the_rest_is_another_version(tmp_path: Path) -> None:
    async with Origin() as origin:
        served = origin.serve("/a", Object(body=Pattern(SIZE, 1), cache_control=FRESH))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=6_000_000, reset_after=7_000_000), nth=1)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            client = await begin(nezha)
            await origin.held()
            served.body, served.etag = Pattern(SIZE, 2), '"v2"'
            going.set()
            with pytest.raises(Truncated) as cut:
                await client.read_response()
            assert pattern(SIZE, 1).startswith(cut.value.partial)
            assert nezha.metric("nezha_cut_responses_total", reason="origin") == 1
            assert (await nezha.get("/a")).body == pattern(SIZE, 2)


async def test_a_running_response_finishes_from_its_own_version(tmp_path: Path) -> None:
    async with Origin() as origin:
        served = origin.serve("/a", Object(body=Pattern(SIZE, 1)))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=6_000_000), nth=1)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            client = await begin(nezha)
            await origin.held()
            served.body, served.etag = Pattern(SIZE, 2), '"v2"'
            assert (await nezha.get("/a")).body == pattern(SIZE, 2)
            going.set()
            assert (await finish(client)).body == pattern(SIZE, 1)
            await nezha.quiet()
            await nezha.until(lambda: nezha.metric("nezha_store_bytes") == SIZE)
            assert (await nezha.get("/a")).body == pattern(SIZE, 2)


async def test_a_truncated_body_is_never_taken_for_whole(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), etag=None, cache_control=FRESH))
        origin.fault("/a", Fault(close_after=5_000_000), nth=1)
        async with running(tmp_path, web(origin)) as nezha:
            with pytest.raises(Truncated):
                await nezha.get("/a")
            await nezha.quiet()
            assert nezha.metric("nezha_store_objects") == 0
            assert (await nezha.get("/a")).body == pattern(SIZE)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(drop=True), 502),
        (Fault(drop=True, reset_after=0), 502),
        (Fault(garbage=True), 502),
        (Fault(wrong_content_range=3), 502),
        (Fault(status=500), 500),
        (Fault(status=404), 404),
    ],
    ids=str,
)
async def test_a_bad_answer_before_the_first_byte_is_an_error_and_stores_nothing(
    tmp_path: Path, fault: Fault, status: int
) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", fault)
        async with running(tmp_path, web(origin)) as nezha:
            answer = await nezha.get("/a", headers={"Range": "bytes=10-99"})
            assert answer.status == status
            await nezha.quiet()
            assert nezha.metric("nezha_store_objects") == 0
            origin.heal()
            assert (await nezha.get("/a")).body == pattern(SIZE)


async def test_an_origin_that_ignores_ranges_still_serves_one(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", Fault(ignore_range=True))
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            part = await nezha.get("/a", headers={"Range": "bytes=1000000-1000099"})
            assert (part.status, part.body) == (206, pattern(SIZE)[1_000_000:1_000_100])
            await nezha.quiet()
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.count() == 1


async def test_an_origin_that_is_down_is_502_and_a_slow_one_504(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"a"))
        never = asyncio.Event()
        origin.fault("/a", Fault(hold=never))
        async with running(tmp_path, web(origin, head_timeout="200ms")) as nezha:
            assert (await nezha.get("/a")).status == 504
            await origin.stop()
            assert (await nezha.get("/a")).status == 502


async def test_an_origin_that_stops_in_the_middle_cuts_the_response_after_the_idle_time(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        never = asyncio.Event()
        origin.fault("/a", Fault(hold=never, hold_after=1_000_000), nth=1)
        origin.fault("/a", Fault(hold=never), when=lambda request: not is_whole(request))
        async with running(tmp_path, web(origin, idle_timeout="200ms", head_timeout="200ms", parallel=1)) as nezha:
            with pytest.raises(Truncated) as cut:
                await nezha.get("/a")
            assert pattern(SIZE).startswith(cut.value.partial)
