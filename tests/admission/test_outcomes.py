"""Outcomes are values: equal where they say the same, and nobody can change one."""

import dataclasses

import pytest

from nezha.admission.outcomes import Injected, Outcome, Passed, Stamped, Untouched


@pytest.mark.parametrize(
    ("outcome", "same", "other"),
    [
        (Injected("a", ()), Injected("a", (), ()), Injected("b", ())),
        (Stamped("a", ()), Stamped("a", ()), Injected("a", ())),
        (Untouched("a"), Untouched("a"), Untouched("b")),
        (Passed("unready", "a", ()), Passed("unready", "a", ()), Passed("unsuitable", "a", ())),
    ],
)
def test_outcomes_are_compared_by_what_they_say(outcome: Outcome, same: Outcome, other: Outcome) -> None:
    assert outcome == same
    assert outcome != other
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.__setattr__(dataclasses.fields(outcome)[0].name, "x")
