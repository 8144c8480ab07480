"""The scripted origin as an honest server: what it records, serves, judges, and says by script.

It is proved against the raw client and the client against it: a fault in either would be a lie in every test.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.objects import PERIOD
from tests.origin import Fault, Object, Origin, Pattern, Received, answer, pattern
from tests.rawclient import RawClient, request_bytes
from tests.wire import Framing, Headers

MONDAY, TUESDAY = "Mon, 05 Jan 2026 10:00:00 GMT", "Tue, 06 Jan 2026 10:00:00 GMT"
BODY = pattern(10_000, seed=3)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as served:
        served.serve("/a", Object(body=BODY, last_modified=MONDAY))
        yield served


@pytest.fixture
async def client(origin: Origin) -> AsyncIterator[RawClient]:
    async with await RawClient.open("127.0.0.1", origin.port) as opened:
        yield opened


# -- what it records


async def test_a_request_is_recorded_as_it_came(origin: Origin, client: RawClient) -> None:
    raw = b"PUT /B%2fc?x=1&X=%41 HTTP/1.1\r\nhOsT:  h\r\nX-A: 1\r\nx-a: \xe9\r\nContent-Length: 3\r\n\r\nabc"
    await client.exchange(raw)
    await client.get("/a?")
    first, second = origin.requests
    assert (first.method, first.target, first.version) == ("PUT", "/B%2fc?x=1&X=%41", "HTTP/1.1")
    assert first.headers == [("hOsT", "h"), ("X-A", "1"), ("x-a", "\xe9"), ("Content-Length", "3")]
    assert first.head + first.body == raw
    assert (first.path, first.query, first.header("X-a"), first.is_complete) == ("/B%2fc", "x=1&X=%41", "1, \xe9", True)
    assert (second.target, second.sequence, second.connection, second.header("x")) == ("/a?", 2, 1, None)
    assert first.at <= second.at


async def test_counts_by_method_and_path_start_again_after_clear(origin: Origin, client: RawClient) -> None:
    for method, target in [("GET", "/a"), ("HEAD", "/a"), ("GET", "/a?v=1"), ("GET", "/none")]:
        await client.get(target, method=method)
    assert (origin.count(), origin.count("GET"), origin.count(path="/a"), origin.count("GET", "/a?v=1")) == (4, 3, 3, 1)
    assert origin.bytes_sent == 2 * len(BODY) + len(b"404\n")
    assert (origin.connections, origin.open_connections) == (1, 1)
    origin.clear()
    assert (origin.count(), origin.bytes_sent, origin.connections) == (0, 0, 1)


async def test_the_hook_sees_each_request_before_it_is_answered(origin: Origin, client: RawClient) -> None:
    def change(request: Received) -> None:
        origin.objects["/a"].etag = f'"{request.sequence}"'

    origin.on_each = change
    assert [(await client.get("/a")).get("etag") for _ in range(2)] == ['"1"', '"2"']


async def test_pipelined_requests_are_answered_in_order(origin: Origin, client: RawClient) -> None:
    origin.serve("/b", Object(body=b"b", framing="chunked"))
    await client.send(b"".join(request_bytes("GET", target, "h") for target in ("/a", "/b", "/a")))
    assert [len((await client.read_response()).body) for _ in range(3)] == [len(BODY), 1, len(BODY)]


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
async def test_what_is_not_http_is_refused_and_noted(origin: Origin, client: RawClient, raw: bytes) -> None:
    assert (await client.exchange(raw)).status == 400
    client.send_eof()
    assert await client.eof()
    assert (len(origin.malformed), origin.count()) == (1, 0)


@pytest.mark.parametrize(
    ("raw", "is_kept"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", True),
        (b"GET /a HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"GET /a HTTP/1.0\r\n\r\n", False),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_a_connection_is_kept_as_the_client_asks(client: RawClient, raw: bytes, is_kept: bool) -> None:
    response = await client.exchange(raw)
    assert response.body == BODY
    assert (response.get("connection") != "close") is is_kept
    if is_kept:
        assert (await client.exchange(raw)).body == BODY
    else:
        assert await client.eof()


# -- what it serves


def test_a_pattern_is_the_same_however_it_is_read() -> None:
    whole = pattern(3 * PERIOD + 5, seed=1)
    assert len(whole) == len(Pattern(3 * PERIOD + 5, 1)) == 3 * PERIOD + 5
    assert Pattern(len(whole), 1).read(PERIOD - 7, 2 * PERIOD + 9) == whole[PERIOD - 7 : 2 * PERIOD + 9]
    assert pattern(1000, seed=2) != whole[:1000]


def test_no_two_aligned_slices_of_a_pattern_are_equal() -> None:
    slices = [Pattern(1 << 40).read(at << 20, (at << 20) + 64) for at in range(0, 1 << 19, 997)]
    assert len(set(slices)) == len(slices)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_body_arrives_whole_in_each_framing(origin: Origin, client: RawClient, framing: Framing) -> None:
    origin.serve(
        "/b", Object(body=Pattern(3_000_000, 7), framing=framing, cache_control="max-age=9", headers=[("X", "y")])
    )
    head = await client.get("/b", method="HEAD") if framing != "close" else None
    response = await client.get("/b")
    assert response.body == pattern(3_000_000, 7)
    assert (response.get("cache-control"), response.get("x"), response.get("etag")) == ("max-age=9", "y", '"v1"')
    assert response.get("content-length") == ("3000000" if framing == "length" else None)
    assert response.get("transfer-encoding") == ("chunked" if framing == "chunked" else None)
    assert head is None or (head.body, head.get("content-length")) == (b"", response.get("content-length"))


@pytest.mark.parametrize(
    ("asked", "status", "extent"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=9990-", 206, (9990, 10_000)),
        ("bytes=5-99999", 206, (5, 10_000)),
        ("bytes=-3", 206, (9997, 10_000)),
        ("bytes=-99999", 206, (0, 10_000)),
        ("bytes=10000-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-4", 200, None),
        ("bytes=0-1,4-5", 200, None),
        ("items=0-1", 200, None),
        ("bytes=-", 200, None),
    ],
)
async def test_a_range_is_answered(client: RawClient, asked: str, status: int, extent: tuple[int, int] | None) -> None:
    response = await client.get("/a", headers=[("Range", asked)])
    assert response.status == status
    if extent is not None:
        assert response.body == BODY[slice(*extent)]
        assert response.get("content-range") == f"bytes {extent[0]}-{extent[1] - 1}/10000"
    else:
        assert response.get("content-range") == ("bytes */10000" if status == 416 else None)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("If-None-Match", '"v1"')], 304),
        ([("If-None-Match", '"x", W/"v1"')], 304),
        ([("If-None-Match", "*")], 304),
        ([("If-None-Match", '"v2"')], 200),
        ([("If-None-Match", '"v2"'), ("If-Modified-Since", TUESDAY)], 200),
        ([("If-Modified-Since", MONDAY)], 304),
        ([("If-Modified-Since", "Sun, 04 Jan 2026 10:00:00 GMT")], 200),
        ([("If-Modified-Since", "yesterday")], 200),
        ([("If-Match", '"v1"')], 200),
        ([("If-Match", "*")], 200),
        ([("If-Match", 'W/"v1"')], 412),
        ([("If-Match", '"v2"'), ("If-None-Match", '"v1"')], 412),
        ([("If-Unmodified-Since", "Sun, 04 Jan 2026 10:00:00 GMT")], 412),
        ([("If-Unmodified-Since", TUESDAY)], 200),
        ([("Range", "bytes=0-1"), ("If-Range", '"v1"')], 206),
        ([("Range", "bytes=0-1"), ("If-Range", MONDAY)], 206),
        ([("Range", "bytes=0-1"), ("If-Range", '"v2"')], 200),
        ([("Range", "bytes=0-1"), ("If-Range", 'W/"v1"')], 200),
        ([("Range", "bytes=0-1"), ("If-None-Match", '"v1"')], 304),
    ],
)
async def test_a_condition_is_judged(client: RawClient, headers: Headers, status: int) -> None:
    response = await client.get("/a", headers=headers)
    assert response.status == status
    if status == 304:
        assert (response.body, response.get("etag"), response.get("content-length")) == (b"", '"v1"', None)
    assert (await client.get("/a")).status == 200  # the connection is still in step


async def test_an_object_without_validators_is_never_unchanged(origin: Origin, client: RawClient) -> None:
    origin.serve("/b", Object(body=b"b", etag=None))
    headers = [("If-None-Match", '"v1"'), ("If-Modified-Since", TUESDAY)]
    response = await client.get("/b", headers=headers)
    assert (response.status, response.get("etag"), response.get("last-modified")) == (200, None, None)


async def test_an_answer_under_way_keeps_the_version_it_began_with(origin: Origin, client: RawClient) -> None:
    hold = asyncio.Event()
    origin.fault("/a", Fault(hold=hold, hold_after=5000), nth=1)
    await client.send(request_bytes("GET", "/a", "h"))
    await origin.held()
    origin.objects["/a"].body = b"new"
    hold.set()
    assert (await client.read_response()).body == BODY
    assert (await client.get("/a")).body == b"new"


async def test_writes_change_the_object(origin: Origin, client: RawClient) -> None:
    put = await client.exchange(request_bytes("PUT", "/a", "h", body=b"new"))
    got = await client.get("/a")
    assert (put.status, got.body) == (200, b"new")
    assert put.get("etag") == got.get("etag") != '"v1"'
    assert got.get("last-modified") != MONDAY
    chunked = (
        request_bytes("PUT", "/n", "h", [("Transfer-Encoding", "chunked")])
        + b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n"
    )
    assert (await client.exchange(chunked)).status == 201
    assert (await client.get("/n")).body == origin.requests[2].body == b"abcd"
    only_new = request_bytes("PUT", "/n", "h", [("If-None-Match", "*")], b"x")
    assert (await client.exchange(only_new)).status == 412
    assert (await client.get("/n", method="DELETE", headers=[("If-Match", '"v0"')])).status == 412
    assert (await client.get("/n", method="DELETE")).status == 204
    assert (await client.get("/n")).status == 404
    post = await client.exchange(request_bytes("POST", "/p", "h", [("Content-Type", "a/b")], b"echo"))
    assert (post.body, post.get("content-type")) == (b"echo", "a/b")
    assert (await client.get("/a", method="PATCH")).status == 405


async def test_authorize_refuses_before_anything_else(origin: Origin, client: RawClient) -> None:
    origin.authorize = lambda request: None if request.header("authorization") == "yes" else 403
    origin.script("/a", [answer(200, body=b"scripted")])
    assert (await client.get("/a", headers=[("If-None-Match", '"v1"')])).status == 403
    assert (await client.get("/a", headers=[("Authorization", "yes")])).body == b"scripted"


# -- 100-continue


EXPECTING = request_bytes("PUT", "/a", "h", [("Expect", "100-continue"), ("Content-Length", "3")])


async def test_the_body_is_awaited_after_100(origin: Origin, client: RawClient) -> None:
    await client.send(EXPECTING)
    assert (await client.read_head()).status == 100
    assert (origin.count("PUT"), origin.requests[0].is_complete) == (1, False)
    await client.send(b"abc")
    assert (await client.read_response()).status == 200
    assert origin.requests[0].body == b"abc"


@pytest.mark.parametrize("status", [417, 403])
async def test_an_expectation_is_refused_without_reading(origin: Origin, client: RawClient, status: int) -> None:
    if status == 417:
        origin.fault("/a", Fault(refuse_expect=417))
    else:
        origin.authorize = lambda _: 403
    response = await client.exchange(EXPECTING)
    assert (response.status, response.interim, response.get("connection")) == (status, [], "close")
    await client.send(b"abc")  # too late: it is dropped, and the answer is not lost
    assert await client.eof()
    assert not client.is_reset
    assert (origin.requests[0].body, origin.objects["/a"].body) == (b"", BODY)


async def test_an_early_answer_leaves_the_body_unread(origin: Origin, client: RawClient) -> None:
    origin.fault("/a", Fault(is_early=True, status=503))
    await client.send(request_bytes("PUT", "/a", "h", [("Content-Length", "1000000")]) + b"x" * 1000)
    assert (await client.read_response()).status == 503
    assert not origin.requests[0].is_complete


# -- scripts


async def test_a_script_is_played_before_the_object(origin: Origin, client: RawClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Received) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        writer.write(await reader.readexactly(2) + request.method.encode())

    origin.script("/a", [answer(299, [("X", "1")], b"raw"), talk, answer(200, [("Connection", "close")])])
    first = await client.get("/a")
    assert (first.status, first.get("x"), first.body) == (299, "1", b"raw")
    await client.send(request_bytes("GET", "/a", "h") + b"hi")
    assert (await client.read_response()).body == b"hiGET"
    await client.get("/a")
    assert await client.eof()
    async with await RawClient.open("127.0.0.1", origin.port) as another:
        assert (await another.get("/a")).body == BODY


async def test_an_error_in_a_script_is_raised_on_leaving() -> None:
    async def wrong(_: asyncio.StreamReader, __: asyncio.StreamWriter, request: Received) -> None:
        raise AssertionError(request.target)

    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="/s")):
        async with Origin() as failing, await RawClient.open("127.0.0.1", failing.port) as client:
            failing.script("/s", [wrong])
            await client.send(request_bytes("GET", "/s", "h"))
            assert await client.eof()
