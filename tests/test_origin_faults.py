"""The scripted origin going wrong on purpose: each fault, which requests it hits, and clients that leave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.faults import GARBAGE
from tests.origin import Fault, Object, Origin, Pattern, pattern
from tests.rawclient import RawClient, Truncated, request_bytes
from tests.wire import Headers, Malformed

BODY = pattern(10_000, seed=3)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as served:
        served.serve("/a", Object(body=BODY))
        yield served


@pytest.fixture
async def client(origin: Origin) -> AsyncIterator[RawClient]:
    async with await RawClient.open("127.0.0.1", origin.port) as opened:
        yield opened


# -- faults


async def test_faults_hit_the_nth_request_that_is_meant(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(status=500), nth=2)
    origin.fault("/a", Fault(status=501), nth={2, 3}, when=lambda request: request.header("range") is not None)
    asked: list[Headers] = [[], [], *[[("Range", "bytes=0-1")]] * 4]
    assert [(await client.get("/a", headers=headers)).status for headers in asked] == [200, 500, 206, 501, 501, 206]
    origin.fault("*", Fault(status=502))
    assert [(await client.get(target)).status for target in ("/a", "/other")] == [502, 502]
    origin.heal("*")
    assert (await client.get("/a")).status == 200


async def test_faults_that_meet_are_merged_and_the_later_wins(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(change_etag='"x"', status=500))
    origin.fault("/a", Fault(status=503))
    response = await client.get("/a")
    assert (response.status, response.get("etag"), response.body) == (503, '"x"', b"503\n")


async def test_a_status_fault_undoes_a_write(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(status=500))
    assert (await client.exchange(request_bytes("PUT", "/a", "h", body=b"new"))).status == 500
    assert origin.objects["/a"].body == BODY


async def test_delay_head_waits(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(delay_head=0.05))
    clock = asyncio.get_running_loop().time
    began = clock()
    assert (await client.get("/a")).status == 200
    assert clock() - began >= 0.045  # uvloop counts milliseconds


@pytest.mark.parametrize("after", [None, 0, 4000, len(BODY)])
async def test_hold_waits_before_the_head_or_inside_the_body(
    origin: Origin, client: RawClient, after: int | None
) -> None:
    hold = asyncio.Event()
    origin.fault("/a", Fault(hold=hold, hold_after=after))
    await client.send(request_bytes("GET", "/a", "h"))
    await origin.held()
    assert origin.bytes_sent == (after or 0)
    head = await client.read_head() if after is not None else None
    started = await client.read(after or 0)
    hold.set()
    if head is None:
        assert (await client.read_response()).body == BODY
    else:
        assert started + await client.read(len(BODY) - len(started)) == BODY
    await origin.finished(1)
    assert origin.holding == 0


async def test_rate_limits_each_connection_alone(origin: Origin) -> None:
    origin.fault("/a", Fault(rate=100_000))
    clock = asyncio.get_running_loop().time

    async def seconds() -> float:
        async with await RawClient.open("127.0.0.1", origin.port) as one:
            began = clock()
            assert (await one.get("/a")).body == (await one.get("/a")).body == BODY
            return clock() - began

    taken = await asyncio.gather(*(seconds() for _ in range(8)))
    assert min(taken) >= 0.17  # 20,000 bytes, less one piece
    assert max(taken) < 8 * 0.17


@pytest.mark.parametrize("after", [0, 1, 7000, len(BODY)])
@pytest.mark.parametrize("is_rst", [True, False])
async def test_a_body_is_cut_at_the_byte_by_rst_or_by_fin(
    origin: Origin, client: RawClient, after: int, is_rst: bool
) -> None:
    origin.fault("/a", Fault(reset_after=after) if is_rst else Fault(close_after=after))
    await client.send(request_bytes("GET", "/a", "h"))
    head = await client.read_head()
    assert (await client.read(after), head.get("content-length")) == (BODY[:after], "10000")
    assert (await client.eof(), client.is_reset) == (True, is_rst)
    assert origin.bytes_sent == after


async def test_rst_of_a_big_body_comes_after_the_bytes_before_it(origin: Origin, client: RawClient) -> None:
    origin.serve("/big", Object(body=Pattern(20_000_000)))
    origin.fault("/big", Fault(reset_after=9_000_001))
    with pytest.raises(Truncated) as caught:
        await client.get("/big")
    assert (caught.value.partial, caught.value.is_reset) == (pattern(9_000_001), True)


async def test_a_chunked_body_cut_by_fin_has_no_last_chunk(origin: Origin, client: RawClient) -> None:
    origin.objects["/a"].framing = "chunked"
    origin.fault("/a", Fault(close_after=len(BODY)))
    with pytest.raises(Truncated) as caught:
        await client.get("/a")
    assert (caught.value.partial, caught.value.is_reset) == (BODY, False)


async def test_lie_length_states_more_or_less_than_it_sends(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(lie_length=-10), nth=1)
    origin.fault("/a", Fault(lie_length=10), nth=2)
    response = await client.get("/a")
    assert (response.get("content-length"), response.body) == ("9990", BODY[:-10])
    assert (await client.read(10), await client.eof()) == (BODY[-10:], True)
    async with await RawClient.open("127.0.0.1", origin.port) as another:
        with pytest.raises(Truncated) as caught:
            await another.get("/a")
    assert caught.value.head is not None
    assert (caught.value.head.get("content-length"), caught.value.partial) == ("10010", BODY)


RANGED = [("Range", "bytes=100-199")]


@pytest.mark.parametrize(
    ("fault", "status", "shown", "body"),
    [
        (Fault(ignore_range=True), 200, ("content-range", None), BODY),
        (Fault(wrong_content_range=50), 206, ("content-range", "bytes 150-249/10000"), BODY[100:200]),
        (Fault(change_etag='"other"'), 206, ("etag", '"other"'), BODY[100:200]),
        (Fault(no_length=True), 206, ("content-length", None), BODY[100:200]),
        (Fault(status=503), 503, ("content-range", None), b"503\n"),
        (Fault(huge_head=300_000), 206, ("x-huge", "h" * 300_000), BODY[100:200]),
        (Fault(head_slowly=0.02), 206, ("content-length", "100"), BODY[100:200]),
    ],
)
async def test_an_answer_says_what_its_fault_says(
    origin: Origin, fault: Fault, status: int, shown: tuple[str, str | None], body: bytes
) -> None:
    origin.fault("/a", fault)
    async with await RawClient.open("127.0.0.1", origin.port, limit=1 << 20) as client:
        response = await client.get("/a", headers=RANGED)
        assert (response.status, response.get(shown[0]), response.body) == (status, shown[1], body)


async def test_head_slowly_takes_its_time(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(head_slowly=0.05))
    await client.send(request_bytes("GET", "/a", "h"))
    began = asyncio.get_running_loop().time()
    assert await client.read(9) == b"HTTP/1.1 "  # the first bytes are there, long before
    await origin.finished(1)
    assert asyncio.get_running_loop().time() - began >= 0.03


@pytest.mark.parametrize("is_rst", [True, False])
async def test_drop_ends_without_an_answer(origin: Origin, client: RawClient, is_rst: bool) -> None:
    origin.fault("/a", Fault(drop=True, reset_after=0 if is_rst else None))
    with pytest.raises(Truncated) as caught:
        await client.get("/a")
    assert (caught.value.head, caught.value.is_reset) == (None, is_rst)


@pytest.mark.parametrize(("garbage", "sent"), [(True, GARBAGE), (b"220 ftp\r\n\r\n", b"220 ftp\r\n\r\n")])
async def test_garbage_is_not_http(origin: Origin, client: RawClient, garbage: bool | bytes, sent: bytes) -> None:
    origin.fault("/a", Fault(garbage=garbage))
    await client.send(request_bytes("GET", "/a", "h"))
    assert (await client.read(len(sent)), await client.eof()) == (sent, True)


async def test_interim_heads_come_first(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(interim=[(103, [("Link", "</x>; rel=preload")]), (102, [])]))
    response = await client.get("/a")
    assert [(head.status, head.get("link")) for head in response.interim] == [(103, "</x>; rel=preload"), (102, None)]
    assert (response.status, response.body) == (200, BODY)


async def test_chunked_faults(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(both_lengths=True), nth=1)
    origin.fault("/a", Fault(trailers=[("X-Sum", "1"), ("Y", "2")]), nth=2)
    origin.fault("/a", Fault(bad_chunk=True), nth=3)
    both = await client.get("/a")
    assert (both.get("content-length"), both.get("transfer-encoding"), both.body) == ("10000", "chunked", BODY)
    trailed = await client.get("/a")
    assert (trailed.get("trailer"), trailed.trailers) == ("X-Sum, Y", [("X-Sum", "1"), ("Y", "2")])
    with pytest.raises(Malformed, match="not a size"):
        await client.get("/a")


# -- waiting, leaving, many


async def test_waiting_ends_when_it_happens_and_says_what_did_not(origin: Origin, client: RawClient) -> None:
    waiting = asyncio.gather(origin.arrived(2, "GET", "/a"), origin.finished(2))
    await client.get("/a")
    await client.get("/a")
    await waiting
    with pytest.raises(TimeoutError, match="no third request"):
        await origin.until(lambda: origin.count() == 3, "third request", seconds=0.01)


@pytest.mark.parametrize("is_rst", [True, False])
@pytest.mark.parametrize("fault", ["hold", "rate"])
async def test_a_client_that_leaves_ends_its_answer(
    origin: Origin, client: RawClient, fault: str, is_rst: bool
) -> None:
    origin.serve("/big", Object(body=Pattern(1 << 30)))
    origin.fault("/big", Fault(hold=asyncio.Event()) if fault == "hold" else Fault(rate=10.0))
    await client.send(request_bytes("GET", "/big", "h"))
    await origin.arrived(1)
    if is_rst:
        client.abort()
    else:
        await client.close()
    await origin.gone()
    await origin.finished(1)


async def test_a_client_that_stops_reading_stops_the_origin(origin: Origin, client: RawClient) -> None:
    origin.serve("/big", Object(body=Pattern(1 << 30)))
    await client.send(request_bytes("GET", "/big", "h"))
    await client.read(1000)
    sent = -1
    while sent != origin.bytes_sent:  # it grows no more once the sockets are full
        sent = origin.bytes_sent
        await asyncio.sleep(0.05)
    assert sent < 1 << 26


async def test_an_outage_ends_everything_that_is_open_and_may_pass(origin: Origin) -> None:
    origin.serve("/big", Object(body=Pattern(1 << 30)))
    origin.fault("/held", Fault(hold=asyncio.Event()))
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await RawClient.open("127.0.0.1", origin.port)) for _ in range(3)]
        await clients[0].send(request_bytes("GET", "/held", "h"))
        await clients[1].send(request_bytes("GET", "/big", "h"))
        await origin.arrived(2)
        await origin.stop()
        assert (origin.open_connections, origin.holding) == (0, 0)
        assert await clients[0].eof()
        assert await clients[2].eof()
        with pytest.raises(ConnectionRefusedError):
            await RawClient.open("127.0.0.1", origin.port)
    origin.start()
    async with await RawClient.open("127.0.0.1", origin.port) as client:
        assert (await client.get("/a")).body == BODY


async def test_many_connections_at_once(origin: Origin) -> None:
    async def one() -> bytes:
        async with await RawClient.open("127.0.0.1", origin.port) as client:
            await client.get("/a")
            return (await client.get("/a")).body

    assert set(await asyncio.gather(*(one() for _ in range(200)))) == {BODY}
    assert (origin.connections, origin.count()) == (200, 400)
    assert {request.connection for request in origin.requests} == set(range(1, 201))
    await origin.gone()
