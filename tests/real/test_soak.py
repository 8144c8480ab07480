"""The random model at more length than `make test` has time for."""

from pathlib import Path

import pytest

from tests.soak.model import some_steps


@pytest.mark.timeout(600)
async def test_no_answer_says_what_the_origin_had_not_allowed(tmp_path: Path) -> None:
    await some_steps(tmp_path, 5_000)
