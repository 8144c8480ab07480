"""Requests for one object at the same time: who joins whom, who asks, and what an unsafe one does to them."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient, request_bytes
from tests.running import HOST, Running, running, web

SIZE = 20_000_000
STALE = [("Age", "20")]
SWR = "max-age=10, stale-while-revalidate=3600"
Headers = tuple[tuple[str, str], ...]


async def ask(nezha: Running, path: str = "/a", *headers: tuple[str, str], method: str = "GET") -> RawClient:
    """A client whose request is on its way."""
    client = await nezha.client()
    body = b"x" if method == "POST" else None
    await client.send(request_bytes(method, path, HOST, headers, body))
    return client


async def body_of(client: RawClient) -> bytes:
    async with client:
        return (await client.read_response()).body


@pytest.mark.parametrize("control", ["no-store", "private, max-age=60"])
async def test_who_waited_for_what_is_not_stored_asks_at_once_and_in_parallel(tmp_path: Path, control: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"mine", cache_control=control))
        first, rest = asyncio.Event(), asyncio.Event()
        origin.fault("/a", Fault(hold=first), nth=1)
        origin.fault("/a", Fault(hold=rest), nth=(2, 3, 4))
        async with running(tmp_path, web(origin)) as nezha:
            leader = await ask(nezha)
            await origin.held()
            followers = [await ask(nezha) for _ in range(3)]
            await nezha.joined()
            first.set()
            assert await body_of(leader) == b"mine"
            await origin.held(3)  # none of them waits for another
            rest.set()
            assert [await body_of(follower) for follower in followers] == [b"mine"] * 3
            assert origin.count() == 4


async def test_another_variant_is_asked_for_and_not_joined(tmp_path: Path) -> None:
    async with Origin() as origin:
        found = Object(body=b"english", etag=None, cache_control="max-age=60", headers=[("Vary", "Accept-Language")])
        origin.serve("/a", found)
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=3), nth=1)
        async with running(tmp_path, web(origin)) as nezha:
            english = await ask(nezha, "/a", ("Accept-Language", "en"))
            await origin.held()
            origin.serve("/a", Object(body=b"deutsch", etag=None, cache_control="max-age=60", headers=found.headers))
            assert await body_of(await ask(nezha, "/a", ("Accept-Language", "de"))) == b"deutsch"
            going.set()
            assert await body_of(english) == b"english"


async def test_who_wants_no_old_answer_gets_none_from_a_running_fill(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE, 1), etag='"v1"', cache_control="max-age=60"))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000), nth=1)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            leader = await ask(nezha)
            await origin.held()
            origin.serve("/a", Object(body=b"new", etag='"v2"', cache_control="max-age=60"))
            assert await body_of(await ask(nezha, "/a", ("Cache-Control", "no-cache"))) == b"new"
            going.set()
            assert await body_of(leader) == pattern(SIZE, 1)
            assert await body_of(await ask(nezha)) == b"new"


async def test_a_stale_object_is_checked_once_whoever_comes(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"old", etag='"v1"', cache_control=SWR, headers=STALE))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going), nth=2)
        async with running(tmp_path, web(origin)) as nezha:
            assert await body_of(await ask(nezha)) == b"old"
            await nezha.quiet()
            origin.serve("/a", Object(body=b"new", etag='"v2"', cache_control="max-age=60"))
            assert [await body_of(await ask(nezha)) for _ in range(4)] == [b"old"] * 4
            await origin.held()
            assert origin.count() == 2
            going.set()
            await origin.finished(2)
            await nezha.until(lambda: nezha.metric("nezha_origin_requests_total") == 2)
            await nezha.quiet()
            assert await body_of(await ask(nezha)) == b"new"
            assert origin.count() == 2


async def test_a_check_in_the_background_ends_with_the_server(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"old", cache_control=SWR, headers=STALE))
        origin.fault("/a", Fault(hold=asyncio.Event()), nth=2)
        async with running(tmp_path, web(origin), drain="100ms") as nezha:
            for _ in range(2):
                assert await body_of(await ask(nezha)) == b"old"
            await origin.held()


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
async def test_what_a_fill_brings_is_not_stored_past_an_unsafe_request(tmp_path: Path, etag: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE, 1), etag=etag, cache_control="max-age=60"))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000), nth=1)
        origin.script("/post", [b"HTTP/1.1 201 Created\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"])
        async with running(tmp_path, web(origin)) as nezha:
            leader = await ask(nezha)
            await origin.held()
            await body_of(await ask(nezha, "/post", method="POST"))
            going.set()
            assert await body_of(leader) == pattern(SIZE, 1)
            await nezha.quiet()
            origin.serve("/a", Object(body=b"new", etag='"v2"', cache_control="max-age=60"))
            assert await body_of(await ask(nezha)) == b"new"


async def test_an_unsafe_request_that_failed_gives_back_what_it_took(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=60"))
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            assert await body_of(await ask(nezha)) == pattern(SIZE)
            await nezha.quiet()
            going = asyncio.Event()
            origin.fault("/a", Fault(status=500, hold=going), when=lambda request: request.method == "POST")
            writer = await ask(nezha, method="POST")
            await origin.held()
            assert nezha.metric("nezha_store_objects") == 0  # what it may have changed is not served meanwhile
            going.set()
            await body_of(writer)
            assert await body_of(await ask(nezha)) == pattern(SIZE)
            assert origin.count("GET") == 1
            await nezha.until(lambda: nezha.metric("nezha_store_objects") == 1)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:  # and a restart finds it
            assert await body_of(await ask(nezha)) == pattern(SIZE)
            assert origin.count("GET") == 1


async def test_a_range_far_ahead_of_a_running_fill_is_asked_for(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=60"))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000), nth=1)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            leader = await ask(nezha)
            await origin.held()
            ahead = await body_of(await ask(nezha, "/a", ("Range", "bytes=16000000-16999999")))
            assert ahead == pattern(SIZE)[16_000_000:17_000_000]
            assert origin.requests[-1].header("if-match") is not None
            going.set()
            assert await body_of(leader) == pattern(SIZE)
            assert origin.count() == 2


async def test_who_may_not_ask_for_a_part_waits_for_the_fill(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=60"))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=1_000_000), nth=1)
        origin.fault("/a", Fault(status=503), nth=2)
        async with running(tmp_path, web(origin, parallel=1)) as nezha:
            leader = await ask(nezha)
            await origin.held()
            ahead = await ask(nezha, "/a", ("Range", "bytes=16000000-16999999"))
            await origin.arrived(2)
            going.set()
            assert await body_of(ahead) == pattern(SIZE)[16_000_000:17_000_000]
            assert await body_of(leader) == pattern(SIZE)


@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_the_end_of_a_body_of_unknown_length_is_no_gap(tmp_path: Path, body: bytes) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=body, etag=None, cache_control="max-age=60", framing="chunked"))
        going = asyncio.Event()
        origin.fault("/a", Fault(hold=going, hold_after=0), nth=1)
        async with running(tmp_path, web(origin)) as nezha:
            clients = [await ask(nezha)]
            await origin.held()
            clients.append(await ask(nezha))
            going.set()
            assert [await body_of(client) for client in clients] == [body, body]
