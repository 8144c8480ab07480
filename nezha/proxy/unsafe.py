"""Unsafe requests: what they change leaves the store before they are sent, and again when their answer's head is there.

1. What the request names is out of the index: a kill in between does not bring it back.  2. It is forwarded.
3. An answer that says it was done drops the same again, and what its Location and Content-Location name.
4. On plain HTTP one that says it has failed leaves everything as it was (RFC 9111 4.4): what was taken out returns,
   unless something else is stored by then. No answer at all counts as done.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from nezha.dialects import Read, Write
from nezha.model import Fields, Head, Request
from nezha.proxy.fills import Fills
from nezha.proxy.http1 import Exchange
from nezha.proxy.passthrough import Passthrough
from nezha.routes import Route
from nezha.semantics.locations import named_targets
from nezha.store.store import Store


class Unsafe:
    """Forwards them, and invalidates."""

    def __init__(self, store: Store, fills: Fills, passthrough: Passthrough) -> None:
        self._store = store
        self._fills = fills
        self._passthrough = passthrough

    async def forward(self, exchange: Exchange, route: Route, write: Write, cache_status: str) -> None:
        """Sends one, and relays its answer. Raises OriginError, RequestError."""
        keys = [str(key) for key in write.keys]
        answered = False
        with ExitStack() as leases:
            before = {key: await self._store.lookup(key) for key in keys}
            for stored in (stored for versions in before.values() for stored in versions):
                leases.enter_context(self._store.lease(stored))
            await self._invalidate(keys, write.bucket)

            async def settle(head: Head) -> None:
                nonlocal answered
                answered = True
                if head.status >= 400 and not route.dialect.is_object_store:
                    for key, versions in before.items():
                        await self._store.restore(key, versions)
                else:
                    await self._invalidate([*keys, *_named(exchange.request, route, head)], write.bucket)

            try:
                await self._passthrough.forward(exchange, route, cache_status, settle)
            finally:
                if not answered:
                    await self._invalidate(keys, write.bucket)

    async def _invalidate(self, keys: Sequence[str], bucket: tuple[str, str]) -> None:
        for key in keys:
            self._fills.invalidate(key)
            await self._store.remove(key)
        if not keys:
            self._store.epochs.begin(bucket)
        await self._store.written()


def _named(request: Request, route: Route, head: Head) -> list[str]:
    """The keys that an answer names beside the request's own; an object store says what it changes in the URL."""
    if route.dialect.is_object_store:
        return []
    keys = []
    for target in named_targets(request, head.fields):
        read = replace(request, method="GET", target=target, fields=Fields(), length=None, chunked=False)
        found = route.dialect.classify(route.place, read)
        keys += [str(found.key)] if isinstance(found, Read) else []
    return keys
