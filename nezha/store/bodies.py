"""Extent files: written beside the store, adopted into it, opened and verified.

An extent is one file that holds exactly its bytes. It is written whole in `staging/`, so that whatever stands
in the index was complete, and carries one CRC-64/NVME per MiB in its row, so that whatever changes afterwards is
seen at the first read after a start. Every function here blocks: `write` and `unlink` wrap themselves for
the event loop, `open_extent` is for threads.
"""

import itertools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import aiofiles.os
from awscrt.checksums import crc64nvme

from nezha.errors import ExtentCorrupt
from nezha.model import Extent

CHECKED_BYTES = 1 << 20  # one CRC covers this much of an extent
_buffers = threading.local()


@dataclass(frozen=True, slots=True)
class StoredExtent:
    """An extent in the store: its file, or its bytes where they live in the index row."""

    extent: Extent
    crcs: tuple[int, ...]
    path: str = ""
    inline: bytes | None = field(default=None, repr=False)


def checksums(view: memoryview) -> tuple[int, ...]:
    """One CRC per MiB of `view`."""
    return tuple(crc64nvme(view[at : at + CHECKED_BYTES]) for at in range(0, len(view), CHECKED_BYTES))


class Staging:
    """The directory where extents are written before they are adopted; on the volume of the index."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        self._directory = directory
        self._executor = executor
        self._numbers = itertools.count()

    def clear(self) -> None:
        """Makes the directory, without what an earlier process left in it. Blocks."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for left in self._directory.iterdir():
            left.unlink()

    async def write(self, view: memoryview) -> tuple[str, tuple[int, ...]]:
        """Writes a staged file in a thread; gives its path and checksums. OSError: nothing is left behind."""
        path = str(self._directory / f"{next(self._numbers):x}")
        return path, await _write(path, view, executor=self._executor)

    async def abandon(self, path: str) -> None:
        """Removes a staged file that will not be adopted."""
        await _unlink(path, executor=self._executor)


def _write_now(path: str, view: memoryview) -> tuple[int, ...]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        written = 0
        while written < len(view):
            written += os.write(fd, view[written:])
        return checksums(view)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _unlink_now(path: str) -> None:
    Path(path).unlink(missing_ok=True)


_write = aiofiles.os.wrap(_write_now)
_unlink = aiofiles.os.wrap(_unlink_now)


def open_extent(stored: StoredExtent, *, verify: bool) -> int:
    """A descriptor of an extent's file, its length checked, and every byte where `verify` is set. Blocks.

    Raises ExtentCorrupt where the file is gone, has another length, or disagrees with a checksum.
    """
    try:
        fd = os.open(stored.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ExtentCorrupt(f"{stored.path}: {error.strerror}") from error
    try:
        if os.fstat(fd).st_size != stored.extent.length:
            raise ExtentCorrupt(f"{stored.path}: {os.fstat(fd).st_size} bytes instead of {stored.extent.length}")
        if verify:
            _verify(fd, stored)
    except OSError as error:
        os.close(fd)
        raise ExtentCorrupt(f"{stored.path}: {error.strerror}") from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _verify(fd: int, stored: StoredExtent) -> None:
    buffer = getattr(_buffers, "view", None)
    if buffer is None:
        buffer = _buffers.view = memoryview(bytearray(CHECKED_BYTES))
    for number, crc in enumerate(stored.crcs):
        at = number * CHECKED_BYTES
        length = min(CHECKED_BYTES, stored.extent.length - at)
        count = 0
        while count < length:
            read = os.preadv(fd, [buffer[count:length]], at + count)
            if not read:
                raise ExtentCorrupt(f"{stored.path}: ends at {at + count} of {stored.extent.length} bytes")
            count += read
        if crc64nvme(buffer[:length]) != crc:
            raise ExtentCorrupt(f"{stored.path}: checksum of the MiB at {at} does not agree")


def verify_inline(stored: StoredExtent) -> bytes:
    """The bytes of an extent that lives in the index row. Raises ExtentCorrupt."""
    data = stored.inline or b""
    if len(data) != stored.extent.length or checksums(memoryview(data)) != stored.crcs:
        raise ExtentCorrupt(f"inline extent of {len(data)} bytes: checksum does not agree")
    return data


def as_extents(stored: Sequence[StoredExtent]) -> list[Extent]:
    """The intervals alone."""
    return [each.extent for each in stored]
