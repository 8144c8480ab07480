"""SIGKILL in the middle of the store's work: no wrong byte, nothing lost but what was being written, nothing left over.

Each round ends by a kill at a moment of the round's kind; which one of them is drawn from a seed that is printed
(`NEZHA_TEST_SEED` repeats it). The next process finds the directory as the last one left it.
"""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern
from tests.origin import Origin
from tests.rawclient import Truncated, request_bytes
from tests.running import HOST, web
from tests.serving import Serving, serving
from tests.store.moments import moments
from tests.store.parts import OnDisk, database, locked, sound

SLICE = 128 << 10
SLICES = 24
SIZE = SLICES * SLICE
FRESH = "max-age=3600"
CACHE = {"slice": SLICE, "buffers": 64 * SLICE}


@pytest.fixture
def dice() -> random.Random:
    """Chooses the moments."""
    seed = os.environ.get("NEZHA_TEST_SEED") or secrets.token_hex(4)
    print(f"NEZHA_TEST_SEED={seed}")
    return random.Random(seed)


class Lives:
    """One directory and the processes that use it, one after the other."""

    def __init__(self, directory: Path, origin: Origin, **cache: Any) -> None:
        self.directory = directory
        self.origin = origin
        self.cache = CACHE | cache

    @property
    def store(self) -> Path:
        return self.directory / "cache"

    @asynccontextmanager
    async def next(self) -> AsyncIterator[Serving]:
        """One more process; one lane a fill, so that every byte is asked for once."""
        async with serving(self.directory, web(self.origin, parallel=1), cache=self.cache) as nezha:
            yield nezha

    async def read(self, nezha: Serving, path: str) -> int:
        """Reads an object, which must be the origin's; how many of its bytes the origin was asked for."""
        before = self.origin.bytes_sent
        async with await nezha.client() as client:
            response = await client.get(path, HOST)
        body = self.origin.objects[path].body
        assert response.status == 200
        assert response.body == (body if isinstance(body, bytes) else body.read(0, len(body)))
        return self.origin.bytes_sent - before

    async def settled(self, nezha: Serving) -> OnDisk:
        """What is on the disk once nothing is under way, and what earlier processes left has gone."""
        async with asyncio.timeout(10):
            while await nezha.metric("nezha_fills_running"):  # each look is an exchange with the process
                pass
            while True:
                with suppress(AssertionError):
                    found = await asyncio.to_thread(sound, self.store)
                    if await nezha.metric("nezha_store_bytes") == found.body_bytes:
                        assert await nezha.metric("nezha_store_objects") == found.objects
                        return found
                await asyncio.sleep(0.005)  # the sweep tells nobody that it is done

    async def kept_bytes(self) -> int:
        """How many bytes of bodies have a row."""
        return await asyncio.to_thread(_kept_bytes, self.store)


def _kept_bytes(directory: Path) -> int:
    with database(directory) as connection:
        ((total,),) = connection.execute("SELECT total(size) FROM Cache WHERE key LIKE 'x/%' AND raw = 1").fetchall()
    return int(total)


async def until_killed(lives: Lives, nezha: Serving, *paths: str) -> None:
    """Reads objects, all at once; a process that was too quick for the chosen moment is killed at rest."""

    async def read(path: str) -> None:
        async with await nezha.client() as client:
            await client.get(path, HOST)

    for outcome in await asyncio.gather(*map(read, paths), return_exceptions=True):
        assert outcome is None or isinstance(outcome, OSError | Truncated)
    with suppress(OSError, Truncated):
        await lives.settled(nezha)
    await killed(nezha)


async def killed(nezha: Serving) -> None:
    with suppress(ProcessLookupError):
        nezha.process.kill()
    assert await nezha.end() == -signal.SIGKILL
    assert nezha.errors == ""


# -- fills


async def at_a_moment(kind: str, lives: Lives, nezha: Serving, path: str, dice: random.Random) -> int:
    """Kills at the nth of what the store does; how many slices must have been kept."""
    async with moments(lives.store) as watched:
        watched.at(kind, dice.randint(1, SLICES), nezha.process.kill)
        await until_killed(lives, nezha, path)
        return max(0, watched.seen["renamed"] - 1)


async def at_a_byte_of_the_client(lives: Lives, nezha: Serving, path: str, dice: random.Random) -> int:
    """Kills when the client has been sent so many bytes."""
    async with await nezha.client() as client:
        await client.send(request_bytes("GET", path, HOST))
        await client.read_head()
        await client.read(dice.randrange(SIZE))
        await killed(nezha)
    return 0


async def at_a_byte_of_the_origin(lives: Lives, nezha: Serving, path: str, dice: random.Random) -> int:
    """Kills when the origin has sent so many bytes, and every whole slice of them could be stored."""
    come = dice.randrange(SIZE)
    lives.origin.fault(path, Fault(hold=asyncio.Event(), hold_after=come), nth=1)
    whole = come // SLICE
    goal = await lives.kept_bytes() + whole * SLICE
    async with await nezha.client() as client, asyncio.timeout(10):
        await client.send(request_bytes("GET", path, HOST))
        await lives.origin.held()  # a fault that has not happened would befall the next process
        while await nezha.metric("nezha_store_bytes") < goal:  # each look is an exchange with the process
            pass
        await killed(nezha)
    return whole


Round = Callable[[Lives, Serving, str, random.Random], Any]


def at(kind: str) -> Round:
    return lambda *round_: at_a_moment(kind, *round_)


