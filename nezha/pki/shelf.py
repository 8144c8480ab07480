"""Where a CA's files lie: in a directory, or in a cluster in a Secret. What belongs together changes together.

A directory becomes all of the new state or stays all of the old one, wherever a crash comes:

    lock -> .journal (all that changes, one rename) -> each file (a rename each) -> .journal away -> unlock

Whoever takes the lock and finds a journal finishes it first. Readers that know nothing of this, such as a client that
is given `ca.crt`, see whole files.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nezha.errors import Conflict, SettingsError

JOURNAL = ".journal"
_READ_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Shelved:
    """Files by name, as they were together in one version."""

    files: Mapping[str, bytes]
    version: str


class Shelf(Protocol):
    """A place for small files that are read and replaced together. Every call blocks: for a thread without a loop."""

    def place(self, name: str) -> str:
        """What messages call the file `name`: the path of the setting, and where it is."""
        ...

    def load(self, names: Collection[str]) -> Shelved:
        """Those of `names` that are there. Raises SettingsError where they cannot be read."""
        ...

    def save(self, files: Mapping[str, bytes | None], expected: str) -> str:
        """Replaces these files (None: removes), all or none, and leaves others alone; gives the new version.

        `expected` is the version that was loaded, with the same names. Raises Conflict, and changes nothing, where
        somebody has saved since, and SettingsError where it cannot be written.
        """
        ...


class Directory:
    """Files in a directory that several processes of one machine may share; keys are 0600, certificates 0644."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def place(self, name: str) -> str:
        return f"tls.directory: {self._path / name}"

    def load(self, names: Collection[str]) -> Shelved:
        with self._reported():
            if not os.path.lexists(self._path):
                return _shelved({})
            with self._locked():
                self._finish()
                return self._read(names)

    def save(self, files: Mapping[str, bytes | None], expected: str) -> str:
        with self._reported():
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self._finish()
                found = self._read(files)
                if found.version != expected:
                    raise Conflict(f"tls.directory: {self._path}: another process has changed it")
                changed = {name: content for name, content in files.items() if content != found.files.get(name)}
                text = {name: None if content is None else content.decode() for name, content in changed.items()}
                self._write(JOURNAL, json.dumps(text).encode())
                self._finish()
        return _shelved({name: content for name, content in files.items() if content is not None}).version

    def _read(self, names: Collection[str]) -> Shelved:
        files = {}
        for name in names:
            with suppress(FileNotFoundError), (self._path / name).open("rb") as file:
                files[name] = file.read(_READ_MAX)
        return _shelved(files)

    def _finish(self) -> None:
        """Does what a journal says, if there is one: once more does no harm."""
        journal = self._path / JOURNAL
        if not journal.exists():
            return
        try:
            changed: dict[str, str | None] = json.loads(journal.read_bytes())
        except ValueError as error:
            raise SettingsError(f"{self.place(JOURNAL)}: not Nezha's: remove it") from error
        for name, content in changed.items():
            if content is None:
                (self._path / name).unlink(missing_ok=True)
            else:
                self._write(name, content.encode())
        self._sync()  # what was removed
        journal.unlink()
        self._sync()

    def _write(self, name: str, content: bytes) -> None:
        """Replaces a file in one step that survives a crash: a reader sees all of the old or all of the new."""
        # Under the lock nobody else writes: what a crash has left under this name is overwritten.
        temporary = self._path / f".{name.removeprefix('.')}.new"
        mode = 0o644 if name.endswith(".crt") else 0o600
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        try:
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                os.fchmod(file.fileno(), mode)
                if os.geteuid() == 0:  # `sudo nezha ca rotate` must not take the files from the server
                    owner = os.stat(self._path)
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._sync()

    def _sync(self) -> None:
        """Makes renames and removals last."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other processes out, readers too: none sees a change half done."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = os.fsdecode(error.filename or self._path)
            raise SettingsError(
                f"tls.directory: {place}: {error.strerror}: the directory must be readable, and writable when a CA is "
                f"made, rotated, or its names change"
            ) from error


def _shelved(files: Mapping[str, bytes]) -> Shelved:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Shelved(files, digest.hexdigest())
