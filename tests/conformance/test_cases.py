"""Every case holds, against a `nezha serve` of its own process."""

import asyncio
from collections import Counter

import pytest

from tests.conformance.case import Case
from tests.conformance.cases import CASES
from tests.conformance.play import HOSTS, play

pytestmark = pytest.mark.timeout(600)  # the first of them waits for all


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All cases are played at once; what was not as it must be, by id."""
    return asyncio.run(play(tmp_path_factory.mktemp("conformance"), CASES))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_case_holds(case: Case, failures: dict[str, str]) -> None:
    assert case.id not in failures, f"RFC {case.section}: {case.rule}: {failures[case.id]}"


def test_each_case_is_named_once_and_on_a_known_host() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
    assert {case.host for case in CASES} <= HOSTS.keys()
