"""What is refused before any origin hears of it: shapes that two readers read differently, and sheer nonsense."""

import asyncio
from pathlib import Path

import pytest

from tests.objects import Object
from tests.origin import Origin
from tests.rawclient import RawClient, Response
from tests.running import HOST, Running, running, web

GET = b"GET /a HTTP/1.1\r\nHost: web.test\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: web.test\r\n"
FRESH = "max-age=3600"

MALFORMED = {
    # framing (RFC 9112 6.1, 6.3)
    "both Content-Length and Transfer-Encoding": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n", 400),
    "both, the other way round": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "both on a GET": (GET + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two Content-Lengths that differ": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    "two Content-Lengths that agree": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "a list as Content-Length": (POST + b"Content-Length: 5,5\r\n\r\nhello", 400),
    "a list with a space as Content-Length": (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a signed Content-Length": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "a negative Content-Length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "a hexadecimal Content-Length": (POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a Content-Length with an underscore": (POST + b"Content-Length: 1_0\r\n\r\nhellohello", 400),
    "a Content-Length with a fraction": (POST + b"Content-Length: 5.0\r\n\r\nhello", 400),
    "a Content-Length with a space inside": (POST + b"Content-Length: 5 0\r\n\r\nhello", 400),
    "an empty Content-Length": (POST + b"Content-Length:\r\n\r\n", 400),
    "a superscript Content-Length": (POST + b"Content-Length: \xb2\r\n\r\nhe", 400),
    "a Content-Length past any integer": (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "another coding before chunked": (POST + b"Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n", 501),
    "gzip before chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked in two lines": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked and then identity": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501),
    "a coding that is not chunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunked in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "chunked with a parameter": (POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 501),
    "an empty Transfer-Encoding": (POST + b"Transfer-Encoding:\r\n\r\n", 501),
    "chunked after a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "Transfer-Encoding in HTTP/1.0": (
        b"POST /a HTTP/1.0\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    # field lines (RFC 9112 2.2, 5.1, 5.2)
    "obs-fold": (GET + b"X-Folded: a\r\n b\r\n\r\n", 400),
    "obs-fold with a tab": (GET + b"X-Folded: a\r\n\tb\r\n\r\n", 400),
    "a folded Transfer-Encoding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    "a fold before the first field": (b"GET /a HTTP/1.1\r\n Host: web.test\r\n\r\n", 400),
    "a bare CR in a value": (GET + b"X-A: a\rb\r\n\r\n", 400),
    "a bare CR that hides a field": (GET + b"X-A: a\rContent-Length: 5\r\n\r\nhello", 400),
    "a bare CR before CRLF": (GET + b"X-A: a\r\r\n\r\n", 400),
    "a bare CR in a name": (GET + b"X\rA: a\r\n\r\n", 400),
    "a bare LF ends a line": (GET + b"X-A: a\nX-B: b\r\n\r\n", 400),
    "a bare LF ends the last line": (GET + b"X-A: a\n\r\n", 400),
    "a bare LF ends the head": (GET + b"X-A: a\r\n\n", 400),
    "bare LFs everywhere": (b"GET /a HTTP/1.1\nHost: web.test\n\n", 400),
    "NUL in a value": (GET + b"X-A: a\x00b\r\n\r\n", 400),
    "NUL in a name": (GET + b"X\x00A: a\r\n\r\n", 400),
    "a control in a value": (GET + b"X-A: a\x01b\r\n\r\n", 400),
    "DEL in a value": (GET + b"X-A: a\x7fb\r\n\r\n", 400),
    "space before the colon": (GET + b"X-A : a\r\n\r\n", 400),
    "a tab before the colon": (GET + b"X-A\t: a\r\n\r\n", 400),
    "space before the colon of Transfer-Encoding": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "an empty name": (GET + b": a\r\n\r\n", 400),
    "no colon": (GET + b"X-A\r\n\r\n", 400),
    "a name in brackets": (GET + b"X(A): a\r\n\r\n", 400),
    "a name past ASCII": (GET + b"X-\xe9: a\r\n\r\n", 400),
    # Host (RFC 9112 3.2)
    "two Hosts": (b"GET /a HTTP/1.1\r\nHost: web.test\r\nHost: other.test\r\n\r\n", 400),
    "two Hosts that agree": (b"GET /a HTTP/1.1\r\nHost: web.test\r\nhost: web.test\r\n\r\n", 400),
    "no Host": (b"GET /a HTTP/1.1\r\n\r\n", 400),
    "no Host beside an absolute target": (b"GET http://web.test/a HTTP/1.1\r\n\r\n", 400),
    "two Hosts beside an absolute target": (
        b"GET http://web.test/a HTTP/1.1\r\nHost: web.test\r\nHost: web.test\r\n\r\n", 400),
    "an empty Host": (b"GET /a HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "a Host with a space": (b"GET /a HTTP/1.1\r\nHost: web.test other.test\r\n\r\n", 400),
    "a Host with a list": (b"GET /a HTTP/1.1\r\nHost: web.test, other.test\r\n\r\n", 400),
    "a Host with a path": (b"GET /a HTTP/1.1\r\nHost: web.test/a\r\n\r\n", 400),
    "a Host with a user": (b"GET /a HTTP/1.1\r\nHost: me@web.test\r\n\r\n", 400),
    "a Host whose port is none": (b"GET /a HTTP/1.1\r\nHost: web.test:http\r\n\r\n", 400),
    "an absolute target without authority": (b"GET http:///a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    # the request line (RFC 9112 3)
    "garbage": (b"\x80\x81\x82garbage\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "no version": (b"GET /a\r\nHost: web.test\r\n\r\n", 400),
    "two spaces": (b"GET  /a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "a tab for a space": (b"GET\t/a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "a space behind the version": (b"GET /a HTTP/1.1 \r\nHost: web.test\r\n\r\n", 400),
    "a space before the method": (b" GET /a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "NUL in the target": (b"GET /a\x00b HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "a method that is no token": (b"G@T /a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "a lower-case protocol": (b"GET /a http/1.1\r\nHost: web.test\r\n\r\n", 400),
    "another protocol": (b"GET /a ICAP/1.0\r\nHost: web.test\r\n\r\n", 400),
    "a version with two digits": (b"GET /a HTTP/1.10\r\nHost: web.test\r\n\r\n", 400),
    "a relative target": (b"GET a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "an authority as target": (b"GET web.test:80 HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "an asterisk for anything but OPTIONS": (b"GET * HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "another scheme": (b"GET ftp://web.test/a HTTP/1.1\r\nHost: web.test\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /a HTTP/2.0\r\nHost: web.test\r\n\r\n", 505),
    "HTTP/0.9 in a modern line": (b"GET /a HTTP/0.9\r\nHost: web.test\r\n\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "CONNECT": (b"CONNECT web.test:443 HTTP/1.1\r\nHost: web.test:443\r\n\r\n", 405),
    # sizes
    "a long target": (b"GET /" + b"a" * (17 << 10) + b" HTTP/1.1\r\nHost: web.test\r\n\r\n", 414),
    "one long field": (GET + b"X-A: " + b"a" * (65 << 10) + b"\r\n\r\n", 431),
    "many fields": (GET + b"".join(b"X-%d: a\r\n" % n for n in range(9000)) + b"\r\n", 431),
    "a long head that never ends": (GET + b"X-A: " + b"a" * (70 << 10), 431),
}  # fmt: skip


async def _is_refused(client: RawClient, raw: bytes, status: int) -> Response:
    await client.send(raw)
    head = await client.read_head()
    assert head.raw.startswith(b"HTTP/1.1 %d " % status)
    body = await client.read_body(head)
    assert body.strip(), "the refusal says why"
    assert head.get("connection") == "close"
    assert await client.eof()
    return Response(head.status, head.headers, body)


async def _untouched(nezha: Running, origin: Origin, seen: int) -> None:
    """What was stored is served as before, and the origin has heard of nothing."""
    assert (await nezha.get("/a")).body == b"stored"
    assert origin.count() == seen
    assert origin.malformed == []


async def test_a_malformed_request_is_refused_and_changes_nothing(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"stored", cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            for name, (raw, status) in MALFORMED.items():
                with subtests.test(name):
                    async with await nezha.client() as client:
                        await _is_refused(client, raw, status)
                    await _untouched(nezha, origin, 1)


@pytest.mark.parametrize("name", ["both Content-Length and Transfer-Encoding", "two Hosts", "a bare LF ends a line"])
async def test_it_is_refused_inside_tls_as_well(tmp_path: Path, name: str) -> None:
    raw, status = MALFORMED[name]
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        async with await nezha.client(name=HOST) as client:
            await _is_refused(client, raw, status)
        assert origin.count() == 0


@pytest.mark.parametrize(
    "name", ["obs-fold", "bare LFs everywhere", "no Host", "both Content-Length and Transfer-Encoding"]
)
async def test_it_is_refused_when_it_comes_byte_by_byte(tmp_path: Path, name: str) -> None:
    raw, status = MALFORMED[name]
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        async with await nezha.client() as client:
            head = raw[: raw.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in raw else len(raw)]
            for number in range(len(head) - 1):
                await client.send(head[number : number + 1])
                await asyncio.sleep(0)
            await _is_refused(client, head[-1:], status)
        assert origin.count() == 0


async def test_nothing_behind_a_refused_request_is_read(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        async with await nezha.client() as client:
            await _is_refused(client, GET + b"X-A : a\r\n\r\n" + GET + b"\r\n" * 2, 400)
        assert origin.count() == 0


async def test_the_answer_to_what_came_before_it_still_arrives(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"stored"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            await client.send(GET + b"\r\n" + GET + b"X-A : a\r\n\r\n")
            assert (await client.read_response()).body == b"stored"
            assert (await client.read_response()).status == 400
            assert await client.eof()


async def test_a_refusal_arrives_although_the_client_is_still_sending(tmp_path: Path) -> None:
    # To close over unread bytes sends RST, and RST destroys the answer on its way.
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        client.writer.write(GET + b"X-A : a\r\n\r\n" + bytes(8 << 20))
        assert (await client.read_response()).status == 400
        assert await client.eof()
        assert not client.is_reset


@pytest.mark.parametrize("filling", [b" ", b"\t", b" a", b"\xe9 "])
async def test_no_header_keeps_the_loop_busy(tmp_path: Path, filling: bytes) -> None:
    hostile = b"X-A: b" + filling * (60_000 // len(filling)) + b"\x01\r\n"
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        loop = asyncio.get_running_loop()
        async with await nezha.client() as client:
            before = loop.time()
            await _is_refused(client, GET + hostile + b"\r\n", 400)
            assert loop.time() - before < 1


# -- bodies in chunks: the head has gone to the origin by then, a whole request never does

BAD_CHUNKS = {
    "a size that is no number": b"x\r\nhello\r\n0\r\n\r\n",
    "a signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\nhellohellohello!\r\n0\r\n\r\n",
    "a size past 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size past 20 digits": b"100000000000000000000005\r\nhello\r\n0\r\n\r\n",
    "the largest size of 64 bits": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "a bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "no CRLF behind a chunk": b"5\r\nhello0\r\n\r\n",
    "a bare LF behind a chunk": b"5\r\nhello\n0\r\n\r\n",
    "100 KB of extension": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "100 KB of trailers": b"5\r\nhello\r\n0\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "a bare LF in the trailers": b"5\r\nhello\r\n0\r\nX-A: a\nX-B: b\r\n\r\n",
    "a bare LF ends the trailers": b"5\r\nhello\r\n0\r\n\n",
    "obs-fold in the trailers": b"5\r\nhello\r\n0\r\nX-A: a\r\n b\r\n\r\n",
    "a bare CR in the trailers": b"5\r\nhello\r\n0\r\nX-A: a\rb\r\n\r\n",
    "a trailer without colon": b"5\r\nhello\r\n0\r\nX-A\r\n\r\n",
}


async def test_a_malformed_chunked_body_is_refused_and_never_whole_at_the_origin(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    head = b"PUT /b HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for name, body in BAD_CHUNKS.items():
            with subtests.test(name):
                async with await nezha.client() as client:
                    await _is_refused(client, head + body, 400)
                await origin.gone()
                assert not any(request.is_complete for request in origin.requests)
                assert "/b" not in origin.objects


async def test_a_body_that_ends_early_is_refused_and_never_whole_at_the_origin(tmp_path: Path) -> None:
    for body in (b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                await client.send(b"PUT /b HTTP/1.1\r\nHost: web.test\r\n" + body)
                await origin.arrived(1)
                client.send_eof()
                assert (await client.read_response()).status == 400
                assert await client.eof()
            await origin.gone()
            assert not origin.requests[0].is_complete
            assert "/b" not in origin.objects


# -- what is odd but right passes, byte for byte


@pytest.mark.parametrize(
    "target",
    [
        b"/../../etc/passwd",
        b"/a/../b",
        b"/a/./b",
        b"//a//b",
        b"/%2e%2e/%2E%2E/b",
        b"/a%2Fb%2f",
        b"/a%00b",
        b"/a?",
        b"/?",
        b"/a??b=%zz&c=%",
        b"/a;b=c,d",
        b"/a+b%20c",
        b"/\xe9\xff",
        b"/[a]{b}|^`\\",
        b"/a:80/b@c",
    ],
)
async def test_a_path_reaches_the_origin_byte_for_byte(tmp_path: Path, target: bytes) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        async with await nezha.client() as client:
            response = await client.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: web.test\r\n\r\n")
            assert response.status == 404
        assert origin.requests[0].head.startswith(b"GET " + target + b" HTTP/1.1\r\n")


async def test_path_escapes_are_objects_of_their_own(tmp_path: Path) -> None:
    paths = ["/a/b", "/a/./b", "/a//b", "/a/c/../b", "/a%2Fb", "/a/b?"]
    async with Origin() as origin:
        for path in paths:
            origin.serve(path, Object(body=path.encode(), etag=f'"{path}"', cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):
                for path in paths:
                    assert (await nezha.get(path)).body == path.encode()
            assert origin.count() == len(paths)


async def test_empty_lines_before_a_request_are_skipped(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"stored"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            assert (await client.exchange(b"\r\n\r\n" + GET + b"\r\n")).body == b"stored"


async def test_space_around_a_value_is_none_of_it(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"stored"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            assert (await client.exchange(b"GET /a HTTP/1.1\r\nHost:  \t web.test\t \r\n\r\n")).body == b"stored"


async def test_a_size_with_an_extension_and_leading_zeros_is_a_size(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        raw = POST + b'Transfer-Encoding: Chunked\r\n\r\n0005;a="b c"\r\nhello\r\n0\r\n\r\n'
        assert (await client.exchange(raw)).body == b"hello"
        assert (await client.exchange(POST + b"Content-Length: 005\r\n\r\nhello")).body == b"hello"
