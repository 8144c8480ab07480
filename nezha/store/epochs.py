"""Epochs: since when everything of a bucket has to be asked for once more before it is used.

An unsafe request that does not say what it changes raises its bucket's epoch; a restart does not undo that.
"""

from collections.abc import Callable
from contextlib import suppress

from nezha.store.index import Index
from nezha.store.threads import Threads


class Epochs:
    """The epochs of all buckets, in seconds since 1970; a bucket is (route, name)."""

    def __init__(self, index: Index, threads: Threads, now: Callable[[], float]) -> None:
        self._index = index
        self._threads = threads
        self._now = now
        self._since: dict[str, float] = {}

    def load(self) -> None:
        """Reads what an earlier process wrote. Blocks. Raises StoreError."""
        stored = {}
        for row, since in self._index.read("SELECT key, value FROM Cache WHERE key >= 'e/' AND key < 'e0' AND raw = 1"):
            with suppress(ValueError, TypeError):
                stored[row[2:]] = float(since)
        self._since = stored | self._since

    def begin(self, bucket: tuple[str, str]) -> None:
        """Everything of `bucket` that was answered before now is asked once more before use.

        Where it names no bucket, everything of the route.
        """
        name, now = "/".join(bucket), self._now()
        self._since[name] = now
        _ = self._threads.write_soon(self._write, name, now)

    def _write(self, name: str, since: float) -> None:
        with self._index.writing() as (cache, _):
            cache.set(f"e/{name}", repr(since))

    def of(self, bucket: tuple[str, str]) -> float:
        """When the bucket's epoch began, or its route's; 0 where none ever did."""
        return max(self._since.get("/".join(each), 0.0) for each in (bucket, (bucket[0], "")))
