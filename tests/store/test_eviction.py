"""Which objects go when room is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.store.eviction import Candidate, choose

OLD, MIDDLE, NEW = Candidate("old", 10, 1.0), Candidate("middle", 20, 2.0), Candidate("new", 30, 3.0)
CANDIDATES = st.lists(
    st.builds(Candidate, st.text(max_size=3), st.integers(0, 100), st.floats(0, 1e9)), max_size=12, unique=True
)


@pytest.mark.parametrize(
    ("needed_bytes", "chosen"),
    [
        (-5, []),
        (0, []),
        (1, [OLD]),
        (10, [OLD]),
        (11, [OLD, MIDDLE]),
        (30, [OLD, MIDDLE]),
        (31, [OLD, MIDDLE, NEW]),
        (1000, [OLD, MIDDLE, NEW]),
    ],
)
def test_the_longest_unused_go_first_until_there_is_room(needed_bytes: int, chosen: list[Candidate]) -> None:
    assert choose([NEW, OLD, MIDDLE], needed_bytes) == chosen


def test_of_nothing_nothing_is_chosen() -> None:
    assert choose([], 5) == []


def test_candidates_may_come_one_by_one() -> None:
    assert choose(iter([MIDDLE, OLD]), 1) == [OLD]


@given(CANDIDATES, st.integers(-10, 1500))
def test_enough_goes_and_never_one_object_more(candidates: list[Candidate], needed_bytes: int) -> None:
    chosen = choose(candidates, needed_bytes)
    assert sum(each.body_bytes for each in chosen) >= min(needed_bytes, sum(each.body_bytes for each in candidates))
    if chosen:
        assert sum(each.body_bytes for each in chosen[:-1]) < needed_bytes
    kept = [each for each in candidates if each not in chosen]
    assert all(gone.last_use <= stays.last_use for gone in chosen for stays in kept)
