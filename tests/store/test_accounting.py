"""`nezha_store_bytes` and `nezha_store_objects` are what is on the disk, whatever was done and in whichever order."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nezha.errors import ExtentCorrupt, StoreError
from nezha.model import Extent
from nezha.store.hot import Stored
from tests.store.parts import SLICE, Opened, body, entry, opened, sound

KEYS = [f"web//{number}" for number in range(12)]
SIZES = [1, 500, 31_000, SLICE, SLICE + 1, 3 * SLICE]


class Players:
    """Several at once, each doing one thing after the other to a few keys, and what every version must hold."""

    def __init__(self, store: Opened, rng: random.Random) -> None:
        self.store = store
        self.rng = rng
        self.seeds: dict[str, int] = {}  # by version

    async def play(self, turns: int) -> None:
        for _ in range(turns):
            moves: list[Callable[[str], Awaitable[None]]] = [
                self.store_new, self.store_new, self.store_new, self.store_variant, self.give_up, self.read, self.read,
                self.drop, self.drop_extent, self.freshen,
            ]  # fmt: skip
            await self.rng.choice(moves)(self.rng.choice(KEYS))

    def content(self, stored: Stored, size: int) -> bytes:
        return body(size, self.seeds.setdefault(stored.entry.version, len(self.seeds) % 50))

    async def fill(self, stored: Stored, size: int) -> None:
        content = self.content(stored, size)
        with self.store.store.lease(stored):
            for start in range(0, size, SLICE):
                extent = Extent(start, min(size, start + SLICE))
                if not stored.body.overlaps(extent):
                    with contextlib.suppress(StoreError):
                        await self.store.store.put(stored, extent, memoryview(content)[slice(*extent)])

    async def store_new(self, key: str) -> None:
        size = self.rng.choice(SIZES)
        made = entry(key, size, f'"{self.rng.randrange(3)}-{size}"')
        await self.fill(await self.store.store.begin(made, is_complete=True), size)

    async def store_variant(self, key: str) -> None:
        size = self.rng.choice(SIZES)
        vary = (("accept", str(self.rng.randrange(12))),)
        made = entry(key, size, f'"{self.rng.randrange(99)}-{size}"', vary)
        await self.fill(await self.store.store.begin(made, is_complete=True), size)

    async def give_up(self, key: str) -> None:
        size = self.rng.choice(SIZES)
        stored = await self.store.store.begin(entry(key, size), is_complete=False)
        with self.store.store.lease(stored):
            await self.fill(stored, size)
            if self.rng.random() < 0.5:
                await self.store.store.complete(stored, replace(stored.entry, size=size))

    async def read(self, key: str) -> None:
        for stored in await self.store.store.lookup(key):
            with self.store.store.lease(stored):
                content = self.content(stored, stored.entry.size)
                for extent in list(stored.body.extents):
                    try:
                        assert await self.store.bytes_in(stored, extent) == content[slice(*extent.extent)]
                    except ExtentCorrupt:
                        assert extent not in stored.body.extents  # another player has dropped it

    async def drop(self, key: str) -> None:
        await self.store.store.remove(key)

    async def drop_extent(self, key: str) -> None:
        for stored in await self.store.store.lookup(key):
            if stored.body.extents:
                self.store.store.drop_extent(stored, self.rng.choice(stored.body.extents))

    async def freshen(self, key: str) -> None:
        for stored in await self.store.store.lookup(key):
            self.store.store.freshen(stored, replace(stored.entry, answered_at=self.rng.random()))


@pytest.mark.parametrize(
    ("seed", "cache"),
    [
        (1, {}),
        (2, {"memory": 0}),
        (3, {"size": "1MiB"}),
        (4, {"size": "1MiB", "memory": "10KiB", "verify": "always"}),
        (5, {"size": "300KiB", "memory": 0}),
    ],
)
async def test_the_account_is_what_is_on_the_disk(tmp_path: Path, seed: int, cache: dict[str, object]) -> None:
    async with opened(tmp_path, **cache) as store:
        players = Players(store, random.Random(seed))
        await asyncio.gather(*(players.play(40) for _ in range(6)))
        await store.written()
        held = 0
        for key in KEYS:
            held += sum(version.body.stored_bytes for version in await store.store.lookup(key))
        assert store.metric("nezha_store_bytes") == held
        assert store.metric("nezha_store_errors_total", kind="io") == 0
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert on_disk.body_bytes == store.metric("nezha_store_bytes")
    assert on_disk.objects == store.metric("nezha_store_objects")
    async with opened(tmp_path, **cache) as again:
        assert again.metric("nezha_store_bytes") == on_disk.body_bytes
        assert again.metric("nezha_store_objects") == on_disk.objects
        replayed = Players(again, random.Random(seed))
        replayed.seeds = players.seeds
        for key in KEYS:
            await replayed.read(key)
        await replayed.play(30)
    on_disk = await asyncio.to_thread(sound, store.directory)
    assert on_disk.body_bytes == again.metric("nezha_store_bytes")
