"""What is forwarded: bytes out as they came in, bodies both ways as they come, and what an origin may do wrong."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin, answer
from tests.rawclient import RawClient, Truncated, request_bytes
from tests.running import HOST, running, web
from tests.wire import Headers

SIZE = 3_000_000
EXPECT = [("Expect", "100-continue")]
PASSING = [("Cookie", "a=b")]  # a credential that the dialect does not know: such a GET is not stored


@dataclass
class Tape:
    """An origin that keeps every byte it hears, connection by connection, and answers as it is told to."""

    url: str = ""
    heard: list[bytearray] = field(default_factory=list)

    def all(self) -> bytes:
        return b"".join(self.heard)


Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytearray], Awaitable[None]]


@contextlib.asynccontextmanager
async def taping(play: Play) -> AsyncIterator[Tape]:
    tape = Tape()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        tape.heard.append(heard)
        with contextlib.suppress(ConnectionError):
            await play(reader, writer, heard)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    tape.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tape
    finally:
        server.close()


async def hear(reader: asyncio.StreamReader, heard: bytearray, until: bytes) -> None:
    while not heard.endswith(until) and (data := await reader.read(1 << 16)):
        heard += data


def answers(raw: bytes, until: bytes = b"\r\n\r\n") -> Play:
    """Hears all until its end, then answers and closes."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
        await hear(reader, heard, until)
        writer.write(raw)

    return play


def store(url: str) -> dict[str, object]:
    """An S3-compatible store, toward which not even Via is added."""
    return {"name": "store", "dialect": "s3", "endpoint": "s3.test", "buckets": ["data"], "connect": url}


# -- what goes out


@pytest.mark.parametrize(
    "lines",
    [
        ["GET /a? HTTP/1.1", "Host: web.test", "Cookie: a"],
        ["GET /%7Ea/%2e%2E/b%20c?x=%41&y=+ HTTP/1.1", "hOsT: WEB.test", "coOkie: a"],
        ["GET /a HTTP/1.1", "Cookie: a", "Host: web.test", "Content-Length: 0"],
        ["GET /a HTTP/1.1", "X-b: 2", "Host: web.test", "x-A: 1", "X-B: 3", "X-a: ", "Cookie: a"],
        ["GET /a HTTP/1.1", "Host: web.test", "X-Umlaut: \xe4\xf6\xfc \xff\x80", "Cookie: a"],
        ["GET /a HTTP/1.1", "Host: web.test", 'X-Odd: a  b\tc "d;e" , f', "Cookie: a"],
        ["GET /a HTTP/1.1", "Host: web.test", "X-a:", "X-b:  b \t", "X-c:\tc", "x-A:   ", "Cookie:a"],
        ["FOO /a HTTP/1.1", "Host: web.test"],
        ["M-SEARCH /a HTTP/1.1", "Host: web.test"],
        ["OPTIONS * HTTP/1.1", "Host: web.test"],
        ["DELETE /a?versionId=1 HTTP/1.1", "Host: web.test"],
        ["POST /a?uploads HTTP/1.1", "Host: web.test", "Content-Length: 0"],
        ["POST /a HTTP/1.1", "Host: web.test"],
        ["TRACE /a HTTP/1.1", "Host: web.test:8080"],
    ],
    ids=" | ".join,
)
async def test_a_request_reaches_the_origin_byte_for_byte(tmp_path: Path, lines: list[str]) -> None:
    raw = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    async with taping(answers(answer(200))) as tape:
        route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": tape.url}
        async with running(tmp_path, route) as nezha, await nezha.client() as client:
            assert (await client.exchange(raw + b"\r\n")).status == 200
        assert tape.all() == raw + b"Via: 1.1 nezha\r\n\r\n"


