"""The hot tier: what it keeps, what it lets go, and what it must not."""

import random

import pytest

from nezha.model import Extent, Fields
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Body, Hot, Stored
from tests.store.parts import entry

ONE = Stored(entry("k", 1), Body([], is_current=True)).memory_bytes + 1000  # an object with its key, roughly


def stored(key: str = "web//a", extents: int = 0, inline: int = 0) -> Stored:
    made = Stored(entry(key, 10), Body([], is_current=True))
    for number in range(extents):
        made.body.add(StoredExtent(Extent(10 * number, 10 * number + 10), (1,), "path", None))
    if inline:
        made.body.add(StoredExtent(Extent(1 << 30, (1 << 30) + inline), (1,), "", bytes(inline)))
    return made


def test_the_least_recently_used_leaves_first() -> None:
    hot = Hot(3 * ONE)
    for key in ("a", "b", "c"):
        hot.put(key, [stored(key)])
    hot.get("a")
    hot.peek("b")  # does not count
    for key in ("d", "e", "f"):
        hot.put(key, [stored(key)])
        if hot.peek("b") is None:
            break
    assert hot.peek("b") is None
    assert hot.peek("a") is not None


def test_the_limit_holds_whatever_comes() -> None:
    hot = Hot(100_000)
    rng = random.Random(1)
    for number in range(2000):
        hot.put(f"k{rng.randrange(500)}", [stored(extents=rng.randrange(20), inline=rng.choice([0, 0, 5000]))])
        if number % 3 == 0:
            hot.get(f"k{rng.randrange(500)}")
        if number % 7 == 0:
            hot.forget(f"k{rng.randrange(500)}")
        assert hot.used_bytes <= 100_000


def test_a_larger_entry_costs_more() -> None:
    small = stored()
    large = Stored(entry("k", 1), Body([], is_current=True))
    large.entry = entry("k", 1)
    object.__setattr__(large.entry, "fields", Fields([("X-Large", 60_000 * "x")]))
    assert large.memory_bytes > small.memory_bytes + 59_000
    assert stored(inline=30_000).body.memory_bytes >= small.body.memory_bytes + 30_000
    assert stored(extents=1000).body.memory_bytes >= small.body.memory_bytes + 400_000


def test_what_is_leased_stays_even_beyond_the_limit() -> None:
    hot = Hot(2 * ONE)
    leased = [stored(f"l{number}") for number in range(20)]
    for version in leased:
        version.body.leases = 1
        hot.put(version.entry.key, [version])
    for number in range(50):
        hot.put(f"k{number}", [stored()])
    assert all(hot.peek(version.entry.key) == [version] for version in leased)
    for version in leased:
        version.body.leases = 0
    hot.put("last", [stored()])
    assert hot.used_bytes <= 2 * ONE


def test_a_tier_without_bytes_keeps_what_was_put_last() -> None:
    hot = Hot(0)
    hot.put("a", [stored()])
    assert hot.peek("a") is not None
    hot.put("b", [stored()])
    assert hot.peek("a") is None


def test_that_nothing_is_stored_is_kept_too() -> None:
    hot = Hot(ONE)
    hot.put("a", [])
    assert hot.get("a") == []
    assert hot.get("b") is None
    for number in range(1000):
        hot.put(f"none-{number}", [])
    assert hot.used_bytes <= ONE


def test_putting_again_counts_what_has_grown() -> None:
    hot = Hot(1 << 20)
    version = stored()
    hot.put("a", [version])
    before = hot.used_bytes
    version.body.add(StoredExtent(Extent(0, 20_000), (1,), "", bytes(20_000)))
    hot.put("a", [version])
    assert hot.used_bytes >= before + 20_000
    hot.forget("a")
    hot.forget("a")
    assert hot.used_bytes == 0


# -- the live form of a version


def test_extents_are_found_by_position() -> None:
    version = stored()
    for start, stop in [(20, 30), (0, 10), (10, 15)]:
        version.body.add(StoredExtent(Extent(start, stop), (1,)))
    assert version.body.intervals(Extent(0, 30)) == [Extent(0, 10), Extent(10, 15), Extent(20, 30)]
    assert version.body.intervals(Extent(12, 20)) == [Extent(10, 15)]
    assert version.body.intervals(Extent(14, 21)) == [Extent(10, 15), Extent(20, 30)]
    assert version.body.intervals(Extent(30, 40)) == [Extent(20, 30)]  # it may hold one of them; a caller looks
    found = [version.body.at(position) for position in (0, 9, 10, 14, 15, 19, 20, 29, 30)]
    starts = [None if each is None else each.extent.start for each in found]
    assert starts == [0, 0, 10, 10, None, None, 20, 20, None]
    assert [version.body.next_start(position) for position in (0, 9, 10, 15, 20, 30)] == [10, 10, 20, 20, None, None]


@pytest.mark.parametrize(
    ("start", "stop", "overlaps"),
    [(0, 10, False), (0, 11, True), (12, 13, True), (19, 25, True), (20, 30, False), (29, 31, True), (40, 99, False)],
)
def test_an_overlap_is_seen(start: int, stop: int, overlaps: bool) -> None:
    version = stored()
    for extent in (Extent(10, 20), Extent(30, 40)):
        version.body.add(StoredExtent(extent, (1,)))
    assert version.body.overlaps(Extent(start, stop)) is overlaps


def test_only_the_very_extent_is_taken_out() -> None:
    version = stored()
    mine, same = StoredExtent(Extent(0, 10), (1,)), StoredExtent(Extent(0, 10), (1,))
    version.body.add(mine)
    version.body.verified.add(0)
    assert not version.body.discard(same)
    assert version.body.discard(mine)
    assert not version.body.discard(mine)
    assert (version.body.stored_bytes, version.body.verified) == (0, set())
