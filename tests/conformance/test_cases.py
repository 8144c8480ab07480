"""Every case holds, against a `nezha serve` of its own process."""

import asyncio
from collections import Counter

import pytest
import uvloop

from tests.conformance.cases import CASES
from tests.conformance.play import HOSTS, play


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All cases are played at once; what was not as it must be, by id."""
    directory = tmp_path_factory.mktemp("conformance")
    return asyncio.run(play(directory, CASES), loop_factory=uvloop.new_event_loop) if False else _run(directory)


def _run(directory) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return asyncio.run(play(directory, CASES))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_case_holds(case, failures: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    assert case.id not in failures, f"RFC {case.section}: {case.rule}: {failures[case.id]}"


def test_each_case_is_named_once_and_on_a_known_host() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
    assert {case.host for case in CASES} <= HOSTS.keys()
