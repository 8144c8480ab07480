"""A directory holds all of the new state or all of the old one, whoever comes in between and wherever it crashes."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nezha.errors import Conflict, SettingsError
from nezha.pki.keeper import Keeper
from nezha.pki.shelf import JOURNAL, Directory
from tests.pki.crash import HOSTS, STEPS

ROOT = Path(__file__).parents[2]
NAMES = ("a.key", "a.crt")


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_between_any_two_writes_leaves_the_old_state_or_the_new(tmp_path: Path, step: str) -> None:
    before = []
    if step != "create":
        kept = Keeper(Directory(tmp_path / "before"), HOSTS, 3600.0).open()
        before = [each.serial_number for each in kept.rotation.published]
    run = subprocess.run(
        [sys.executable, "-m", "tests.pki.crash", tmp_path, step], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    found: list[tuple[list[int], bool]] = json.loads(run.stdout)
    assert len(found) > 5, "the operations are no longer seen"
    if step in {"create", "rename"}:  # the next start would do it anyhow, with another serial number
        assert all(len(published) == 1 for published, _ in found)
    else:
        is_new = [published != before for published, _ in found]
        assert is_new == sorted(is_new)
        assert all(new for new, (_, had_journal) in zip(is_new, found, strict=True) if had_journal)
        assert all(len(set(published) - set(before)) == 1 for published, _ in found if published != before)
        assert (is_new[0], is_new[-1]) == (False, True)
    assert {had_journal for _, had_journal in found} == {True, False}
    directory = tmp_path / str(len(found) - 1)
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (0o644 if path.suffix == ".crt" else 0o600), path


def test_what_is_saved_is_loaded_and_removed_is_gone(tmp_path: Path) -> None:
    shelf = Directory(tmp_path / "new" / "tls")
    empty = shelf.load(NAMES)
    assert empty.files == {}
    assert not (tmp_path / "new").exists()  # looking makes nothing
    version = shelf.save({"a.key": b"key", "a.crt": b"crt"}, empty.version)
    assert (shelf.load(NAMES).files, shelf.load(NAMES).version) == ({"a.key": b"key", "a.crt": b"crt"}, version)
    assert stat.S_IMODE((tmp_path / "new" / "tls").stat().st_mode) == 0o700
    shelf.save({"a.key": None, "a.crt": b"crt"}, version)
    assert os.listdir(tmp_path / "new" / "tls") == ["a.crt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    shelf = Directory(tmp_path)
    shelf.save({"a.key": b"key"}, shelf.load(["a.key"]).version)
    found = (tmp_path / "a.key").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 12345, 0o600)


def test_who_is_late_changes_nothing(tmp_path: Path) -> None:
    shelf = Directory(tmp_path)
    version = shelf.load(NAMES).version
    shelf.save({"a.key": b"first", "a.crt": None}, version)
    with pytest.raises(Conflict, match=rf"^tls\.directory: {tmp_path}: another process has changed it"):
        shelf.save({"a.key": b"second", "a.crt": b"second"}, version)
    assert shelf.load(NAMES).files == {"a.key": b"first"}


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    shelf = Directory(tmp_path)
    shelf.save({"a.key": b"key"}, shelf.load(["a.key"]).version)
    other = shelf.load(["b.key"])
    shelf.save({"b.key": b"other"}, other.version)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "mine.txt": b"mine",
        "a.key": b"key",
        "b.key": b"other",
    }


def test_nobody_sees_half_of_a_change(tmp_path: Path) -> None:
    shelf, done, mixed = Directory(tmp_path), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            files = shelf.load(NAMES).files
            if len(set(files.values())) > 1:
                mixed.append(files)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    version = shelf.load(NAMES).version
    for number in range(30):
        version = shelf.save(dict.fromkeys(NAMES, str(number).encode()), version)
    done.set()
    for reader in readers:
        reader.join()
    assert mixed == []


def test_a_temporary_file_that_a_crash_has_left_is_no_way_out_of_the_directory(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / ".a.key.new").symlink_to(outside)
    shelf = Directory(tmp_path / "tls")
    with pytest.raises(SettingsError, match="symbolic links"):
        shelf.save({"a.key": b"key"}, shelf.load(["a.key"]).version)
    assert outside.read_bytes() == b"untouched"


def test_a_journal_of_somebody_else_is_named(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"notes")
    with pytest.raises(SettingsError, match=r"/\.journal: not Nezha's: remove it"):
        Directory(tmp_path).load(NAMES)
    assert (tmp_path / JOURNAL).read_bytes() == b"notes"
