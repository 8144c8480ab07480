"""Extent files: written beside the store, adopted into it, opened and verified.

An extent is one file that holds exactly its bytes. It is written whole in `staging/`, so that whatever stands
in the index was complete, and carries one CRC-64/NVME per MiB in its row, so that whatever changes afterwards is
seen at the first read after a start. `Staging` is for the event loop and blocks in threads; `open_extent` blocks.
"""

import errno
import itertools
import os
import stat
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import aiofiles.os

from nezha.errors import ExtentCorrupt, StoreError
from nezha.model import Extent
from nezha.store.checksums import combined, crc
from nezha.store.faults import refused

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
    return tuple(crc("crc64nvme", view[at : at + CHECKED_BYTES]) for at in range(0, len(view), CHECKED_BYTES))


class Staging:
    """The directory where extents are written before they are adopted; on the volume of the index."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        self._directory = directory
        self._executor = executor
        self._numbers = itertools.count()

    def make(self, *, is_swept: bool) -> None:
        """Makes the directory; `is_swept`: without what an earlier process left in it. Blocks. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for left in self._directory.iterdir() if is_swept else ():
            if left.is_symlink() or not left.is_dir():
                left.unlink()

    async def write(self, view: memoryview) -> tuple[str, tuple[int, ...]]:
        """Writes a staged file in a thread; gives its path and checksums. Raises StoreError; nothing is left behind."""
        path = str(self._directory / f"{next(self._numbers):x}")
        try:
            return path, await _write(path, view, executor=self._executor)
        except OSError as error:
            raise refused(error, path) from error

    def abandon(self, path: str) -> None:
        """Removes a staged file that will not be adopted, if it is still there."""
        self._executor.submit(_unlink, path)


def _write_now(path: str, view: memoryview) -> tuple[int, ...]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return tuple(_write_checked(fd, view[at : at + CHECKED_BYTES]) for at in range(0, len(view), CHECKED_BYTES))
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _write_checked(fd: int, view: memoryview) -> int:
    """Writes what one CRC covers; gives it. One write of 4 MiB would have the kernel take larger pages for its cache.

    Those are rarely used ones, which virtual machines pay the host for (measured: 2.5 CPU seconds a GB against 0.2).
    """
    written = 0
    while written < len(view):
        written += os.write(fd, view[written:])
    return crc("crc64nvme", view)


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


_write = aiofiles.os.wrap(_write_now)


def open_extent(stored: StoredExtent, *, verify: bool) -> int:
    """A descriptor of an extent's file, its length checked, and every byte where `verify` is set. Blocks.

    Raises ExtentCorrupt where the file is gone, cannot be read, has another length, or disagrees with a checksum;
    StoreError where the process lacks what it takes to open it.
    """
    try:
        fd = os.open(stored.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        kind = StoreError if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM} else ExtentCorrupt
        raise kind(f"{stored.path}: {error.strerror}") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != stored.extent.length:
            raise ExtentCorrupt(f"{stored.path}: {found.st_size} bytes instead of {stored.extent.length}")
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
    for at in range(0, stored.extent.length, CHECKED_BYTES):
        _read_checked(fd, stored, at, buffer[: stored.extent.length - at])


def read_extent(fd: int, stored: StoredExtent) -> bytearray:
    """All of an extent's file, verified. Blocks. Raises ExtentCorrupt."""
    data = bytearray(stored.extent.length)
    try:
        for at in range(0, len(data), CHECKED_BYTES):
            _read_checked(fd, stored, at, memoryview(data)[at : at + CHECKED_BYTES])
    except OSError as error:
        raise ExtentCorrupt(f"{stored.path}: {error.strerror}") from error
    return data


def _read_checked(fd: int, stored: StoredExtent, at: int, view: memoryview) -> None:
    """Fills `view` with what one CRC covers, from `at` on. Raises ExtentCorrupt, OSError."""
    count = 0
    while count < len(view):
        if not (read := os.preadv(fd, [view[count:]], at + count)):
            raise ExtentCorrupt(f"{stored.path}: ends at {at + count} of {stored.extent.length} bytes")
        count += read
    if crc("crc64nvme", view) != stored.crcs[at // CHECKED_BYTES]:
        raise ExtentCorrupt(f"{stored.path}: checksum of the MiB at {at} does not agree")


def read_inline(stored: StoredExtent, *, verify: bool) -> bytes:
    """The bytes of an extent that lives in the index row, checked like a file. Raises ExtentCorrupt."""
    data = stored.inline or b""
    if len(data) != stored.extent.length:
        raise ExtentCorrupt(f"inline extent: {len(data)} bytes instead of {stored.extent.length}")
    if verify and checksums(memoryview(data)) != stored.crcs:
        raise ExtentCorrupt(f"inline extent of {len(data)} bytes: its checksum does not agree")
    return data


def extent_crc(stored: StoredExtent, algorithm: str) -> int:
    """The CRC of an extent's bytes, which are read again where its row does not tell. Blocks. Raises StoreError."""
    starts = range(0, stored.extent.length, CHECKED_BYTES)
    lengths = [min(CHECKED_BYTES, stored.extent.length - at) for at in starts]
    if algorithm == "crc64nvme":
        return combined(algorithm, zip(stored.crcs, lengths, strict=True))
    if stored.inline is not None:
        return crc(algorithm, memoryview(read_inline(stored, verify=True)))
    fd = open_extent(stored, verify=True)
    try:
        parts = (memoryview(os.pread(fd, CHECKED_BYTES, at)) for at in starts)
        return combined(algorithm, ((crc(algorithm, part), len(part)) for part in parts))
    except OSError as error:
        raise ExtentCorrupt(f"{stored.path}: {error.strerror}") from error
    finally:
        os.close(fd)


def whole_crc(extents: Iterable[StoredExtent], known: Mapping[Extent, int], size: int, algorithm: str) -> int | None:
    """The CRC of an object of `size` bytes out of its parts: `known` ones, and stored extents.

    None where they do not cover it, or overlap. Blocks. Raises StoreError.
    """
    stored = {each.extent: each for each in extents}
    parts, position = [], 0
    for extent in sorted({*known, *stored}):
        if extent.start != position:
            return None
        value = known[extent] if extent in known else extent_crc(stored[extent], algorithm)
        parts.append((value, extent.length))
        position = extent.stop
    return combined(algorithm, parts) if position == size else None
