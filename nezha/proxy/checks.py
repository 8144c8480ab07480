"""What origins state of whole objects, and whom nobody believes for a while.

A checksum comes with a whole answer, or with the answer to a HEAD: transfers that read an object by ranges begin with
one. A fill whose object has a checksum is judged by it (`whole`); one that differs is dropped, and its answers pass for
a while, so that clients judge for themselves: it may be the checksum that is wrong.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nezha import log
from nezha.model import Fields, Head
from nezha.proxy.fill import Fill
from nezha.proxy.outgoing import Ask
from nezha.proxy.whole import Whole
from nezha.semantics.checksums import Checksum, stated
from nezha.semantics.validators import is_strong
from nezha.store.hot import Stored
from nezha.store.store import Store

_DOUBT_SECONDS = 60.0
_MOST = 10_000
_Named = tuple[str, str | None]  # a key, and the mark of its version, or its ETag
T = TypeVar("T")


class Checks:
    """Checksums of object stores. Memory only, bounded in number."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._heard: dict[_Named, Checksum] = {}
        self._doubtful: dict[_Named, float] = {}  # until when

    def hear(self, ask: Ask, head: Head) -> None:
        """The origin's answer to a HEAD."""
        checksum = stated(head.fields) if ask.route.dialect.is_object_store and head.status == 200 else None
        mark = ask.route.dialect.mark(head.fields)
        if checksum is not None and (mark or is_strong(head.fields.get("etag"))):
            _keep(self._heard, (str(ask.key), mark or head.fields.get("etag")), checksum)

    def watch(self, ask: Ask, fill: Fill) -> None:
        """Lets a fill be judged as a whole, where that is possible."""
        if fill.landing.whole is not None or fill.size is None or not ask.route.dialect.is_object_store:
            return
        checksum = stated(fill.stored.entry.fields) or self._heard.get(_named(fill.stored))
        if checksum is not None:
            fill.landing.whole = Whole(checksum, fill.stored, fill.size, partial(self._differs, fill.stored))

    def is_doubtful(self, ask: Ask, fields: Fields) -> bool:
        """Whether an answer with these fields is of an object that has just differed."""
        named = str(ask.key), ask.route.dialect.mark(fields) or fields.get("etag")
        return self._now() < self._doubtful.get(named, 0.0)

    def _differs(self, stored: Stored) -> None:
        named = _named(stored)
        log.warn("checksum_differs", key=log.masked(named[0]), etag=named[1])
        self._store.reject(stored)
        _keep(self._doubtful, named, self._now() + _DOUBT_SECONDS)


def _named(stored: Stored) -> _Named:
    return stored.entry.key, stored.entry.mark or stored.entry.fields.get("etag")


def _keep(kept: dict[_Named, T], named: _Named, value: T) -> None:
    kept[named] = value
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
