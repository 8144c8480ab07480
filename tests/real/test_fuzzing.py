"""Coverage-guided fuzzing of the parsers that see hostile bytes, for some seconds each, from the kept corpus on.

What fails is shown as base64: put it into `tests/fuzz/corpus/TARGET/` under a name that says what it is.
"""

import base64
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.real.servers import missing

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
SECONDS = int(os.environ.get("NEZHA_FUZZ_SECONDS", "8"))


@pytest.mark.real
@pytest.mark.timeout(SECONDS * 5 + 120)
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_parser(tmp_path: Path, target: str) -> None:
    if importlib.util.find_spec("atheris") is None:
        missing("atheris is not installed (tests/real/install.sh)")
    found = tmp_path / "found"
    found.mkdir()
    ended = subprocess.run(
        [
            sys.executable, "-m", "tests.fuzz", target, found, CORPUS / target,
            f"-max_total_time={SECONDS}", "-timeout=5", "-max_len=4096", f"-artifact_prefix={tmp_path}/",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    inputs = [base64.b64encode(path.read_bytes()).decode() for path in tmp_path.iterdir() if path.is_file()]
    assert ended.returncode == 0, f"{inputs}\n{ended.stdout[-6000:]}"
