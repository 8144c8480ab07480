"""The cache port: one port for plain and TLS, who is let in, and how long a connection lives."""

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nezha.proxy.connection import Connection
from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.pki import serving
from tests.proxy.puppet import Puppet, fragments
from tests.rawclient import RawClient, Truncated, request_bytes
from tests.running import HOST, running, web

SIZE = 9_000_000
FRESH = "max-age=3600"
GET = b"GET /a HTTP/1.1\r\nHost: web.test\r\n\r\n"
UNRECOGNIZED_NAME = bytes((0x15, 3, 3, 0, 2, 2, 112))  # fatal, RFC 6066 3


@pytest.fixture
def secure(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """What a TLS origin serves with, for web.test and 127.0.0.1, and the certificate of its CA."""
    return serving(tmp_path / "origin", [HOST, "127.0.0.1"]), tmp_path / "origin" / "ca.crt"


# -- one port, two kinds


async def test_plain_and_tls_meet_on_one_port(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as plain, await nezha.client(name=HOST) as secret:
                for client in (plain, secret, plain, secret):
                    assert (await client.exchange(GET)).body == b"hello"
                assert nezha.metric("nezha_connections", port="cache") == 2
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_clients_of_both_versions_of_tls_are_served(tmp_path: Path, version: ssl.TLSVersion) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            trust = nezha.trust()
            trust.minimum_version = trust.maximum_version = version
            async with await RawClient.open("127.0.0.1", nezha.port, trust, HOST) as client:
                for _ in range(2):
                    assert (await client.exchange(GET)).body == pattern(SIZE)
                assert client.writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")


@pytest.mark.parametrize(
    ("offered", "selected"), [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), ([], None)]
)
async def test_http_1_1_is_selected_where_it_is_offered(
    tmp_path: Path, offered: list[str], selected: str | None
) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        trust = nezha.trust()
        if offered:
            trust.set_alpn_protocols(offered)
        async with await RawClient.open("127.0.0.1", nezha.port, trust, HOST) as client:
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == selected
            assert (await client.exchange(GET)).status == 404


async def test_a_hello_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, Puppet.open(nezha, HOST) as puppet:
            for byte in puppet.hello():
                await puppet.client.send(bytes([byte]))
                await asyncio.sleep(0)
            await puppet.handshake()
            await puppet.send(GET)
            assert await puppet.read(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_hello_may_be_cut_into_records(tmp_path: Path, size: int, is_slow: bool) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, Puppet.open(nezha, HOST) as puppet:
            records = list(fragments(puppet.hello(), size))
            for part in records if is_slow else [b"".join(records)]:
                await puppet.client.send(part)
                await asyncio.sleep(0)
            await puppet.handshake()
            await puppet.send(GET)
            assert await puppet.read(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x00\x05junk!",  # no ClientHello
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # an empty one
        b"\x16\x02\x01\x00\x04\x01\x00\x00\x00",  # SSL 2
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff"
        + bytes((16 << 10) - 4)
        + (b"\x16\x03\x01\x40\x00" + bytes(16 << 10)) * 5,
    ],
    ids=["junk", "empty", "SSL 2", "endless"],
)
async def test_what_is_no_hello_ends_the_connection(tmp_path: Path, junk: bytes) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        async with await nezha.client() as client:
            client.writer.write(junk)
            with pytest.raises(Truncated):
                await client.read(1 << 20)
        await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_a_handshake_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        distrust = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            await RawClient.open("127.0.0.1", nezha.port, distrust, HOST)
        async with Puppet.open(nezha, HOST) as puppet:
            await puppet.client.send(puppet.hello())
        await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_a_broken_handshake_is_answered_by_an_alert(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        trust = nezha.trust()
        trust.maximum_version = ssl.TLSVersion.TLSv1_2  # whose alerts can be read
        async with Puppet.open(nezha, HOST, trust) as puppet:
            await puppet.client.send(puppet.hello() + b"\x17\x03\x03\x00\x05junk!")
            while (record := await puppet.record())[0] != 21:  # an alert
                pass
            assert record[5] == 2  # a fatal one
            assert await puppet.client.eof()
            assert not puppet.client.is_reset
        await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_a_record_that_was_tampered_with_ends_the_connection(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, Puppet.open(nezha, HOST) as puppet:
        await puppet.client.send(puppet.hello())
        await puppet.handshake()
        puppet.tls.write(GET)
        record = bytearray(puppet.outgoing.read())
        record[-1] ^= 1
        await puppet.client.send(bytes(record))
        with pytest.raises(Truncated):
            await puppet.client.read(1 << 20)
        assert origin.count() == 0
        await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_a_leaf_that_cannot_be_made_ends_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        with monkeypatch.context() as patch:
            patch.setattr("nezha.pki.leaves.issue", fail)
            async with Puppet.open(nezha, HOST) as puppet:
                await puppet.client.send(puppet.hello())
                assert await puppet.client.eof()
        async with await nezha.client(name=HOST) as client:
            assert (await client.exchange(GET)).status == 404


async def test_a_large_upload_over_tls_arrives_whole(tmp_path: Path) -> None:
    body = pattern(20_000_000, 3)
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client(name=HOST) as client:
        assert (await client.exchange(request_bytes("PUT", "/b", HOST, body=body))).status == 201
        assert origin.requests[0].body == body
        assert (await client.exchange(GET)).status == 404


@pytest.fixture
def openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("needs the openssl command")
    return found


async def test_a_client_may_change_its_keys(tmp_path: Path, openssl: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            client = await asyncio.create_subprocess_exec(
                openssl, "s_client", "-connect", f"127.0.0.1:{nezha.port}", "-servername", HOST, "-tls1_3",
                "-CAfile", str(tmp_path / "tls" / "ca.crt"), "-verify_return_error",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stderr is not None
            asks = b"GET /a HTTP/1.1\r\nHost: web.test\r\nAccept: */*\r\n\r\n"
            async with asyncio.timeout(10):
                await client.stdout.readuntil(b"Verify return code: 0 (ok)")
                client.stdin.write(asks)
                body = pattern(SIZE)
                await client.stdout.readuntil(b"\r\n\r\n")
                assert await client.stdout.readexactly(SIZE) == body
                for command in (b"K\n", b"k\n"):  # asked to follow, and not
                    client.stdin.write(command)
                    while b"KEYUPDATE" not in await client.stderr.readline():
                        pass
                    client.stdin.write(asks)
                    await client.stdout.readuntil(b"\r\n\r\n")
                    assert await client.stdout.readexactly(SIZE) == body
                client.stdin.close()
                await client.wait()


# -- whose name


async def test_an_unknown_name_is_refused_with_its_alert(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for name in ("other.test", "x.web.test", "test", "web.test.other"):
            async with Puppet.open(nezha, name) as puppet:
                await puppet.client.send(puppet.hello())
                assert await puppet.client.read(7) == UNRECOGNIZED_NAME
                assert await puppet.client.eof()
                assert not puppet.client.is_reset


async def test_no_name_at_all_is_refused_where_no_address_is_served(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname = False
        async with Puppet.open(nezha, None, anyone) as puppet:
            await puppet.client.send(puppet.hello())
            assert await puppet.client.read(7) == UNRECOGNIZED_NAME


async def test_a_client_of_an_address_sends_no_name_and_is_served(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        route = web(origin, hosts=["192.0.2.7", HOST])
        async with running(tmp_path, route) as nezha, await nezha.client(name="192.0.2.7") as client:
            assert (await client.get("/a", "192.0.2.7")).body == b"hello"
            assert (await client.get("/a", HOST)).status == 421


async def test_a_name_in_any_case_is_the_same_name(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client(name="WEB.Test") as client:
            for host in ("web.test", "Web.TEST", "web.test:443", "web.test:8443", "web.test."):
                assert (await client.get("/a", host)).body == b"hello"


async def test_a_server_name_that_is_not_the_host_is_misdirected(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH))
        async with running(tmp_path, web(origin, hosts=[HOST, "other.test"])) as nezha:
            assert (await nezha.get("/a", host="other.test")).status == 200
            async with await nezha.client(name=HOST) as client:
                refused = await client.get("/a", "other.test")
                assert refused.status == 421
                assert b"hello" not in refused.body
                assert (await client.get("/a", HOST)).status == 200
            assert [request.header("host") for request in origin.requests] == ["other.test", HOST]


async def test_an_unknown_host_is_misdirected(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        async with await nezha.client() as plain, await nezha.client(name=HOST) as secret:
            for client in (plain, secret):
                for host in ("other.test", "127.0.0.1", "x.web.test", "[::1]:80"):
                    refused = await client.get("/a", host)
                    assert refused.status == 421
                    assert refused.body
        assert origin.count() == 0


# -- clients that cannot speak HTTP/1.1


@asynccontextmanager
async def echoing(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[str | None]]]:
    """A TLS origin that gives back what it hears, in upper case, with the names it was asked for."""
    names: list[str | None] = []

    def heard(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    context.sni_callback = heard
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", names


async def test_a_client_of_h2_only_is_spliced_to_the_origin_unread(
    tmp_path: Path, secure: tuple[ssl.SSLContext, Path]
) -> None:
    context, ca_file = secure
    context.set_alpn_protocols(["h2"])
    trust = ssl.create_default_context(cafile=str(ca_file))  # the origin's, not Nezha's
    trust.set_alpn_protocols(["h2"])
    async with echoing(context) as (url, names):
        route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": url, "ca_file": str(ca_file)}
        async with running(tmp_path, route) as nezha:
            async with await RawClient.open("127.0.0.1", nezha.port, trust, HOST) as client:
                tls = client.writer.get_extra_info("ssl_object")
                assert tls.selected_alpn_protocol() == "h2"
                [own] = nezha.trust().get_ca_certs()
                assert tls.getpeercert()["issuer"] != own["subject"]
                body = b"some octets" * 100_000
                sending = asyncio.create_task(client.send(body))
                assert await client.read(len(body)) == body.upper()
                await sending
                assert names == [HOST]
                assert nezha.metric("nezha_requests_total", origin="web", outcome="pass") == 1
                assert nezha.metric("nezha_connections", port="cache") == 1
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_a_client_of_h2_only_is_refused_where_it_cannot_be_spliced(
    tmp_path: Path, secure: tuple[ssl.SSLContext, Path]
) -> None:
    async with Origin() as origin, Origin(tls=secure[0]) as down:
        route = {
            "name": "far",
            "dialect": "http",
            "hosts": ["far.test"],
            "connect": down.url,
            "ca_file": str(secure[1]),
        }
        await down.stop()
        async with running(tmp_path, web(origin), route) as nezha:
            trust = nezha.trust()
            trust.set_alpn_protocols(["h2"])
            for name in ("other.test", HOST, None):  # not served; served, but over plain HTTP
                trust.check_hostname = name is not None
                async with Puppet.open(nezha, name, trust) as puppet:
                    await puppet.client.send(puppet.hello())
                    assert await puppet.client.read(7) == UNRECOGNIZED_NAME
                    assert await puppet.client.eof()
            async with Puppet.open(nezha, "far.test", trust) as puppet:
                await puppet.client.send(puppet.hello())
                assert await puppet.client.eof()
            assert origin.connections == 0


async def test_a_splice_that_leads_back_to_nezha_is_refused(tmp_path: Path) -> None:
    async with Origin() as origin:
        async with running(tmp_path, web(origin)) as nezha:
            port = nezha.port
        route = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": f"https://127.0.0.1:{port}"}
        async with running(tmp_path, route, listen=f"127.0.0.1:{port}") as nezha:
            trust = nezha.trust()
            trust.set_alpn_protocols(["h2"])
            async with Puppet.open(nezha, HOST, trust) as puppet:
                await puppet.client.send(puppet.hello())
                assert await puppet.client.eof()
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)
            assert nezha.metric("nezha_requests_total", outcome="pass") == 1
            assert (await nezha.get("/a")).status == 502


# -- one request after another


async def test_a_connection_is_kept_and_requests_may_be_sent_ahead(tmp_path: Path) -> None:
    async with Origin() as origin:
        for path in "abc":
            origin.serve(f"/{path}", Object(body=path.encode() * 1000, etag=f'"{path}"', cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha:
            for name in (None, HOST):
                async with await nezha.client(name=name) as client:
                    asked = "abcabcc"
                    posts = [request_bytes("POST", "/p", HOST, body=b"x" * n) for n in range(5)]
                    await client.send(b"".join(request_bytes("GET", f"/{n}", HOST) for n in asked) + b"".join(posts))
                    for letter in asked:
                        assert (await client.read_response()).body == letter.encode() * 1000
                    for number in range(5):
                        assert (await client.read_response()).body == b"x" * number


@pytest.mark.parametrize(
    ("version", "connection", "is_kept"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "Close, x", False),
        ("1.1", "keep-alive", True),
        ("1.0", "", False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
        ("1.2", "", True),
    ],
)
async def test_a_connection_is_kept_as_its_client_wants(
    tmp_path: Path, version: str, connection: str, is_kept: bool
) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            line = f"Connection: {connection}\r\n" if connection else ""
            response = await client.exchange(f"GET /a HTTP/{version}\r\nHost: {HOST}\r\n{line}\r\n".encode())
            assert response.body == b"hello"
            if is_kept:
                assert response.get("connection") == ("keep-alive" if version == "1.0" else None)
                assert (await client.exchange(GET)).body == b"hello"
            else:
                assert response.get("connection") == "close"
                assert await client.eof()
                assert not client.is_reset


async def test_what_follows_the_last_request_is_not_answered(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            await client.send(b"GET /a HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n" + GET * 10)
            assert (await client.read_response()).body == b"hello"
            assert await client.eof()
            assert not client.is_reset
            assert origin.count() == 1


# -- who may stay


async def test_past_the_limit_a_connection_is_told_to_come_again(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin), connections=1) as nezha:
            async with await nezha.client() as first:
                assert (await first.exchange(GET)).status == 200
                async with await nezha.client() as second:
                    refused = await second.exchange(GET)
                    assert refused.status == 503
                    assert re.fullmatch(r"\d+", refused.get("retry-after") or "")
                    assert refused.get("connection") == "close"
                    assert await second.eof()
                await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 1)
                assert (await first.exchange(GET)).status == 200
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)
            assert (await nezha.get("/a")).status == 200


async def test_past_twice_the_limit_it_is_told_nothing(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), connections=1) as nezha:
        first, second = await nezha.client(), await nezha.client()
        async with first, second:
            assert (await first.exchange(GET)).status == 404
            await second.send(GET[:1])
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 2)
            async with await nezha.client() as third:
                assert await third.eof()
            async with await nezha.client() as fourth:
                assert await fourth.eof()
            assert (await first.exchange(GET)).status == 404  # it was there before them
            await second.send(GET[1:])
            assert (await second.read_response()).status == 503


async def test_a_client_that_has_ended_its_half_still_gets_its_answer(tmp_path: Path) -> None:
    async with Origin() as origin:
        release = asyncio.Event()
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", Fault(hold=release), nth=1)
        async with running(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                await client.send(GET)
                client.send_eof()
                await origin.held()
                release.set()
                assert (await client.read_response()).body == pattern(SIZE)
                assert await client.eof()
            async with await nezha.client() as client:  # now by the pump
                await client.send(GET + GET)
                client.send_eof()
                assert (await client.read_response()).body == pattern(SIZE)
                assert (await client.read_response()).body == pattern(SIZE)
                assert await client.eof()


async def test_a_tls_client_that_has_ended_its_half_still_gets_its_answer(tmp_path: Path) -> None:
    async with Origin() as origin:
        release = asyncio.Event()
        origin.serve("/a", Object(body=b"hello" * 1000, cache_control=FRESH))
        origin.fault("/a", Fault(hold=release), nth=1)
        async with running(tmp_path, web(origin)) as nezha, Puppet.open(nezha, HOST) as puppet:
            await puppet.client.send(puppet.hello())
            await puppet.handshake()
            await puppet.send(GET)
            await origin.held()
            await puppet.notify()  # and no FIN
            release.set()
            assert (await puppet.head()).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await puppet.read(5000) == b"hello" * 1000


@pytest.mark.parametrize("says_so", [True, False], ids=["close_notify", "FIN alone"])
async def test_a_tls_client_that_has_closed_is_not_served_any_more(tmp_path: Path, says_so: bool) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.fault("/a", Fault(hold=asyncio.Event()))
        async with running(tmp_path, web(origin)) as nezha, Puppet.open(nezha, HOST) as puppet:
            await puppet.client.send(puppet.hello())
            await puppet.handshake()
            await puppet.send(request_bytes("GET", "/a", HOST, [("Cookie", "a=b")]))
            await origin.held()
            if says_so:
                await puppet.notify()
            puppet.client.send_eof()
            await origin.gone()
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_an_idle_tls_client_that_closes_is_answered_in_kind(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha, Puppet.open(nezha, HOST) as puppet:
            await puppet.client.send(puppet.hello())
            await puppet.handshake()
            await puppet.send(GET)
            assert (await puppet.head()).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await puppet.read(5) == b"hello"
            await puppet.notify()
            puppet.client.send_eof()
            with pytest.raises(ssl.SSLZeroReturnError):  # close_notify: where TLS is cut off this is another error
                await puppet.read(1)
            assert await puppet.client.eof()
            assert not puppet.client.is_reset


async def _ends(client: RawClient) -> None:
    with pytest.raises(Truncated):
        await client.read(1 << 20)


async def test_who_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nezha.proxy.arrivals.HEAD_SECONDS", 0.05)
    monkeypatch.setattr("nezha.proxy.listener.HEAD_SECONDS", 0.05)
    monkeypatch.setattr("nezha.proxy.listener.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("nezha.proxy.listener._SWEEP_SECONDS", 0.02)
    release = asyncio.Event()
    async with Origin() as origin:
        origin.serve("*", Object(body=b"hello"))
        origin.fault("/slow", Fault(hold=release))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as running_one:
            await running_one.send(request_bytes("GET", "/slow", HOST))
            await origin.held()
            async with await nezha.client() as client:
                await _ends(client)  # not a byte
            async with await nezha.client() as client:
                await client.send(b"\x16\x03\x01")
                await _ends(client)  # not a hello
            async with Puppet.open(nezha, HOST) as puppet:
                await puppet.client.send(puppet.hello())
                await _ends(puppet.client)  # no handshake
            async with await nezha.client() as client:
                await client.send(GET[:20])
                await _ends(client)  # not a head
            for name in (None, HOST):
                async with await nezha.client(name=name) as client:
                    assert (await client.exchange(GET)).body == b"hello"
                    assert await client.eof()  # nothing more
                    assert not client.is_reset
            release.set()  # all that while a request was running: nobody gave up on it
            assert (await running_one.read_response()).body == b"hello"
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


async def test_an_idle_client_that_takes_nothing_is_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nezha.proxy.listener.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("nezha.proxy.listener._SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(Connection, "stall_seconds", 0.1)
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(50_000), cache_control=FRESH))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: it is a ReadTransport
            client.writer.write(GET * 400)  # 20 MB of answers
            await origin.arrived(1)
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)


@pytest.mark.parametrize("framing", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
async def test_a_body_that_nobody_wants_is_not_waited_for_for_ever(
    tmp_path: Path, framing: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "linger_seconds", 0.1)
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        for _ in range(2):  # one that comes
            await client.send(request_bytes("POST", "/a", "other.test", [("Content-Length", "5")]) + b"hello")
            assert (await client.read_response("POST")).status == 421
        await client.send(request_bytes("POST", "/a", "other.test", [framing]))
        assert (await client.read_response("POST")).status == 421
        assert await client.eof()
        assert not client.is_reset
