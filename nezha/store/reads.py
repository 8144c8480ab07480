"""How the bytes of a version are read: its extents opened, verified as `cache.verify` says, or found in memory."""

import os
from collections.abc import Iterable

from nezha.settings import CacheSettings
from nezha.store import bodies
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Stored
from nezha.store.memory import Memory


class Reads:
    """Its methods are for a reader that holds the version, in any thread."""

    def __init__(self, settings: CacheSettings, memory: Memory) -> None:
        self._verify = settings.verify
        self._memory = memory

    def open(self, stored: Stored, extent: StoredExtent, hot_bytes: int = 0) -> int:
        """A descriptor of an extent's file. Blocks. Raises ExtentCorrupt, StoreError.

        `hot_bytes`: how many bytes of it are about to be read, where that shows that they may be so again: what is
        read over and over is in memory from then on.
        """
        fd = bodies.open_extent(extent, verify=self._must_verify(stored, extent))
        stored.body.verified.add(extent.extent.start)
        # `always` is a wish to have the disk looked at
        if hot_bytes and self._verify != "always" and self._memory.note(extent.path, extent.extent.length, hot_bytes):
            try:
                self._memory.put(extent.path, bodies.read_extent(fd, extent))
            except BaseException:
                os.close(fd)
                raise
        return fd

    def hot(self, extent: StoredExtent) -> memoryview | None:
        """The bytes of an extent, if they are in memory. Not to be held for long: they leave it when nobody does."""
        return self._memory.find(extent.path)

    def inline(self, stored: Stored, extent: StoredExtent) -> bytes:
        """The bytes of an inline extent. Raises ExtentCorrupt."""
        data = bodies.read_inline(extent, verify=self._must_verify(stored, extent))
        stored.body.verified.add(extent.extent.start)
        return data

    def forget(self, extents: Iterable[StoredExtent]) -> None:
        """These leave the store: they leave memory too."""
        for extent in extents:
            self._memory.drop(extent.path)

    def _must_verify(self, stored: Stored, extent: StoredExtent) -> bool:
        return self._verify == "always" or (self._verify == "first" and extent.extent.start not in stored.body.verified)
