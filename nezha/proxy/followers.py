"""Who reads a fill: what of it they need next, and whether anybody is left."""

from collections.abc import Callable
from typing import Protocol

from nezha.model import Extent
from nezha.proxy.slices import SliceMap


class Follower(Protocol):
    """Somebody who reads from a fill."""

    position: int

    def needs(self, extent: Extent) -> bool:
        """Whether bytes of `extent` are still ahead of it."""


class Seat:
    """The place of a reader that is to come; it is left when the reader has joined, or will not."""

    def __init__(self, position: int, leave: Callable[["Seat"], None]) -> None:
        self.position = position
        self._leave = leave

    def needs(self, extent: Extent) -> bool:
        return self.position < extent.stop

    def leave(self) -> None:
        """Nobody is expected here any more; said twice, it changes nothing."""
        self._leave(self)


class Followers:
    """The readers of one fill. `are_gone`: there were some, and there are none any more."""

    def __init__(self) -> None:
        self._all: set[Follower] = set()
        self.are_gone = False

    def join(self, reader: Follower) -> None:
        self._all.add(reader)
        self.are_gone = False

    def leave(self, reader: Follower) -> None:
        self._all.discard(reader)
        self.are_gone = not self._all

    def need(self, extent: Extent) -> bool:
        """Whether one of them needs bytes of `extent`."""
        return any(reader.needs(extent) for reader in self._all)

    def next_missing(self, slices: SliceMap, size: int) -> Extent | None:
        """The slice that one of them will wait for first; None where they miss nothing."""
        found = [
            (missing.start - reader.position, missing)
            for reader in self._all
            if (missing := slices.first_missing(size, reader.position)) is not None and reader.needs(missing)
        ]
        return min(found)[1] if found else None
