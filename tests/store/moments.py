"""What the store does in its directory, as the kernel tells it (inotify): a test acts at that very moment.

staged     the file of an extent has been made, and is empty
written    it is whole
renamed    it is the store's; its row follows
logged     the index writes: part of a transaction, or the end of one
removed    the file of an extent has gone; its row went before
"""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _CREATE, _DELETE = 0x2, 0x8, 0x40, 0x100, 0x200
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are the same bits
_EVENT = struct.Struct("iIII")
_KINDS = {
    ("staging", _CREATE): "staged",
    ("staging", _CLOSE_WRITE): "written",
    ("staging", _MOVED_FROM): "renamed",
    ("index", _MODIFY): "logged",
    ("extents", _DELETE): "removed",
}
_libc = ctypes.CDLL(None, use_errno=True)


class Moments:
    """Counts what happens, and calls `then` at the chosen one."""

    def __init__(self, fd: int) -> None:
        self.seen: Counter[str] = Counter()
        self._fd = fd
        self._places: dict[int, str] = {}
        self._wanted: tuple[str, int] | None = None
        self._then: Callable[[], None] = lambda: None

    def at(self, kind: str, number: int, then: Callable[[], None]) -> None:
        """Calls `then` when `kind` happens for the `number`th time from now on."""
        self._wanted, self._then = (kind, self.seen[kind] + number), then

    def watch(self, place: str, directory: Path, mask: int) -> None:
        """Adds a directory. Raises OSError."""
        watch = _libc.inotify_add_watch(self._fd, os.fsencode(directory), mask)
        if watch < 0:
            raise OSError(ctypes.get_errno(), f"inotify: {directory}")
        self._places[watch] = place

    def read(self) -> None:
        """Takes the events that have come."""
        with contextlib.suppress(BlockingIOError):
            events, at = os.read(self._fd, 1 << 16), 0
            while at < len(events):
                watch, mask, _, length = _EVENT.unpack_from(events, at)
                name = events[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                at += _EVENT.size + length
                self._happened(self._places[watch], mask, name)

    def _happened(self, place: str, mask: int, name: bytes) -> None:
        if place == "index" and name != b"cache.db-wal":
            return
        kind = _KINDS.get((place, mask))
        if kind is None:
            return
        self.seen[kind] += 1
        if (kind, self.seen[kind]) == self._wanted:
            self._wanted = None
            self._then()


@contextlib.asynccontextmanager
async def moments(directory: Path) -> AsyncIterator[Moments]:
    """What happens from now on in the directory of a cache that is in use (of folders, in those that are there)."""
    fd = _libc.inotify_init1(_FLAGS)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    found = Moments(fd)
    loop = asyncio.get_running_loop()
    try:
        found.watch("staging", directory / "staging", _CREATE | _CLOSE_WRITE | _MOVED_FROM)
        found.watch("index", directory / "index", _MODIFY)
        for folder in await asyncio.to_thread(lambda: list((directory / "index").glob("??"))):
            found.watch("extents", folder, _DELETE)
        loop.add_reader(fd, found.read)
        yield found
    finally:
        loop.remove_reader(fd)
        os.close(fd)
