"""What TLS clients read over and over comes from memory: the same bytes, never those that are no more to be given."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nezha.proxy import wire
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient, Response, request_bytes
from tests.running import HOST, Running, running, web

SIZE = 5_000_000
SLICE = 1 << 20


def an_object(phase: int, etag: str) -> Object:
    return Object(body=Pattern(SIZE, phase), etag=etag, cache_control="max-age=3600")


def damage(directory: Path) -> None:
    """Turns every byte of every stored extent, where it lies."""
    files = [file for file in directory.rglob("*") if file.is_file() and file.stat().st_size in {SLICE, SIZE % SLICE}]
    assert len(files) == -(-SIZE // SLICE)
    for file in files:
        file.write_bytes(bytes(255 - byte for byte in file.read_bytes()))


async def get(nezha: Running) -> Response:
    """One read over TLS, on a connection of its own."""
    async with await nezha.client(name=HOST) as client:
        return await client.get("/x", HOST)


async def heat(nezha: Running, client: RawClient) -> None:
    """Reads until all of it is in memory."""
    await client.get("/x", HOST)
    await nezha.quiet()
    for _ in range(2):
        await client.get("/x", HOST)
    assert nezha.metric("nezha_hot_bytes") > SIZE


@pytest.fixture
def patterns() -> tuple[bytes, bytes]:
    return pattern(SIZE, 1), pattern(SIZE, 2)


async def test_hot_bytes_are_not_read_from_the_disk(tmp_path: Path, patterns: tuple[bytes, bytes]) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE) as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        async with await nezha.client(name=HOST) as client:
            await heat(nezha, client)
            asked = len(origin.requests)
            await asyncio.to_thread(damage, tmp_path)
            assert (await client.get("/x", HOST)).body == patterns[0]
            some = random.Random(5)
            for _ in range(40):
                start, stop = sorted(some.sample(range(SIZE), 2))
                answer = await client.get("/x", HOST, [("Range", f"bytes={start}-{stop - 1}")])
                assert answer.body == patterns[0][start:stop]
        assert len(origin.requests) == asked


async def test_plain_bytes_stay_where_the_kernel_has_them(tmp_path: Path, patterns: tuple[bytes, bytes]) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE) as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        for _ in range(4):
            assert (await nezha.get("/x")).body == patterns[0]
            await nezha.quiet()
        assert nezha.metric("nezha_hot_bytes") < SIZE


async def test_damage_that_is_seen_on_the_way_into_memory_is_mended(
    tmp_path: Path, patterns: tuple[bytes, bytes]
) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE, verify="never") as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        for _ in range(2):  # the first fills, the second is what another is told apart by
            await get(nezha)
            await nezha.quiet()
        await asyncio.to_thread(damage, tmp_path)
        assert (await get(nezha)).body == patterns[0]
        assert nezha.metric("nezha_corrupt_extents_total") == -(-SIZE // SLICE)


async def test_another_version_is_never_given_the_bytes_of_the_last(
    tmp_path: Path, patterns: tuple[bytes, bytes]
) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE) as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        async with await nezha.client(name=HOST) as client:
            await heat(nezha, client)
            origin.serve("/x", an_object(2, '"2"'))
            assert (await client.get("/x", HOST, [("Cache-Control", "no-cache")])).body == patterns[1]
            await nezha.until(lambda: nezha.metric("nezha_hot_bytes") < SIZE)  # nothing of the first is left
            await heat(nezha, client)
            assert (await client.get("/x", HOST)).body == patterns[1]


async def test_who_wants_every_read_verified_has_the_disk_read(tmp_path: Path, patterns: tuple[bytes, bytes]) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE, verify="always") as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        for _ in range(3):
            await get(nezha)
        assert nezha.metric("nezha_hot_bytes") < SIZE
        await nezha.quiet()
        await asyncio.to_thread(damage, tmp_path)
        assert (await get(nezha)).body == patterns[0]
        assert nezha.metric("nezha_corrupt_extents_total") > 0


async def test_clients_that_stop_in_the_middle_hold_little_and_lose_nothing(tmp_path: Path) -> None:
    """More of them than may have much pending; some go on, the others leave."""
    size, clients = 24_000_000, 12
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("/x", Object(body=Pattern(size, 3), etag='"1"', cache_control="max-age=3600"))
        for _ in range(3):
            await get(nezha)
            await nezha.quiet()
        assert nezha.metric("nezha_hot_bytes") > size
        async with AsyncExitStack() as stack:
            opened = [await nezha.client(name=HOST) for _ in range(clients)]
            entered = [await stack.enter_async_context(client) for client in opened]
            heads = []
            for client in entered:
                await client.send(request_bytes("GET", "/x", HOST))
                heads.append(await client.read_head())
            stays, leaves = entered[: clients // 2], entered[clients // 2 :]
            for client in leaves:
                await client.close()
            bodies = await asyncio.gather(
                *(client.read_body(head) for client, head in zip(stays, heads[: clients // 2], strict=True))
            )
            assert all(body == pattern(size, 3) for body in bodies)
        await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)
        assert [wire._large.acquire(blocking=False) for _ in range(9)] == [True] * 8 + [False]
        wire._large.release(8)


async def test_a_tier_without_room_takes_no_bytes(tmp_path: Path, patterns: tuple[bytes, bytes]) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE, memory=SLICE // 2) as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        for _ in range(4):
            assert (await get(nezha)).body == patterns[0]
        assert nezha.metric("nezha_hot_bytes") <= SLICE // 2


async def test_who_follows_a_fill_makes_nothing_hot(tmp_path: Path, patterns: tuple[bytes, bytes]) -> None:
    async with Origin() as origin, running(tmp_path, web(origin), slice=SLICE) as nezha:
        origin.serve("/x", an_object(1, '"1"'))
        answers = await asyncio.gather(*(get(nezha) for _ in range(8)))
        assert {answer.body for answer in answers} == {patterns[0]}
        assert nezha.metric("nezha_hot_bytes") < SIZE
