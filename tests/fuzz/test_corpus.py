"""Every input that fuzzing has kept, or that was once wrong, is taken well; `tests/real/test_fuzzing.py` fuzzes on."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_has_a_corpus_and_stands_nothing_at_all(target: str) -> None:
    assert any(path.parent.name == target for path in INPUTS)
    TARGETS[target](b"")


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_of_the_corpus_is_taken_well(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())
