"""How the bytes of an extent get into the store: staged, renamed, then its row is written; or into the row itself."""

from contextlib import suppress

from nezha.model import Entry, Extent
from nezha.store import bodies
from nezha.store.bodies import Staging, StoredExtent
from nezha.store.index import Adopted, Index
from nezha.store.space import Space
from nezha.store.threads import Threads

INLINE_BYTES = 32 << 10  # smaller extents live in the index row


class Adoption:
    """What blocks runs in `threads`."""

    def __init__(self, index: Index, staging: Staging, space: Space, threads: Threads) -> None:
        self._index = index
        self._staging = staging
        self._space = space
        self._threads = threads

    async def adopt(self, entry: Entry, extent: Extent, view: memoryview) -> StoredExtent:
        """Stores the bytes of an extent. Raises StoreError; then nothing is left of them."""
        if extent.length < INLINE_BYTES:
            crcs = bodies.checksums(view)
            return await self._threads.write(self._add, entry, extent, crcs, bytes(view))
        path, crcs = await self._staging.write(view)
        try:
            return await self._threads.write(self._add, entry, extent, crcs, Adopted(path, extent.length))
        except BaseException:
            self._staging.abandon(path)
            raise

    def _add(self, entry: Entry, extent: Extent, crcs: tuple[int, ...], value: Adopted | bytes) -> StoredExtent:
        row = self._index.add_extent(entry, extent, crcs, value)
        with suppress(OSError):
            self._space.measure()
        return row
