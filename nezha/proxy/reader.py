"""A client's place in a version: what comes next, from the store, from memory, or soon."""

import asyncio

from nezha.errors import NezhaError, OriginMismatch
from nezha.model import Extent
from nezha.proxy.fill import Fill
from nezha.proxy.whole import WITHHELD_BYTES, Verdict
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Stored

QUANTUM = 256 << 10  # most bytes that leave from memory in one turn of the event loop
_PIECES_MAX = 16


class Stranded(NezhaError):
    """Nobody brings the byte at `position`, which a reader waits for."""

    def __init__(self, position: int) -> None:
        super().__init__(f"nobody brings byte {position}")
        self.position = position


class Late(Stranded):
    """Somebody brings it, but asking for it would bring it sooner."""


class Reader:
    """A client's place in a version: what comes next, from the store, from memory, or soon.

    `patience`: how many seconds it waits for a lane to come to its place; None: as long as it takes.
    """

    def __init__(self, stored: Stored, fill: Fill | None, extent: Extent | None, patience: float | None = None) -> None:
        self.patience = patience
        self.position = extent.start if extent else 0
        self._stop = extent.stop if extent else None
        self._is_of_all = extent is None or extent == (0, stored.entry.size)
        self._stored = stored
        self._fill = fill

    def __enter__(self) -> "Reader":
        if self._fill is not None:
            self._fill.join(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fill is not None:
            self._fill.leave(self)

    @property
    def stop(self) -> int | None:
        """Where the response ends; None while that is unknown."""
        if self._stop is None and self._fill is not None:
            return self._fill.size
        return self._stop

    @property
    def limit(self) -> int | None:
        """Where what the client may be sent ends for now: not at the end of an object whose checksum is awaited."""
        fill = self._fill
        if not self._is_of_all or fill is None or fill.is_over or fill.landing.whole is None or fill.size is None:
            return self.stop
        return max(0, fill.size - WITHHELD_BYTES) if fill.landing.whole.verdict is Verdict.OPEN else self.stop

    def attach(self, fill: Fill) -> None:
        """Goes on with a fill that was started for this reader's gap."""
        if fill is not self._fill:
            self.__exit__()
            self._fill = fill
            self.__enter__()

    def needs(self, extent: Extent) -> bool:
        """Whether bytes of `extent` are still ahead of this reader."""
        return self.position < extent.stop and (self._stop is None or extent.start < self._stop)

    def move(self, count: int) -> None:
        """The client has been sent `count` more bytes."""
        self.position += count
        if self._fill is not None:
            self._fill.landing.passed(self.position)

    async def next(self) -> list[StoredExtent] | bytes | None:
        """Stored extents that hold what comes next, or bytes in memory; None at the end.

        Raises Stranded; OriginMismatch where the object does not agree with its checksum.
        """
        while self.stop is None or self.position < self.stop:
            fill, limit = self._fill, self.limit
            if fill is not None and fill.landing.is_refuted:
                raise OriginMismatch("the object does not agree with its checksum")
            if fill is not None and limit is not None and self.position >= limit:
                await self._wait(fill, self._first_missing(fill))
                continue
            if found := self._stored_run(limit):
                return found
            if fill is None:
                raise Stranded(self.position)
            part = fill.slices.at(self.position)
            if part is None:
                await self._lane(fill)
                continue
            offset = self.position - part.extent.start
            if part.received > offset:
                stop = min(part.received, offset + QUANTUM)
                if limit is not None:
                    stop = min(stop, limit - part.extent.start)
                return bytes(part.view[offset:stop])  # a copy: the buffer is reused
            await part.bell.wait()
        return None

    def _first_missing(self, fill: Fill) -> int | None:
        """The first byte ahead that is neither stored nor arriving."""
        position, stop = self.position, self.stop or 0
        while position < stop:
            if (taken := fill.slices.taken_stop(position)) is None:
                return position
            position = taken
        return None

    async def _wait(self, fill: Fill, position: int | None) -> None:
        """Waits for news of a fill that is to bring the byte at `position` (None: all are there)."""
        if position is not None and not fill.is_coming(position):
            raise Stranded(position)
        await fill.changed()

    async def _lane(self, fill: Fill) -> None:
        """Waits until a slice holds this place, or it is stored, or proves to be the end. Raises Stranded, Late."""
        try:
            async with asyncio.timeout(self.patience):
                while fill.slices.taken_stop(self.position) is None and self.stop != self.position:
                    await self._wait(fill, self.position)
        except TimeoutError:
            raise Late(self.position) from None

    def _stored_run(self, limit: int | None) -> list[StoredExtent]:
        found: list[StoredExtent] = []
        position = self.position
        while len(found) < _PIECES_MAX and (limit is None or position < limit):
            extent = self._stored.body.at(position)
            if extent is None:
                break
            found.append(extent)
            position = extent.extent.stop
        return found
