"""How much may be stored: `cache.size`, and what of the volume stays free. Arithmetic, a reserve file and a lock.

SQLite cannot delete on a full volume: the reserve file is given up first, so that eviction can write.
"""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from nezha.settings import Share

_RESERVE_MAX = 16 << 20
_SLACK_BYTES = 1 << 20  # for the index, and for the file system's rounding
_LOW = 0.95  # eviction goes on down to this part of the limit, so that it runs seldom
_UNKNOWN = 1 << 62


def claim(directory: Path) -> int:
    """Makes the directory, and claims it for this process until the descriptor that this gives is closed.

    Raises OSError where it cannot be used, or another process uses it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd)
        for name in ("index", "staging"):
            if (directory / name).exists() and not (directory / name).is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory / name))
        for path in (directory, directory / "index", directory / "index" / "cache.db", directory / "staging"):
            if path.exists() and not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(error.errno, "another process stores here: give each its own directory") from error
    except OSError:
        pass  # a file system without locks


@dataclass(slots=True)
class Space:
    """The account of bytes, and the volume as last measured: `coming_bytes` are reserved by writes under way."""

    directory: Path
    size_bytes: int
    min_free: Share
    coming_bytes: int = 0
    free_bytes: int = 0
    total_bytes: int = 0

    def measure(self) -> None:
        """Asks the volume how much is free. Blocks. Raises OSError."""
        volume = os.statvfs(self.directory)
        self.total_bytes = volume.f_blocks * volume.f_frsize
        # Some network file systems do not say: then only `cache.size` counts.
        self.free_bytes = volume.f_bavail * volume.f_frsize if self.total_bytes else _UNKNOWN

    def over_size(self, used_bytes: int, more_bytes: int = 0) -> int:
        """Bytes by which `cache.size` would be exceeded; 0 or less where `more_bytes` fit."""
        return used_bytes + self.coming_bytes + more_bytes - self.size_bytes

    def shortage(self, used_bytes: int, more_bytes: int = 0) -> int:
        """Bytes that must go before `more_bytes` may be written; 0 or less where they fit."""
        kept_free = self.min_free.of(self.total_bytes) + (_SLACK_BYTES if more_bytes else 0)
        return max(self.over_size(used_bytes, more_bytes), kept_free + self.coming_bytes + more_bytes - self.free_bytes)

    def goal(self, shortage_bytes: int) -> int:
        """Bytes to evict once there is a shortage."""
        limit = min(self.size_bytes, self.total_bytes or self.size_bytes)
        return max(0, shortage_bytes) + int(limit * (1 - _LOW)) + 1

    @property
    def reserve_bytes(self) -> int:
        return min(_RESERVE_MAX, self.total_bytes // 16)

    @property
    def _reserve(self) -> Path:
        return self.directory / "reserve"

    def has_reserve(self) -> bool:
        """Whether the reserve file is there. Blocks."""
        try:
            return self._reserve.stat().st_size >= self.reserve_bytes
        except OSError:
            return False

    def keep_reserve(self) -> None:
        """Makes the reserve file. Blocks. Raises OSError where it does not fit; then nothing is left of it."""
        fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, max(1, self.reserve_bytes))
        except OSError:
            self._reserve.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def drop_reserve(self) -> None:
        """Gives the reserve file's bytes back to the volume. Blocks. Raises OSError."""
        self._reserve.unlink(missing_ok=True)
