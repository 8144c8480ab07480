"""How much may be stored: `cache.size`, and what of the volume stays free. Arithmetic and one reserve file.

SQLite cannot delete on a full volume: the reserve file is given up first, so that eviction can write.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from nezha.settings import Share

RESERVE_BYTES = 16 << 20
_LOW = 0.95  # eviction goes on down to this part of the limit, so that it runs seldom


@dataclass(slots=True)
class Space:
    """The account of bytes: `used_bytes` in extents, `coming_bytes` reserved by writes under way."""

    directory: Path
    size_bytes: int
    min_free: Share
    used_bytes: int = 0
    coming_bytes: int = 0
    free_bytes: int = 0
    min_free_bytes: int = 0

    def measure(self) -> None:
        """Asks the volume how much is free. Blocks."""
        volume = os.statvfs(self.directory)
        self.free_bytes = volume.f_bavail * volume.f_frsize
        self.min_free_bytes = self.min_free.of(volume.f_blocks * volume.f_frsize)

    def shortage(self, more_bytes: int = 0) -> int:
        """Bytes that must go before `more_bytes` may be written; 0 or less where they fit."""
        over = self.used_bytes + self.coming_bytes + more_bytes - self.size_bytes
        unfree = self.min_free_bytes + self.coming_bytes + more_bytes - self.free_bytes
        return max(over, unfree)

    def goal(self, shortage_bytes: int) -> int:
        """Bytes to evict once there is a shortage."""
        return shortage_bytes + int(self.size_bytes * (1 - _LOW))

    def keep_reserve(self) -> None:
        """Makes the reserve file where it is missing and fits. Blocks."""
        path = self.directory / "reserve"
        if path.exists() and path.stat().st_size == RESERVE_BYTES:
            return
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, RESERVE_BYTES)
        except OSError:
            path.unlink(missing_ok=True)  # full already: eviction comes first, then this is tried again
        finally:
            os.close(fd)

    def drop_reserve(self) -> None:
        """Gives the reserve file's bytes back to the volume. Blocks."""
        (self.directory / "reserve").unlink(missing_ok=True)
