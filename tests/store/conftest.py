"""Small volumes, where a disk is to be full, and an upkeep that does not let a test wait."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Mount = Callable[..., Path]


@pytest.fixture(autouse=True)
def upkeep_looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in the test's own process looks after itself ten times as often."""
    for name in ("_CYCLE_SECONDS", "_BARREN_SECONDS"):
        monkeypatch.setattr(f"nezha.store.upkeep.{name}", 0.1)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts volumes of their own: `mount("64m", "nr_inodes=50")` gives where. Skips where that cannot be had."""
    mounted: list[Path] = []

    def make(size: str, *options: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("a volume of its own needs root to mount it")
        directory = tmp_path / f"volume-{len(mounted)}"
        directory.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "nezha-test", str(directory)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a volume of its own cannot be mounted here")
        mounted.append(directory)
        return directory

    yield make
    for directory in mounted:
        subprocess.run(["umount", "-l", str(directory)], check=True)
