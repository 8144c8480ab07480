"""A purge: what an operator names is gone, from the store, from what is on its way, and from the grants.

    stop        leads and fills under those keys: what they bring is found by nobody
    remove      what is stored, a page of keys at a time, each written before the next: traffic goes on in between
    end         the grants

Once it is done no byte is served that was asked of the origin before it began, but for responses that ran already:
they finish from their own version. What is asked meanwhile is new, and may stay or go.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nezha import log
from nezha.errors import StoreError
from nezha.keytext import Named, shown
from nezha.metrics import Metrics
from nezha.proxy.fills import Fills
from nezha.proxy.grants import Grants
from nezha.store.store import Store


@dataclass(slots=True)
class Purged:
    """What a purge has ended so far: objects (keys) and their bytes, fills, grants."""

    objects: int = 0
    bytes: int = 0
    fills: int = 0
    grants: int = 0


class Purger:
    """Purges."""

    def __init__(self, store: Store, fills: Fills, grants: Grants, metrics: Metrics) -> None:
        self._store = store
        self._fills = fills
        self._grants = grants
        self._metrics = metrics

    async def purge(self, named: Named, progress: Callable[[Purged], None]) -> Purged:
        """Purges; `progress` is told what has gone so far. Raises StoreError where it may not be the end of it."""
        done, started, is_done = Purged(), time.monotonic(), False
        try:
            done.fills = self._fills.stop(named.covers)
            await self._remove(named, done, progress)
            done.grants = await self._grants.end(named.covers)
            is_done = True
        finally:
            log.event(
                "purged",
                key=log.masked(shown(named.text)) + ("*" if named.is_prefix else ""),
                objects=done.objects,
                bytes=done.bytes,
                fills=done.fills,
                grants=done.grants,
                seconds=round(time.monotonic() - started, 3),
                done=is_done,
            )
        return done

    async def _remove(self, named: Named, done: Purged, progress: Callable[[Purged], None]) -> None:
        listing = self._store.listing
        await self._drop(listing.unwritten(named.covers), done)
        for span in named.spans():
            after = ""
            while page := await listing.page(span, after):
                after = page[-1].key
                dropped, held = listing.drop([each for each in page if named.covers(each.key)])
                self._count(len(dropped), sum(each.stored_bytes for each in dropped), done)
                await self._drop(held, done)
                progress(done)
        if listing.is_refused:
            raise StoreError("the index takes no writes: purge again before Nezha is restarted, or this comes back")

    async def _drop(self, keys: Sequence[str], done: Purged) -> None:
        freed = await asyncio.gather(*(self._store.remove(key) for key in keys))
        self._count(len(keys), sum(freed), done)
        await self._store.written()

    def _count(self, objects: int, freed: int, done: Purged) -> None:
        done.objects += objects
        done.bytes += freed
        self._metrics.count("purged_objects", by=objects)
