"""A client's place in a version: what comes next, from the store, from memory, or soon."""

from nezha.errors import NezhaError
from nezha.model import Extent
from nezha.proxy.fill import Fill
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Stored

QUANTUM = 256 << 10  # most bytes that leave from memory in one turn of the event loop
_PIECES_MAX = 16


class Stranded(NezhaError):
    """Nobody brings the next byte of a reader."""


class Reader:
    """A client's place in a version: what comes next, from the store, from memory, or soon."""

    def __init__(self, stored: Stored, fill: Fill | None, extent: Extent | None) -> None:
        self.position = extent.start if extent else 0
        self._stop = extent.stop if extent else None
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
            self._fill.passed(self.position)

    async def next(self) -> list[StoredExtent] | bytes | None:
        """Stored extents that hold what comes next, or bytes in memory; None at the end. Raises Stranded."""
        while self.stop is None or self.position < self.stop:
            if found := self._stored_run():
                return found
            fill = self._fill
            if fill is None:
                raise Stranded(f"nobody brings byte {self.position}")
            part = fill.slices.at(self.position)
            if part is None:
                if not fill.is_coming(self.position):
                    raise Stranded(f"nobody brings byte {self.position}")
                await fill.changed()
                continue
            offset = self.position - part.extent.start
            if part.received > offset:
                stop = min(part.received, offset + QUANTUM)
                if self.stop is not None:
                    stop = min(stop, self.stop - part.extent.start)
                return bytes(part.view[offset:stop])  # a copy: the buffer is reused
            await part.bell.wait()
        return None

    def _stored_run(self) -> list[StoredExtent]:
        found: list[StoredExtent] = []
        position = self.position
        while len(found) < _PIECES_MAX and (self.stop is None or position < self.stop):
            extent = self._stored.at(position)
            if extent is None:
                break
            found.append(extent)
            position = extent.extent.stop
        return found