ROUNDS: dict[str, Round] = {
    "staged": at("staged"),
    "renamed": at("renamed"),
    "logged": at("logged"),
    "client": at_a_byte_of_the_client,
    "origin": at_a_byte_of_the_origin,
}


async def test_a_fill_that_is_killed_loses_only_what_was_being_written(tmp_path: Path, dice: random.Random) -> None:
    rounds = list(ROUNDS.items())
    dice.shuffle(rounds)
    async with Origin() as origin:
        lives = Lives(tmp_path, origin)
        last, kept = "", 0
        for number, (name, kill) in enumerate(rounds):
            async with lives.next() as nezha:
                if last:
                    assert await lives.read(nezha, last) == SIZE - kept
                assert [await lives.read(nezha, path) for path in origin.objects] == [0] * number
                assert (await lives.settled(nezha)).body_bytes == number * SIZE
                last = f"/{name}"
                origin.serve(last, Object(body=Pattern(SIZE, number), cache_control=FRESH))
                least = await kill(lives, nezha, last, dice)
            kept = await lives.kept_bytes() - number * SIZE
            assert least * SLICE <= kept <= SIZE
        async with lives.next() as nezha:
            assert await lives.read(nezha, last) == SIZE - kept
            assert (await lives.settled(nezha)).body_bytes == len(rounds) * SIZE


async def test_several_fills_are_killed_at_once(tmp_path: Path, dice: random.Random) -> None:
    async with Origin() as origin:
        lives = Lives(tmp_path, origin)
        for number in range(4):
            origin.serve(f"/{number}", Object(body=Pattern(SIZE + number, number), cache_control=FRESH))
        origin.serve("/small", Object(body=Pattern(500, 9), cache_control=FRESH))
        origin.serve("/whole", Object(body=Pattern(SIZE, 8), etag=None, cache_control=FRESH, framing="chunked"))
        sizes = {path: len(each.body) for path, each in origin.objects.items()}
        async with lives.next() as nezha, moments(lives.store) as watched:
            watched.at("written", dice.randint(1, 3 * SLICES), nezha.process.kill)
            await until_killed(lives, nezha, *sizes)
        async with lives.next() as nezha:
            kept = await lives.kept_bytes()
            asked = sum([await lives.read(nezha, path) for path in sizes])
            on_disk = await lives.settled(nezha)
            assert (on_disk.objects, on_disk.body_bytes) == (len(sizes), sum(sizes.values()))
            assert asked <= sum(sizes.values()) - kept + sizes["/whole"]  # of which part is nothing
            assert [await lives.read(nezha, path) for path in sizes] == [0] * len(sizes)


# -- what is replaced, and what goes


async def test_a_version_that_is_being_replaced(tmp_path: Path, dice: random.Random) -> None:
    async with Origin() as origin:
        lives = Lives(tmp_path, origin)
        found = origin.serve("/a", Object(body=Pattern(SIZE)))
        for number, kind in enumerate(("renamed", "removed"), 1):
            async with lives.next() as nezha:
                await lives.read(nezha, "/a")
                assert (await lives.settled(nezha)).body_bytes == len(found.body)
                found.body, found.etag = Pattern(SIZE - number, number), f'"{number}"'
                async with moments(lives.store) as watched:
                    watched.at(kind, dice.randint(1, SLICES // 2), nezha.process.kill)
                    await until_killed(lives, nezha, "/a")
        async with lives.next() as nezha:
            await lives.read(nezha, "/a")
            assert (await lives.settled(nezha)).body_bytes == len(found.body)
            assert await lives.read(nezha, "/a") == 0


async def test_what_was_overwritten_does_not_come_back(tmp_path: Path) -> None:
    """Killed as soon as the origin is asked to write, while the index could not be written shortly before."""
    async with Origin() as origin:
        lives = Lives(tmp_path, origin)
        found = origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with lives.next() as nezha:
            await lives.read(nezha, "/a")
            await lives.settled(nezha)
            found.body, found.etag = b"overwritten", '"2"'
            origin.on_each = lambda request: nezha.process.kill() if request.method == "PUT" else None
            async with await nezha.client() as client:
                async with locked(lives.store):
                    await client.send(request_bytes("PUT", "/a", HOST, body=b"overwritten"))
                    with suppress(OSError, Truncated):  # where it is killed already
                        for _ in range(20):
                            await nezha.metric("nezha_store_objects")
                with suppress(OSError, Truncated):
                    await client.read_response("PUT")
            assert origin.count("PUT") == 1
            await killed(nezha)
        async with lives.next() as nezha:
            await lives.read(nezha, "/a")
            assert (await lives.settled(nezha)).body_bytes == len(b"overwritten")


async def test_objects_that_are_being_evicted(tmp_path: Path, dice: random.Random) -> None:
    size = 5 * SIZE
    moment = {"removed": dice.randint(1, SLICES), "renamed": SLICES + dice.randint(1, SLICES)}
    async with Origin() as origin:
        lives = Lives(tmp_path, origin, size=size)
        for number in range(7):
            origin.serve(f"/{number}", Object(body=Pattern(SIZE, number), cache_control=FRESH))
        for kind, number in moment.items():
            async with lives.next() as nezha:
                for path in ("/0", "/1", "/2", "/3"):
                    await lives.read(nezha, path)
                assert (await lives.settled(nezha)).body_bytes <= size
                async with moments(lives.store) as watched:
                    watched.at(kind, number, nezha.process.kill)
                    await until_killed(lives, nezha, "/4", "/5", "/6")
        async with lives.next() as nezha:
            for path in origin.objects:
                await lives.read(nezha, path)
                assert (await lives.settled(nezha)).body_bytes <= size
