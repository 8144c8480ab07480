"""1xx answers of an origin to a read: for whoever asked, and for nobody else (RFC 9110 15.2)."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import Fault, head_bytes
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin, Talk, answer
from tests.rawclient import request_bytes
from tests.running import HOST, running, web
from tests.wire import Headers, Received

SIZE = 1_000_000
HINTS: list[tuple[int, Headers]] = [(103, [("Link", "</a.css>; rel=preload")]), (100, []), (103, [("X-B", "2")])]
STORED: Headers = [("ETag", '"v1"'), ("Cache-Control", "max-age=3600")]
GET = request_bytes("GET", "/a", HOST)


def hinting(*until: asyncio.Event, each: int = 1, link: str = "</a.css>; rel=preload") -> Talk:
    """An origin's answer with `each` hints before each of these events, and the object in the end."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Received) -> None:
        for event in until:
            for _ in range(each):
                writer.write(head_bytes(103, [("Link", link)]))
            await writer.drain()
            await event.wait()
        writer.write(answer(200, STORED, pattern(SIZE)))
        await writer.drain()

    return talk


@pytest.mark.parametrize("name", [None, HOST], ids=["plain", "TLS"])
async def test_the_leader_of_a_miss_gets_them_and_in_time(tmp_path: Path, name: str | None) -> None:
    async with Origin() as origin:
        release = asyncio.Event()
        origin.script("/a", [hinting(release)])
        async with running(tmp_path, web(origin)) as nezha, await nezha.client(name=name) as leader:
            await leader.send(GET)
            hint = await leader.read_head()  # while the origin still makes up its mind
            assert (hint.status, hint.headers) == (103, [("Link", "</a.css>; rel=preload")])
            async with await nezha.client() as follower:
                await follower.send(GET)
                await nezha.joined()
                release.set()
                followed = await follower.read_response()
            led = await leader.read_response()
            assert (led.status, led.interim, led.body) == (200, [], pattern(SIZE))
            assert (followed.status, followed.interim, followed.body) == (200, [], pattern(SIZE))
            assert followed.get("cache-status") == "nezha; fwd=uri-miss; collapsed"
            await nezha.quiet()
            hit = await nezha.get("/a")
            assert (hit.interim, hit.body) == ([], pattern(SIZE))
            assert origin.count() == 1


@pytest.mark.parametrize("more", [[], [("Range", "bytes=10-19")]], ids=["whole", "range"])
async def test_all_of_them_come_unchanged_and_in_order(tmp_path: Path, more: Headers) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        origin.fault("/a", Fault(interim=HINTS))
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
            missed = await client.get("/a", HOST, more)
            assert [(head.status, head.headers) for head in missed.interim] == HINTS
            await nezha.quiet()
            asked = await client.get("/a", HOST, more)  # a 304 releases what is stored
            assert asked.get("cache-status") == "nezha; fwd=stale; fwd-status=304; detail=revalidated"
            assert [(head.status, head.headers) for head in asked.interim] == HINTS
            assert asked.body == missed.body


async def test_http_1_0_never_gets_one(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        origin.fault("/a", Fault(interim=HINTS))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):  # a miss, and what a 304 releases
                async with await nezha.client() as client:
                    await client.send(f"GET /a HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
                    old = await client.read_response()
                    assert (old.status, old.interim, old.body) == (200, [], pattern(SIZE))
                await nezha.quiet()


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "takes nothing"])
async def test_a_leader_takes_nobody_with_it(tmp_path: Path, leaves: bool) -> None:
    """Whether it leaves between two of them, or takes no byte of the many that come."""
    async with Origin() as origin:
        first, second = asyncio.Event(), asyncio.Event()
        many = hinting(first, second, each=3000, link="x" * 5000)  # more than kernels hold for a client
        origin.script("/a", [hinting(first, second) if leaves else many])
        second.set()
        async with running(tmp_path, web(origin)) as nezha, await nezha.client() as leader:
            if not leaves:
                leader.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: it is a ReadTransport
            await leader.send(GET)
            await origin.arrived(1)
            async with await nezha.client() as follower:
                await follower.send(GET)
                await nezha.joined()
                if leaves:
                    leader.abort()
                    await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 1)
                first.set()
                assert (await follower.read_response()).body == pattern(SIZE)
            assert origin.count() == 1


async def test_a_switch_of_protocols_is_no_answer_to_a_read(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.script("/a", [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: close\r\n\r\n"])
        async with running(tmp_path, web(origin)) as nezha:
            refused = await nezha.get("/a")
            assert (refused.status, refused.interim) == (502, [])
