"""What becomes of a slice that gets no more bytes: it is written into the store, or kept while a reader needs it."""

from nezha.errors import StoreError
from nezha.proxy.buffers import Buffers
from nezha.proxy.followers import Followers
from nezha.proxy.slices import UNKNOWN, Slice, SliceMap
from nezha.proxy.whole import Verdict, Whole
from nezha.store.hot import Stored
from nezha.store.store import Store
from nezha.tasks import Tasks

_KEPT_MAX = 4


class Landing:
    """Of one fill. `may_store`: whether its slices are still written."""

    def __init__(
        self, stored: Stored, slices: SliceMap, followers: Followers, store: Store, buffers: Buffers, tasks: Tasks
    ) -> None:
        self.may_store = True
        self.whole: Whole | None = None  # where the origin has stated a checksum of it
        self.max_bytes = UNKNOWN
        self.is_all_or_nothing = False  # a part that the store refuses makes the others useless
        self.under_way = 0  # slices that are being written
        self._stored = stored
        self._slices = slices
        self._followers = followers
        self._store = store
        self._buffers = buffers
        self._tasks = tasks

    @property
    def is_refuted(self) -> bool:
        """Whether the bytes are not those that the origin has stated a checksum of."""
        return self.whole is not None and self.whole.verdict is Verdict.DIFFERS

    def land(self, part: Slice) -> None:
        """Takes a slice over: what came of it is written, in a task of the registry."""
        if not part.received:
            self._drop(part)
            return
        self.under_way += 1
        self._tasks.start(self._write(part), "fill-write")

    async def _write(self, part: Slice) -> None:
        view = part.view[: part.received]
        try:
            if self.whole is not None:
                await self.whole.add(part.extent, view)
                await self._judge(self.whole)
            if not self.may_store or part.extent.stop > self.max_bytes:
                raise StoreError("not to be stored")
            await self._store.put(self._stored, part.extent, view)
            if self.whole is not None:
                self.whole.written(part.extent)
                await self._judge(self.whole)
        except StoreError:
            part.is_kept = True
            self.may_store = self.may_store and not self.is_all_or_nothing
        finally:
            self.under_way -= 1
        if part.is_kept:
            self.reap()
        else:
            self._drop(part)
        self._slices.bell.ring()

    async def _judge(self, whole: Whole) -> None:
        if await whole.judge():
            self.may_store = self.may_store and not self.is_refuted
            self._slices.bell.ring()

    def _drop(self, part: Slice) -> None:
        self._slices.remove(part)
        part.view.release()
        self._buffers.release(part.whole)
        self._slices.bell.ring()

    def passed(self, position: int) -> None:
        """A reader has been sent all up to `position`."""
        if any(part.is_kept and part.extent.stop <= position for part in self._slices.arriving):
            self.reap()
            self._slices.bell.ring()

    def reap(self) -> None:
        """Lets go of kept slices that no reader needs."""
        for part in [each for each in self._slices.arriving if each.is_kept]:
            if not self._followers.need(part.extent):
                self._drop(part)

    async def room(self) -> None:
        """Waits while readers are behind slices that the store refused: they go at the clients' speed."""
        while sum(each.is_kept for each in self._slices.arriving) >= _KEPT_MAX:
            await self._slices.bell.wait()
