"""The keeper of one CA: what may happen to it, each time read from its shelf, changed and saved as one.

Every call blocks (files or the API server, key generation): for a thread without a loop, or before the loop. Any
number of processes may call at once; whoever is late finds the change of the other and decides anew.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from nezha.errors import Conflict, SettingsError
from nezha.pki.authority import Authority, create, limit
from nezha.pki.record import Names, Record
from nezha.pki.rotation import Rotation, advance, is_ending, mapped, publish, revoke, sign
from nezha.pki.shelf import Directory, Shelf

PODS = "ca"
ADMISSION = "admission-ca"
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """A rotation, and the version of the files that hold it."""

    rotation: Rotation
    version: str


@dataclass(frozen=True, slots=True)
class Keeper:
    """One CA on its shelf, for `hosts` (DNS names, which includes their subdomains, and IP literals).

    `overlap`: how many seconds the next CA is trusted before it signs.
    """

    shelf: Shelf
    hosts: Collection[str]
    overlap: float
    stem: str = PODS
    now: Callable[[], float] = time.time

    def open(self) -> Kept:
        """The CA as this process needs it: made where there is none, limited to exactly `hosts`, and up to date.

        Raises SettingsError, with the file and what to do about it, when the files cannot be read or written, do not
        belong together, are not a self-signed CA, or are not valid now.
        """
        now = self.now()
        return self._change(
            lambda found: (
                Rotation(self._fresh())
                if found is None
                else advance(mapped(found, lambda authority: limit(authority, self.hosts, now)), now)
            )
        )

    def read(self) -> Kept:
        """The CA as it is. Raises SettingsError, also where there is none."""
        shelved = self.shelf.load(self._names.all)
        return Kept(self._there(self._record.decode(shelved.files, self.hosts, self.now())), shelved.version)

    def find(self) -> Kept:
        """The CA as another process keeps it for this one. Raises SettingsError, also while it is not for `hosts`."""
        kept = self.read()
        if mapped(kept.rotation, lambda authority: limit(authority, self.hosts, self.now())) != kept.rotation:
            place = self.shelf.place(self._names.certificate)
            raise SettingsError(f"{place}: is for other hosts: start the process that keeps it with the same origins")
        return kept

    def look(self, known: Kept, *, may_write: bool) -> Kept:
        """What has become of `known`, which is returned as it is where nothing has.

        Who may write also does what time asks for. Hosts are not looked at: a process that was started with others
        may share the shelf, and would change them back.
        """
        now = self.now()
        is_due = self._after(known.rotation, now) is not known.rotation
        if not is_due and self.shelf.load(self._names.all).version == known.version:
            return known
        kept = self._change(lambda found: self._after(self._there(found), now)) if may_write else self.read()
        return known if kept.version == known.version else kept

    def rotate(self, *, at_once: bool = False) -> Kept:
        """Publishes the next CA; `at_once` also lets it, or the one that waits already, sign now."""

        def step(found: Rotation | None) -> Rotation:
            rotation, now = self._there(found), self.now()
            if rotation.next is None or not at_once:
                rotation = publish(rotation, self._fresh(), now, self.overlap)
            return sign(rotation, now) if at_once else rotation

        return self._change(step)

    def revoke(self, identity: str | None = None) -> Kept:
        """Publishes a CA no more: the one called so, else the one that signs."""

        def step(found: Rotation | None) -> Rotation:
            rotation = self._there(found)
            return revoke(rotation, identity or rotation.signing.id, self._fresh(), self.now())

        return self._change(step)

    def _change(self, step: Callable[[Rotation | None], Rotation]) -> Kept:
        """Saves what `step` makes of what is there; nothing is written where that is the same."""
        for _ in range(_ATTEMPTS):
            shelved = self.shelf.load(self._names.all)
            rotation = step(self._record.decode(shelved.files, self.hosts, self.now()))
            files = self._record.encode(rotation, shelved.files)
            if files == {name: shelved.files.get(name) for name in files}:
                return Kept(rotation, shelved.version)
            try:
                return Kept(rotation, self.shelf.save(files, shelved.version))
            except Conflict:
                continue
        raise Conflict(f"{self.shelf.place(self._names.key)}: changed by others all the time: try again")

    def _after(self, rotation: Rotation, now: float) -> Rotation:
        later = advance(rotation, now)
        return publish(later, self._fresh(), now, self.overlap) if is_ending(later, now, self.overlap) else later

    def _there(self, found: Rotation | None) -> Rotation:
        if found is None:
            place = self.shelf.place(self._names.key)
            raise SettingsError(f"{place}: there is no CA: the first start of `nezha serve` makes it")
        return found

    def _fresh(self) -> Authority:
        return create(self.hosts, self.shelf.place(self._names.certificate), self.now())

    @property
    def _names(self) -> Names:
        return Names(self.stem)

    @property
    def _record(self) -> Record:
        return Record(self._names, self.shelf.place)


def load_or_create(
    directory: Path, names: Collection[str], stem: str = PODS, now: Callable[[], float] = time.time
) -> Authority:
    """The CA that signs in `directory`, limited to `names`, for who needs no rotation. As `Keeper.open`."""
    return Keeper(Directory(directory), names, 0.0, stem, now).open().rotation.signing
