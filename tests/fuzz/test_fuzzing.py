"""Coverage-guided fuzzing of the parsers that see hostile bytes, for some seconds each, from the kept corpus on.

What fails is shown as base64: put it into `tests/fuzz/corpus/TARGET/` under a name that says what it is.
"""

import asyncio
import base64
import os
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.test_corpus import CORPUS

SECONDS = int(os.environ.get("NEZHA_FUZZ_SECONDS", "8"))


@pytest.mark.real
@pytest.mark.timeout(SECONDS * 5 + 120)
@pytest.mark.parametrize("target", TARGETS)
async def test_no_input_breaks_a_parser(tmp_path: Path, target: str) -> None:
    if not os.environ.get("REQUIRE_REAL"):
        pytest.importorskip("atheris", reason="tests/real/install.sh installs it")
    found = tmp_path / "found"
    found.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fuzz", target, str(found), str(CORPUS / target),
        f"-max_total_time={SECONDS}", "-timeout=5", "-max_len=4096", f"-artifact_prefix={tmp_path}/",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    inputs = [base64.b64encode(path.read_bytes()).decode() for path in tmp_path.iterdir() if path.is_file()]
    assert process.returncode == 0, f"{inputs}\n{out.decode(errors='replace')[-6000:]}"
