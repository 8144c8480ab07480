"""The random model, as every run of the tests has it: a few thousand steps on a seed of its own, which is printed."""

import os
import secrets
from pathlib import Path

import pytest

from tests.soak.model import Model

STEPS = int(os.environ.get("NEZHA_SOAK_STEPS", "5000"))


@pytest.mark.timeout(600)
async def test_no_answer_says_what_the_origin_had_not_allowed(tmp_path: Path) -> None:
    seed = int(os.environ.get("NEZHA_SOAK_SEED") or secrets.randbits(32))
    print(f"seed {seed}: NEZHA_SOAK_SEED={seed} repeats it")
    model = Model(tmp_path, seed)
    await model.run(STEPS)
    assert model.answers["200"] > STEPS / 10  # it has done something
