"""Bulk bytes, sent from threads beside the event loop: whole, in order, and without a trace of whoever left.

Each test is one of the traps that prototypes fell into.
"""

import asyncio
import os
import random
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from nezha.proxy.connection import Connection
from nezha.proxy.pump import Piece, Pump
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.proxy.puppet import Puppet
from tests.rawclient import RawClient, Truncated, request_bytes
from tests.running import HOST, Running, running, web

SIZE = 700_000  # small: the head matters
BIG = 24_000_000  # more than the kernel holds for one connection
FRESH = "max-age=3600"
KINDS = pytest.mark.parametrize("name", [None, HOST], ids=["plain", "TLS"])


@pytest.fixture(autouse=True)
def nothing_failed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A client that leaves is no error of ours: it leaves no traceback."""
    yield
    failed = [record for record in caplog.get_records("call") if record.exc_info]
    assert failed == []


@asynccontextmanager
async def stored(directory: Path, **cache: object) -> AsyncIterator[tuple[Running, Origin]]:
    """A Nezha that holds /small and /big."""
    async with Origin() as origin:
        origin.serve("/small", Object(body=Pattern(SIZE, 1), etag='"s"', cache_control=FRESH))
        origin.serve("/big", Object(body=Pattern(BIG, 2), etag='"b"', cache_control=FRESH))
        async with running(directory, web(origin), **cache) as nezha:
            for path in ("/small", "/big"):
                await nezha.get(path)
            await nezha.quiet()
            yield nezha, origin


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def settles(nezha: Running, before: int) -> None:
    """Until no client is left, and no more descriptors are open than before."""
    await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)
    async with asyncio.timeout(10):
        while await asyncio.to_thread(descriptors) > before:
            await some_turns()


async def begin(client: RawClient, path: str = "/big") -> None:
    """Asks, and reads so little that the pump stands with a full socket."""
    await client.send(request_bytes("GET", path, HOST))
    assert (await client.read_head()).status == 200


@KINDS
async def test_many_downloads_at_once_are_each_byte_for_byte_right(tmp_path: Path, name: str | None) -> None:
    small, big = pattern(SIZE, 1), pattern(BIG, 2)
    async with stored(tmp_path) as (nezha, _):
        trust = nezha.trust() if name else None
        random_ranges = random.Random(3)

        async def download(number: int) -> None:
            async with await RawClient.open("127.0.0.1", nezha.port, trust, name, timeout=60) as client:
                for _ in range(2):
                    assert (await client.get("/small", HOST)).body == small
                start = random_ranges.randrange(BIG - 1)
                stop = min(BIG, start + random_ranges.randrange(1, 600_000))
                part = await client.get("/big", HOST, [("Range", f"bytes={start}-{stop - 1}")])
                assert part.body == big[start:stop]
                if number % 20 == 0:
                    assert (await client.get("/big", HOST)).body == big
                await client.send(request_bytes("GET", "/small", HOST) * 2)
                for _ in range(2):
                    assert (await client.read_response()).body == small

        async with asyncio.TaskGroup() as tasks:
            for number in range(60):
                tasks.create_task(download(number))


@KINDS
async def test_what_was_sent_ahead_is_answered_behind_the_bulk(tmp_path: Path, name: str | None) -> None:
    async with stored(tmp_path) as (nezha, _), await nezha.client(name=name) as client:
        asked = ["/big", "/small", "/none", "/big", "/small"]
        await client.send(b"".join(request_bytes("GET", path, HOST) for path in asked[:1]))
        await client.read_head()
        await client.send(b"".join(request_bytes("GET", path, HOST) for path in asked[1:]))  # while the pump sends
        assert await client.read(BIG) == pattern(BIG, 2)
        for path in asked[1:]:
            response = await client.read_response()
            if path == "/none":
                assert response.status == 404
            else:
                assert response.body == (pattern(BIG, 2) if path == "/big" else pattern(SIZE, 1))


@asynccontextmanager
async def accepted() -> AsyncIterator[tuple[Connection, RawClient, Pump]]:
    """A connection as the listener has them, its client's end, and a pump."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[Connection] = loop.create_future()

    class Accept(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection = Connection(client="")
            connection.connection_made(transport)
            connection.transport.set_protocol(connection)
            arrived.set_result(connection)

    server = await loop.create_server(Accept, "127.0.0.1", 0)
    pump = Pump()
    async with server, await RawClient.open(*server.sockets[0].getsockname()) as client:
        connection = await arrived
        try:
            yield connection, client, pump
        finally:
            connection.abort()
            await pump.aclose()


class Opening:
    """A piece of zeros whose opening can be held."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.fd = -1
        self.piece = Piece(self._open, 0, 10)

    def _open(self) -> int:
        self.has_begun.set()
        self.may_end.wait()
        self.fd = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
        return self.fd


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.to_thread(os.getpid)


def overfill(connection: Connection) -> int:
    """Writes more than the kernel takes; how much that was."""
    count = 0
    while not connection.transport.get_write_buffer_size():
        connection.write(bytes(8 << 20))
        count += 8 << 20
    return count


async def test_bulk_waits_for_what_was_written_before_it() -> None:
    # The pump knows only the socket: what the transport still holds, it would overtake.
    async with accepted() as (connection, client, pump):
        before = overfill(connection)
        await some_turns()  # uvloop writes at the end of a turn
        before += overfill(connection)
        opening = Opening()
        opening.may_end.set()
        job = asyncio.create_task(pump.send(connection, b"head", [opening.piece]))
        await some_turns()
        assert not opening.has_begun.is_set()
        assert await client.read(before) == bytes(before)
        await job
        assert await client.read(14) == b"head" + bytes(10)


async def test_who_leaves_while_bulk_waits_is_no_error_of_ours() -> None:
    async with accepted() as (connection, client, pump):
        overfill(connection)
        await some_turns()
        overfill(connection)
        opening = Opening()
        job = asyncio.create_task(pump.send(connection, b"head", [opening.piece]))
        await some_turns()
        client.abort()
        with pytest.raises(ConnectionResetError):
            await job
        assert not opening.has_begun.is_set()


async def test_a_cancelled_job_is_waited_for() -> None:
    # Its thread still uses descriptors that would be closed, and numbers that would be given to others.
    async with accepted() as (connection, _, pump):
        opening = Opening()
        job = asyncio.create_task(pump.send(connection, b"head", [opening.piece]))
        await asyncio.to_thread(opening.has_begun.wait)
        try:
            for _ in range(5):
                job.cancel()
                await some_turns()
                assert not job.done()
        finally:
            opening.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await job
        with pytest.raises(OSError):
            os.fstat(opening.fd)


@KINDS
async def test_slow_readers_hold_no_thread(tmp_path: Path, name: str | None) -> None:
    async with stored(tmp_path) as (nezha, _), AsyncExitStack() as stack:
        slow = [
            await stack.enter_async_context(await nezha.client(name=name)) for _ in range(3 * (os.cpu_count() or 2) + 6)
        ]
        for client in slow:
            await begin(client)
        pumps = [thread for thread in threading.enumerate() if thread.name.startswith("pump")]
        assert len(slow) > len(pumps) > 0
        async with await nezha.client(name=name) as fast:
            assert (await fast.get("/big", HOST)).body == pattern(BIG, 2)
        for client in slow[::5]:
            assert await client.read(BIG) == pattern(BIG, 2)


@KINDS
async def test_who_leaves_in_the_middle_leaves_no_descriptor(tmp_path: Path, name: str | None) -> None:
    async with stored(tmp_path) as (nezha, _):
        trust = nezha.trust() if name else None
        before = await asyncio.to_thread(descriptors)

        async def leave(number: int) -> None:
            async with await RawClient.open("127.0.0.1", nezha.port, trust, name) as client:
                await begin(client)
                await client.read(number * 300_000)
                client.abort() if number % 3 else await client.close()

        async def stay() -> None:
            # Were a descriptor closed too early and used again, their bytes would come here.
            async with await RawClient.open("127.0.0.1", nezha.port, trust, name, timeout=60) as client:
                for _ in range(3):
                    assert (await client.get("/big", HOST)).body == pattern(BIG, 2)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(stay())
            for number in range(30):
                tasks.create_task(leave(number))
        await settles(nezha, before)


async def test_who_leaves_at_once_leaves_no_descriptor_either(tmp_path: Path) -> None:
    async with stored(tmp_path) as (nezha, _):
        before = await asyncio.to_thread(descriptors)
        for number in range(60):
            async with await nezha.client(name=HOST if number % 2 else None) as client:
                client.writer.write(request_bytes("GET", "/big", HOST) * (1 + number % 3))
                await asyncio.sleep(0)
                client.abort()
        await settles(nezha, before)
        assert (await nezha.get("/small")).body == pattern(SIZE, 1)


@KINDS
async def test_a_reader_that_stalls_is_given_up(
    tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nezha.proxy.connection.Connection.stall_seconds", 0.1)
    async with stored(tmp_path) as (nezha, _):
        before = await asyncio.to_thread(descriptors)
        async with await nezha.client(name=name) as client:
            await begin(client)
            await nezha.until(lambda: nezha.metric("nezha_connections", port="cache") == 0)
            with pytest.raises(Truncated) as cut:
                await client.read(BIG)
            assert cut.value.is_reset  # and no end that could be taken for a good one
            assert pattern(BIG, 2).startswith(cut.value.partial)
        await settles(nezha, before)


@KINDS
async def test_a_reader_that_is_only_slow_is_not_given_up(
    tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nezha.proxy.connection.Connection.stall_seconds", 0.2)
    async with stored(tmp_path) as (nezha, _), await nezha.client(name=name) as client:
        await begin(client)
        got = b""
        for _ in range(8):  # too little each time for the socket to count as writable
            await asyncio.sleep(0.1)  # a client's own pace
            got += await client.read(600_000)
        assert got + await client.read(BIG - len(got)) == pattern(BIG, 2)


async def test_close_notify_comes_behind_the_last_whole_record(tmp_path: Path) -> None:
    async with stored(tmp_path) as (nezha, _), Puppet.open(nezha, HOST) as puppet:
        await puppet.client.send(puppet.hello())
        await puppet.handshake()
        await puppet.send(request_bytes("GET", "/big", HOST, [("Connection", "close")]))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await puppet.read(1)
        body = bytearray()
        while len(body) < BIG:
            body += await puppet.read(min(1 << 20, BIG - len(body)))
        assert body == pattern(BIG, 2)
        puppet.incoming.write(await puppet.record())
        assert puppet.tls.read(1) == b""  # close_notify: where TLS is merely cut off this raises SSLWantReadError
        assert await puppet.client.eof()
        assert not puppet.client.is_reset


@KINDS
async def test_draining_lets_a_download_end(tmp_path: Path, name: str | None) -> None:
    async with (
        stored(tmp_path, drain="60s") as (nezha, _),
        await nezha.client(name=name) as client,
        await nezha.client() as idle,
    ):
        await begin(client)
        assert (await idle.get("/none", HOST)).status == 404
        silent = await nezha.client()
        closing = asyncio.create_task(nezha.server.close())
        assert await idle.eof()
        assert not closing.done()
        # Whoever has not heard of it yet is still served, once, and readiness says no.
        async with await nezha.client() as late:
            unready = await late.get("/readyz", "nezha")
            assert unready.status == 503
            assert unready.get("connection") == "close"
        assert await client.read(BIG) == pattern(BIG, 2)
        assert await client.eof()
        assert not client.is_reset
        await closing
        async with silent:
            assert await silent.eof()
        with pytest.raises(OSError):
            await nezha.client()


@KINDS
async def test_draining_waits_only_so_long(tmp_path: Path, name: str | None) -> None:
    async with stored(tmp_path, drain="100ms") as (nezha, _), await nezha.client(name=name) as client:
        before = await asyncio.to_thread(descriptors)
        await begin(client)
        await nezha.server.close()
        assert await asyncio.to_thread(descriptors) < before
        with pytest.raises(Truncated) as cut:
            await client.read(BIG)
        assert cut.value.is_reset


@KINDS
async def test_corrupt_extents_are_fetched_again_in_the_middle_of_a_download(tmp_path: Path, name: str | None) -> None:
    # Bytes of the extent before are encrypted, and for a slow reader not sent yet, when the corrupt one is found.
    options = {"verify": "always", "slice": "1MiB"}
    async with stored(tmp_path, **options) as (nezha, origin), await nezha.client(name=name) as client:
        spoiled = await asyncio.to_thread(_spoil, tmp_path / "cache")
        assert spoiled == 11
        await client.send(request_bytes("GET", "/big", HOST))
        assert (await client.read_head()).status == 200
        got = b""
        while len(got) < BIG:
            got += await client.read(min(600_000, BIG - len(got)))
            await asyncio.sleep(0.02)  # a client's own pace
        assert got == pattern(BIG, 2)
        assert nezha.metric("nezha_corrupt_extents_total") == spoiled
        assert (await client.get("/small", HOST)).body == pattern(SIZE, 1)
        assert origin.count() > 2


def _spoil(directory: Path) -> int:
    """Flips a bit in every second extent of /big."""
    body, count = pattern(BIG, 2), 0
    for path in directory.rglob("*"):
        if path.is_file() and path.stat().st_size == 1 << 20:
            start = body.find(path.read_bytes())  # 3 more for each MiB: that much the pattern lags behind
            if start // 3 % 2:
                with path.open("r+b") as file:
                    file.seek(1_000_000)
                    file.write(bytes([body[start + 1_000_000] ^ 1]))
                count += 1
    return count


@KINDS
async def test_a_file_that_is_cut_under_the_pump_cuts_the_answer(tmp_path: Path, name: str | None) -> None:
    async with stored(tmp_path, slice="32MiB") as (nezha, _), await nezha.client(name=name) as client:
        await begin(client)
        await asyncio.to_thread(_truncate, tmp_path / "cache")
        with pytest.raises(Truncated) as cut:
            await client.read(BIG)
        assert cut.value.is_reset
        assert pattern(BIG, 2).startswith(cut.value.partial)
        await nezha.until(lambda: nezha.metric("nezha_cut_responses_total", reason="store") == 1)


def _truncate(directory: Path) -> None:
    [big] = [path for path in directory.rglob("*") if path.is_file() and path.stat().st_size == BIG]
    os.truncate(big, 20_000_000)  # behind what is on its way: the kernel sends a file's own pages


async def test_two_versions_of_tls_pump_alike(tmp_path: Path) -> None:
    async with stored(tmp_path) as (nezha, _):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trust = nezha.trust()
            trust.minimum_version = trust.maximum_version = version
            async with await RawClient.open("127.0.0.1", nezha.port, trust, HOST) as client:
                for path, body in (("/big", pattern(BIG, 2)), ("/small", pattern(SIZE, 1))) * 2:
                    assert (await client.get(path, HOST)).body == body


async def test_slow_readers_cost_little_memory(tmp_path: Path) -> None:
    async with stored(tmp_path) as (nezha, _), AsyncExitStack() as stack:
        trust = nezha.trust()
        puppets = []
        for _ in range(80):
            client = await stack.enter_async_context(await RawClient.open("127.0.0.1", nezha.port, limit=1024))
            puppets.append(Puppet(trust, HOST, client))
            await client.send(puppets[-1].hello())
            await puppets[-1].handshake()
        before = await asyncio.to_thread(resident)
        for puppet in puppets:
            await puppet.send(request_bytes("GET", "/big", HOST))
        for puppet in puppets:
            assert await puppet.read(15) == b"HTTP/1.1 200 OK"
        async with await nezha.client(name=HOST) as fast:
            for _ in range(3):  # behind it, all have had their turns
                assert (await fast.get("/small", HOST)).body == pattern(SIZE, 1)
        growth = await asyncio.to_thread(resident) - before
        assert growth < len(puppets) * (1200 << 10)  # what is encrypted and not sent, and what OpenSSL keeps


def resident() -> int:
    """Bytes of memory of this process, its clients included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