async def test_what_frames_or_routes_goes_out_in_its_plainest_form(tmp_path: Path) -> None:
    raw = b"POST /a HTTP/1.1\r\nhost:\tweb.test \r\nX-a:\r\ncontent-Length:\t 5\r\n\r\nhello"
    async with taping(answers(answer(200), until=b"hello")) as tape:
        route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": tape.url}
        async with running(tmp_path, route) as nezha, await nezha.client() as client:
            assert (await client.exchange(raw)).status == 200
        assert tape.all() == (
            b"POST /a HTTP/1.1\r\nhost: web.test\r\nX-a:\r\ncontent-Length: 5\r\nVia: 1.1 nezha\r\n\r\nhello"
        )


async def test_to_an_object_store_not_even_via_is_added(tmp_path: Path) -> None:
    raw = b"GET /?list-type=2&prefix=a%2Fb HTTP/1.1\r\nHost: data.s3.test\r\nX-Amz-Date: now\r\n\r\n"
    async with taping(answers(answer(200))) as tape:
        async with running(tmp_path, store(tape.url)) as nezha, await nezha.client() as client:
            assert (await client.exchange(raw)).status == 200
        assert tape.all() == raw


async def test_hop_by_hop_fields_stay_on_their_hop(tmp_path: Path) -> None:
    hop = [
        ("Connection", "keep-alive, X-Mine, Authorization, Host"),
        ("X-Mine", "dropped, because Connection names it"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Upgrade", "websocket"),
    ]
    kept = [("Authorization", "Digest x"), ("X-Yours", "kept")]
    async with Origin() as origin:
        back = "Connection: X-Theirs, keep-alive\r\nX-Theirs: 1\r\nKeep-Alive: timeout=9\r\nX-Kept: 2\r\n"
        origin.script("/a", [f"HTTP/1.1 200 OK\r\n{back}Content-Length: 2\r\n\r\nok".encode()])
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            response = await client.get("/a", HOST, [*hop, *kept])
            assert [name for name, _ in response.headers] == ["X-Kept", "Cache-Status", "Date", "Content-Length"]
        assert origin.requests[0].headers == [("Host", HOST), *kept, ("Via", "1.1 nezha")]


async def test_an_absolute_target_names_the_host(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        for target in ("http://web.test/a?b", "HTTP://WEB.TEST/a?b", "http://web.test:80/a?b"):
            await client.get(target, "other.test")
        await client.get("http://web.test", "other.test")
        await client.get("http://web.test?b", "other.test")
        assert [request.target for request in origin.requests] == ["/a?b"] * 3 + ["/", "/?b"]
        assert {(request.header("host") or "").lower() for request in origin.requests} == {"web.test", "web.test:80"}
        assert (await client.get("http://other.test/a", HOST)).status == 421


# -- bodies on their way out


@pytest.mark.parametrize("name", [None, HOST])
async def test_the_origins_100_is_relayed_before_the_body_is_sent(tmp_path: Path, name: str | None) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client(name=name) as client:
        for number in (1, 2):
            await client.send(request_bytes("PUT", "/b", HOST, [*EXPECT, ("Content-Length", "5")]))
            assert (await client.read_head()).status == 100
            assert not origin.requests[-1].is_complete
            await client.send(b"hello")
            assert (await client.read_response("PUT")).status == (201 if number == 1 else 200)
            assert origin.requests[-1].body == b"hello"
            assert origin.requests[-1].header("expect") == "100-continue"


async def test_a_client_that_does_not_wait_for_100_is_served_as_well(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        for _ in range(2):
            response = await client.exchange(request_bytes("POST", "/b", HOST, EXPECT, b"hello"))
            assert response.body == b"hello"
            assert [head.status for head in response.interim] == [100]


@pytest.mark.parametrize("status", [417, 403])
@pytest.mark.parametrize("framing", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
async def test_a_refusal_instead_of_100_is_relayed_and_the_body_not_waited_for(
    tmp_path: Path, status: int, framing: tuple[str, str]
) -> None:
    async with Origin() as origin:
        origin.fault("/b", Fault(refuse_expect=status))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            await client.send(request_bytes("PUT", "/b", HOST, [*EXPECT, framing]))
            refused = await client.read_response("PUT")
            assert refused.status == status
            assert refused.interim == []
            # Whether the body follows is unknown: nothing else can be read from this connection.
            assert refused.get("connection") == "close"
            assert await client.eof()
            assert not client.is_reset
        await origin.gone()
        assert not origin.requests[0].is_complete


async def test_aws_chunked_bodies_pass_as_they_are(tmp_path: Path) -> None:
    signed = b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0;chunk-signature=" + b"1" * 64 + b"\r\n\r\n"
    trailing = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        for body in (signed, trailing):
            fields = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", "5")]
            assert (await client.exchange(request_bytes("PUT", "/b", HOST, fields, body))).status in (200, 201)
            assert origin.requests[-1].body == body
            assert origin.requests[-1].header("content-encoding") == "aws-chunked"


async def test_a_chunked_body_is_framed_anew_with_its_trailers(tmp_path: Path) -> None:
    trailers = b"X-Amz-Checksum-Crc32: NhCmhg==\r\nx-Amz-Trailer-Signature: 1\r\n\r\n"
    body = b"5;a=b\r\nhello\r\n006\r\n world\r\n0\r\n" + trailers.replace(b" 1\r\n", b"  1 \r\n")
    head = b"PUT /b HTTP/1.1\r\nHost: s3.test\r\nTrailer: x-amz-checksum-crc32\r\n"
    async with taping(answers(answer(200), until=trailers)) as tape:
        async with running(tmp_path, store(tape.url)) as nezha, await nezha.client() as client:
            await client.send(head + b"transfer-encoding: CHUNKED\r\n\r\n")
            for byte in body:
                await client.send(bytes([byte]))
            assert (await client.read_response("PUT")).status == 200
        sent, _, framed = tape.all().partition(b"\r\n\r\n")
        assert sent == head + b"Transfer-Encoding: chunked"
        reader = asyncio.StreamReader()
        reader.feed_data(framed)
        plain = b""
        while size := int(await reader.readline(), 16):
            plain += await reader.readexactly(size)
            assert await reader.readline() == b"\r\n"
        assert plain == b"hello world"
        assert await reader.read(1000) == trailers


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host"])
async def test_a_trailer_cannot_frame_or_route(tmp_path: Path, name: str) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        head = request_bytes("PUT", "/b", HOST, [("Transfer-Encoding", "chunked")])
        assert (await client.exchange(head + f"5\r\nhello\r\n0\r\n{name}: 1\r\n\r\n".encode())).status == 400
        await origin.gone()
        assert not origin.requests[0].is_complete


async def test_an_upload_larger_than_any_buffer_arrives_whole(tmp_path: Path) -> None:
    body = pattern(24_000_000, 1)
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        assert (await client.exchange(request_bytes("PUT", "/b", HOST, body=body))).status == 201
        assert origin.requests[0].body == body
        chunks = b"".join(b"%x\r\n%b\r\n" % (70_000, body[at : at + 70_000]) for at in range(0, 7_000_000, 70_000))
        chunked = request_bytes("POST", "/b", HOST, [("Transfer-Encoding", "chunked")]) + chunks + b"0\r\n\r\n"
        assert (await client.exchange(chunked)).body == body[:7_000_000]


async def test_an_origin_that_does_not_read_holds_its_client_back(tmp_path: Path) -> None:
    size = 96 << 20
    release = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
        heard += await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        count = 0
        while count < size:
            count += len(await reader.read(1 << 20))
        writer.write(answer(200))

    async with taping(play) as tape:
        route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": tape.url}
        async with running(tmp_path, route) as nezha, await nezha.client() as client:
            client.writer.write(request_bytes("PUT", "/b", HOST, [("Content-Length", str(size))]))
            piece, sent = bytes(1 << 20), 0
            while sent < size:
                client.writer.write(piece)
                sent += len(piece)
                try:
                    async with asyncio.timeout(0.3):
                        await client.writer.drain()
                except TimeoutError:
                    break
            # what the kernel takes on two connections, and Nezha's own buffers
            assert sent < 32 << 20
            release.set()
            while sent < size:
                await client.send(piece)
                sent += len(piece)
            assert (await client.read_response("PUT")).status == 200


async def test_an_early_answer_arrives_although_the_upload_is_running(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.fault("/b", Fault(is_early=True, status=403))
        for name in (None, HOST):
            async with running(tmp_path, web(origin)) as nezha, await nezha.client(name=name) as client:
                client.writer.write(request_bytes("PUT", "/b", HOST, body=bytes(40 << 20)))
                refused = await client.read_response("PUT")
                assert (refused.status, refused.body) == (403, b"403\n")
                assert refused.get("connection") == "close"
                assert await client.eof()
                assert name or not client.is_reset
        await origin.gone()
        assert not any(request.is_complete for request in origin.requests)


async def test_a_connection_with_half_a_request_is_not_used_for_the_next(tmp_path: Path) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
        heard += await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(200, body=b"early"))  # and keeps the connection open
        while data := await reader.read(1000):
            heard += data

    async with taping(play) as tape:
        route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": tape.url}
        async with running(tmp_path, route) as nezha:
            async with await nezha.client() as client:
                await client.send(request_bytes("PUT", "/b", HOST, [("Content-Length", "1000")]) + b"0123456789")
                assert (await client.read_response("PUT")).body == b"early"
                assert (await nezha.get("/a")).body == b"early"
                await client.send(b"9" * 990)
                assert await client.eof()
            assert len(tape.heard) == 2
            assert b"GET" not in tape.heard[0]


async def test_a_slow_upload_does_not_count_as_a_slow_answer(tmp_path: Path) -> None:
    async with Origin() as origin:
        route = web(origin, head_timeout="300ms")
        async with running(tmp_path, route) as nezha, await nezha.client() as client:
            await client.send(request_bytes("PUT", "/b", HOST, [("Content-Length", "60")]))
            for _ in range(6):
                await asyncio.sleep(0.1)  # a client's own pace
                await client.send(b"0123456789")
            assert (await client.read_response("PUT")).status == 201


async def test_an_upload_that_stalls_is_given_up(tmp_path: Path) -> None:
    async with Origin() as origin:
        async with running(tmp_path, web(origin, head_timeout="100ms")) as nezha, await nezha.client() as client:
            await client.send(request_bytes("PUT", "/b", HOST, [("Content-Length", "60")]) + b"0123456789")
            assert (await client.read_response("PUT")).status == 504
            assert await client.eof()
        await origin.gone()


# -- answers on their way back


@pytest.mark.parametrize("method", ["GET", "POST", "FOO"])
async def test_early_hints_are_relayed(tmp_path: Path, method: str) -> None:
    async with Origin() as origin:
        hints: list[tuple[int, Headers]] = [
            (103, [("Link", "</a.css>; rel=preload")]),
            (102, []),
            (103, [("X-B", "2")]),
        ]
        origin.fault("/a", Fault(interim=hints))
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            response = await client.get("/a", HOST, [*PASSING, ("Content-Length", "0")], method)
            assert response.status == (405 if method == "FOO" else 200)
            assert [(head.status, head.headers) for head in response.interim] == hints
            await client.send(f"{method} /a HTTP/1.0\r\nHost: {HOST}\r\nCookie: a\r\n\r\n".encode())
            old = await client.read_response(method)
            assert old.interim == []
            assert old.status == response.status


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_trailers_are_relayed(tmp_path: Path, method: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.fault("/a", Fault(trailers=[("X-Sum", "1"), ("x-Other", "\xe4")]))
        async with running(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                response = await client.exchange(request_bytes(method, "/a", HOST, PASSING, b"hello"))
                assert response.body == b"hello"
                assert response.trailers == [("X-Sum", "1"), ("x-Other", "\xe4")]
                assert response.get("trailer") == "X-Sum, x-Other"
            async with await nezha.client() as client:
                old = await client.exchange(f"{method} /a HTTP/1.0\r\nHost: {HOST}\r\nCookie: a\r\n\r\n".encode())
                assert old.body == (b"hello" if method == "GET" else b"")
                assert await client.eof()


async def test_a_body_ended_by_close_is_chunked_for_the_client(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        origin.fault("/a", Fault(no_length=True))
        async with running(tmp_path, web(origin)) as nezha:
            for name in (None, HOST):
                async with await nezha.client(name=name) as client:
                    for _ in range(2):
                        response = await client.get("/a", HOST, PASSING)
                        assert response.get("transfer-encoding") == "chunked"
                        assert response.body == pattern(SIZE)
                    await client.send(f"GET /a HTTP/1.0\r\nHost: {HOST}\r\nCookie: a\r\n\r\n".encode())
                    old = await client.read_response()
                    assert old.get("transfer-encoding") is None
                    assert old.get("connection") == "close"
                    assert old.body == pattern(SIZE)


@pytest.mark.parametrize(
    ("method", "raw", "length"),
    [
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("DELETE", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", None),
        ("PUT", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\nETag: x\r\n\r\n", "5000"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", None),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "5000"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", None),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 5000\r\n\r\n", "5000"),
    ],
)
async def test_an_answer_without_a_body_has_none(tmp_path: Path, method: str, raw: bytes, length: str | None) -> None:
    async with Origin() as origin:
        origin.script("/a", [raw, raw])
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            for _ in range(2):
                await client.send(request_bytes(method, "/a", HOST, PASSING))
                head = await client.read_head()
                assert head.raw.startswith(raw.partition(b"\r\n")[0])
                assert head.get("content-length") == length
                assert head.get("transfer-encoding") is None
                assert head.get("connection") is None
            # the connection is in step
            assert (await client.exchange(request_bytes("POST", "/b", HOST, body=b"hello"))).body == b"hello"


async def test_status_and_reason_are_the_origins(tmp_path: Path) -> None:
    async with Origin() as origin:
        for line in (b"299 Very Good", b"418 I'm a teapot", b"599 \xe4", b"200 "):
            origin.script("/a", [b"HTTP/1.1 " + line + b"\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok"])
            async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
                await client.send(request_bytes("GET", "/a", HOST, PASSING))
                head = await client.read_head()
                assert head.raw.startswith(b"HTTP/1.1 " + line)
                assert head.headers[:2] == [("X-A", "1"), ("x-a", "2")]
                assert await client.read_body(head) == b"ok"


async def test_lists_and_writes_are_asked_each_time(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("*", Object(body=b"<list/>", cache_control="max-age=3600"))
        async with running(tmp_path, store(origin.url)) as nezha:
            for _ in range(2):
                for target in ("/data?list-type=2", "/data/", "/", "/data/a?partNumber=1", "/other/a"):
                    response = await nezha.get(target, host="s3.test")
                    assert response.body == b"<list/>"
                    assert (response.get("cache-status") or "").startswith("nezha; fwd=bypass")
            assert origin.count() == 10
            assert nezha.metric("nezha_requests_total", origin="store", outcome="pass") == 10


async def test_kept_connections_to_the_origin_are_used_again(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.serve("/c", Object(body=Pattern(SIZE), framing="chunked"))
        async with running(tmp_path, web(origin)) as nezha:
            for path in ("/a", "/c", "/a", "/none"):
                await nezha.get(path, headers=dict(PASSING))
            await nezha.get("/a", headers=dict(PASSING), method="HEAD")
            assert origin.connections == 1


async def test_a_read_is_repeated_where_a_kept_connection_had_ended(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.fault("/a", Fault(drop=True), nth=2)
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):
                assert (await nezha.get("/a", headers=dict(PASSING))).body == b"hello"
            assert origin.count() == 3


@pytest.mark.parametrize("drop", [Fault(drop=True), Fault(garbage=b"HTTP/1.1 2")])
async def test_what_may_not_be_done_twice_is_sent_once(tmp_path: Path, drop: Fault) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            assert (await client.get("/a", HOST, PASSING)).status == 200
            origin.fault("*", drop)
            for method in ("POST", "FOO", "PATCH"):
                assert (await client.get("/a", HOST, [("Content-Length", "0")], method)).status == 502
                assert origin.count(method) == 1


async def test_a_read_whose_answer_had_begun_is_not_repeated(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.fault("/a", Fault(garbage=b"HTTP/1.1 200 OK\r\nX-Half"), nth=2)
        origin.fault("/b", Fault(interim=[(103, [])], garbage=b""), nth=1)
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            assert (await client.get("/a", HOST, PASSING)).status == 200
            assert (await client.get("/a", HOST, PASSING)).status == 502
            assert origin.count() == 2


# -- who leaves


@pytest.mark.parametrize("name", [None, HOST])
async def test_a_client_that_leaves_ends_its_download(tmp_path: Path, name: str | None) -> None:
    release = asyncio.Event()
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        origin.fault("/a", Fault(hold=release, hold_after=100_000))
        async with running(tmp_path, web(origin)) as nezha:
            async with await nezha.client(name=name) as client:
                await client.send(request_bytes("GET", "/a", HOST, PASSING))
                await client.read_head()
                assert await client.read(100_000) == pattern(100_000)
                client.abort()
            await origin.gone()
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_a_client_that_leaves_ends_its_upload(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for framing in (
            [("Content-Length", "100000")],
            [("Transfer-Encoding", "chunked")],
            [("Content-Length", "99"), *EXPECT],
        ):
            async with await nezha.client() as client:
                await client.send(request_bytes("PUT", "/b", HOST, framing) + b"5\r\nhello\r\n")
                await origin.arrived(1)
                client.abort()
            await origin.gone()
            assert not origin.requests[0].is_complete
            origin.clear()
        assert "/b" not in origin.objects


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_leaves_is_not_answered(tmp_path: Path, method: str) -> None:
    release = asyncio.Event()
    async with Origin() as origin:
        origin.fault("*", Fault(hold=release))
        async with running(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                await client.send(request_bytes(method, "/b", HOST, PASSING, b"hello"))
                await origin.held()
                client.abort()
            await origin.gone()


async def test_a_client_that_stops_reading_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nezha.proxy.connection.Connection.stall_seconds", 0.1)
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(1 << 30)))
        async with running(tmp_path, web(origin)) as nezha:
            for number, name in enumerate((None, HOST), 1):
                async with await nezha.client(name=name) as client:
                    await client.send(request_bytes("GET", "/a", HOST, PASSING))
                    await origin.arrived(number)
                    await origin.gone()  # and nobody has read the body
            assert origin.bytes_sent < 1 << 30


# -- what an origin may do wrong


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_origin_that_is_down_is_502(tmp_path: Path, method: str) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        await origin.stop()
        for _ in range(2):
            refused = await client.exchange(request_bytes(method, "/a", HOST, PASSING, b""))
            assert refused.status == 502
            assert b"web" in refused.body
            assert (refused.get("cache-status") or "").startswith("nezha; fwd=")
        with_body = await client.exchange(request_bytes(method, "/a", HOST, PASSING, b"hello"))
        assert with_body.status == 502
        assert nezha.metric("nezha_origin_requests_total", origin="web", code="0") == 3
        assert nezha.metric("nezha_requests_total", origin="web", outcome="error") == 3


FAULTS = {
    "no answer": (Fault(drop=True), 502),
    "RST for an answer": (Fault(drop=True, reset_after=0), 502),
    "garbage": (Fault(garbage=True), 502),
    "half a head": (Fault(garbage=b"HTTP/1.1 200 OK\r\nContent-Le"), 502),
    "another protocol": (Fault(garbage=b"HTTP/2 200 OK\r\n\r\n"), 502),
    "no status": (Fault(garbage=b"HTTP/1.1 OK\r\n\r\n"), 502),
    "a head without an end": (Fault(huge_head=2 << 20), 502),
    "both lengths": (Fault(both_lengths=True), 502),
    "two lengths": (Fault(garbage=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 502),
    "a signed length": (Fault(garbage=b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"), 502),
    "another coding": (Fault(garbage=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 502),
    "a switch of protocols": (Fault(garbage=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), 502),
    "a late head": (Fault(delay_head=30), 504),
    "a head byte by byte": (Fault(head_slowly=30), 504),
}


@pytest.mark.parametrize(("fault", "status"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("body", [None, b"hello"], ids=["", "with a body"])
async def test_an_answer_that_is_none_becomes_an_error(
    tmp_path: Path, fault: Fault, status: int, body: bytes | None
) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.fault("/a", fault)
        async with running(tmp_path, web(origin, head_timeout="200ms")) as nezha, await nezha.client() as client:
            response = await client.exchange(request_bytes("GET", "/a", HOST, PASSING, body))
            assert response.status == status
            assert b"web" in response.body
            assert nezha.metric("nezha_origin_requests_total", origin="web", code="0") == 1
            origin.heal()
            assert (await client.get("/a", HOST, PASSING)).body == b"hello"
            await origin.gone(still_open=1)


BROKEN = {
    "a short body": Fault(close_after=100_000),
    "a reset": Fault(reset_after=100_000),
    "a length that lies": Fault(lie_length=10),
    "a bad chunk": Fault(bad_chunk=True),
    "an early end of chunks": Fault(trailers=[("A", "b")], close_after=100_000),
    "a body that stops": Fault(hold_after=100_000),  # with an event of the test's own
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("name", [None, HOST])
async def test_a_body_that_breaks_is_cut_and_not_padded(
    tmp_path: Path, fault: Fault, version: str, name: str | None
) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        origin.fault("/a", fault.merged(Fault(hold=asyncio.Event() if fault.hold_after else None)))
        async with (
            running(tmp_path, web(origin, idle_timeout="200ms")) as nezha,
            await nezha.client(name=name) as client,
        ):
            await client.send(f"GET /a HTTP/{version}\r\nHost: {HOST}\r\nCookie: a\r\n\r\n".encode())
            with pytest.raises(Truncated) as cut:
                await client.read_response()
            assert pattern(SIZE).startswith(cut.value.partial)
            assert cut.value.is_reset or version == "1.1"
            assert nezha.metric("nezha_cut_responses_total") == 1


async def test_bytes_behind_an_answer_are_nobodys(tmp_path: Path) -> None:
    async with Origin() as origin:
        for path in ("/a", "/b"):
            origin.script(path, [answer(200, body=b"hello") + answer(200, body=b"smuggled")])
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            for path in ("/a", "/b"):
                assert (await client.get(path, HOST, PASSING)).body == b"hello"
            assert origin.connections == 2


# -- by an egress proxy


@contextlib.asynccontextmanager
async def egress(asked: list[str]) -> AsyncIterator[str]:
    """A forward proxy that knows CONNECT."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0]
        asked.append(line)
        host, _, port = line.split(" ")[1].rpartition(":")
        if port == "1":
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            writer.close()
            return
        inward, outward = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, outward), copy(inward, writer))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_egress_proxy_is_the_only_way_out(tmp_path: Path) -> None:
    asked: list[str] = []
    async with Origin() as origin, egress(asked) as proxy:
        origin.serve("/a", Object(body=b"hello"))
        routes = (
            web(origin, proxy=proxy),
            {
                "name": "shut",
                "dialect": "http",
                "hosts": ["shut.test"],
                "connect": "http://127.0.0.1:1",
                "proxy": proxy,
            },
            {"name": "far", "dialect": "http", "hosts": ["far.test"], "connect": "https://127.0.0.1:1", "proxy": proxy},
        )
        async with running(tmp_path, *routes) as nezha:
            assert (await nezha.get("/a")).body == b"hello"
            assert (await nezha.get("/a", host="shut.test")).status == 502
            trust = nezha.trust()
            trust.set_alpn_protocols(["h2"])
            with pytest.raises(ConnectionError):
                await RawClient.open("127.0.0.1", nezha.port, trust, "far.test")
            assert asked == [f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1", *["CONNECT 127.0.0.1:1 HTTP/1.1"] * 2]


async def test_nezhas_own_address_is_no_origin(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": f"http://127.0.0.1:{port}"}
    async with running(tmp_path, route, listen=f"127.0.0.1:{port}") as nezha:
        refused = await nezha.get("/a")
        assert refused.status == 502
        assert b"own address" in refused.body
