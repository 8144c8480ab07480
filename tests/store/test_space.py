"""How much may be stored: the arithmetic, the reserve file, and the claim on a directory."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.settings import Share
from nezha.store.space import Space, claim
from tests.store.conftest import Mount

GIB = 1 << 30


def space(size: int = 10 * GIB, free: int = 50 * GIB, total: int = 100 * GIB, min_free: str = "5%") -> Space:
    share = Share(Decimal(min_free.rstrip("%")), min_free.endswith("%"))
    return Space(Path("/nowhere"), size, share, free_bytes=free, total_bytes=total)


@pytest.mark.parametrize(
    ("made", "used", "more", "is_short"),
    [
        (space(), 0, GIB, False),
        (space(), 10 * GIB, 0, False),
        (space(), 10 * GIB, 1, True),
        (space(), 9 * GIB, GIB, False),
        (space(free=5 * GIB), 0, 0, False),
        (space(free=5 * GIB), 0, 1, True),
        (space(free=5 * GIB - 1), 0, 0, True),
        (space(free=GIB, min_free="0"), 0, GIB // 2, False),
        (space(free=GIB, min_free="0"), 0, GIB, True),  # the index needs some, too
        (space(min_free=str(200 * GIB)), 0, 0, True),
    ],
    ids=range(10),
)
def test_there_is_a_shortage_past_either_limit(made: Space, used: int, more: int, is_short: bool) -> None:
    assert (made.shortage(used, more) > 0) is is_short


def test_what_is_being_written_counts_already() -> None:
    made = space()
    made.coming_bytes = GIB
    assert made.shortage(9 * GIB, 1) == 1


def test_once_there_is_a_shortage_a_twentieth_goes() -> None:
    made = space()
    goal = made.goal(made.shortage(10 * GIB, 1))
    assert made.shortage(10 * GIB - goal) <= -0.05 * 10 * GIB


def test_on_a_volume_smaller_than_the_cache_it_is_a_twentieth_of_the_volume() -> None:
    made = space(size=1000 * GIB, free=0, total=GIB, min_free="0")
    assert made.goal(made.shortage(GIB, 1)) < 0.06 * GIB


@given(st.integers(0, 20 * GIB), st.integers(0, 60 * GIB), st.integers(0, 5 * GIB))
def test_what_the_goal_asks_for_is_enough(used: int, free: int, more: int) -> None:
    made = space(free=free)
    goal = made.goal(made.shortage(used, more))
    made.free_bytes += goal
    assert made.shortage(max(0, used - goal), more) <= 0 or goal > used


def test_a_file_system_that_does_not_say_how_large_it_is_is_not_full() -> None:
    made = Space(Path("/proc"), GIB, Share(Decimal(5), True))
    made.measure()
    assert made.total_bytes == 0
    assert made.shortage(0, GIB // 2) <= 0
    assert made.shortage(GIB, 1) > 0


def test_a_directory_that_is_gone_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Space(tmp_path / "gone", GIB, Share(Decimal(5), True)).measure()


def test_the_reserve_takes_its_bytes_and_gives_them_back(mount: Mount) -> None:
    directory = mount("64m")
    made = Space(directory, GIB, Share(Decimal(0), False))
    made.measure()
    free = made.free_bytes
    assert not made.has_reserve()
    made.keep_reserve()
    assert made.has_reserve()
    made.measure()
    assert free - made.free_bytes >= made.reserve_bytes == 4 << 20
    made.drop_reserve()
    made.drop_reserve()
    made.measure()
    assert made.free_bytes == free
    assert not made.has_reserve()


def test_a_reserve_that_does_not_fit_leaves_nothing(mount: Mount) -> None:
    directory = mount("16m")
    made = Space(directory, GIB, Share(Decimal(0), False))
    made.measure()
    (directory / "other").write_bytes(bytes(made.total_bytes - (512 << 10)))
    with pytest.raises(OSError, match="space"):
        made.keep_reserve()
    assert not (directory / "reserve").exists()


def test_a_directory_is_claimed_by_one_process_at_a_time(tmp_path: Path) -> None:
    first = claim(tmp_path / "cache")
    with pytest.raises(BlockingIOError, match="another process"):
        claim(tmp_path / "cache")
    os.close(first)
    os.close(claim(tmp_path / "cache"))
