"""From a version to its client: Nezha's own head, then bytes from memory, files, or the running fill."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate

from nezha.errors import ExtentCorrupt, NezhaError, OriginError, OriginMismatch
from nezha.metrics import Metrics
from nezha.model import Entry, Extent, Fields
from nezha.proxy.authorize import Permission
from nezha.proxy.fill import Fill
from nezha.proxy.followers import Seat
from nezha.proxy.http1 import Exchange
from nezha.proxy.outgoing import Ask
from nezha.proxy.parts import Parts
from nezha.proxy.pump import Piece, PumpError
from nezha.proxy.reader import Late, Reader, Stranded
from nezha.proxy.rest import Rest
from nezha.semantics.decision import Selection
from nezha.semantics.freshness import age
from nezha.semantics.validators import is_joinable
from nezha.store.bodies import StoredExtent
from nezha.store.hot import Stored
from nezha.store.store import Store

_PATIENCE_SECONDS = 0.05  # at least: a fast origin is no reason to ask it twice
_RESUMES_MAX = 5  # without progress between them
_PROGRESS_BYTES = 64 << 10  # an origin that ends after each byte is not asked for each byte
_PAUSE_SECONDS = 0.1  # after the first that failed; then twice as long, each time
# RFC 9110 15.4.5: a 304 repeats these; the rest would only repeat what the client has.
_NOT_MODIFIED_DROPS = frozenset(
    {"content-length", "content-type", "content-encoding", "content-range", "last-modified"}
)

_NONE = Fields()


class Cut(NezhaError):
    """A response that had begun could not be finished."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be delivered: a selection of a version, by whose permission, and how it was come by."""

    stored: Stored
    selection: Selection
    permission: Permission
    fill: Fill | None
    cache_status: str
    source: str  # cache | origin
    own: Fields = _NONE  # of this exchange, for the leader
    seat: Seat | None = None  # the leader's, until its reader has joined
    entry: Entry | None = None  # what the origin has just said of it to this client, where that is not for others


class Delivery:
    """Sends stored versions."""

    def __init__(self, store: Store, rest: Rest, metrics: Metrics, now: Callable[[], float]) -> None:
        self._store = store
        self._rest = rest
        self._metrics = metrics
        self._now = now

    async def deliver(self, exchange: Exchange, ask: Ask, course: Course) -> None:
        """Answers a request from a version. Raises Cut, ConnectionError.

        The caller holds a lease on the version.
        """
        selection = course.selection
        if not course.permission.covers(course.stored.entry.version, selection.extent):
            raise PermissionError("delivery without permission")
        parts = Parts.of(course.stored.entry, selection.parts) if selection.parts else None
        exchange.start(selection.status, self._fields(ask, course, parts), length=self._length(course, parts))
        if selection.extent is None or ask.request.method == "HEAD":
            await exchange.end()
            return
        extent = selection.extent if course.fill is None or course.fill.size is not None else None
        with self._rest.taking_part(ask, course.fill):
            for part in selection.parts or (extent,):
                if parts is not None and part is not None:
                    await exchange.write(parts.head(part))
                with Reader(course.stored, course.fill, part, _patience(ask, course)) as reader:
                    if course.seat is not None:
                        course.seat.leave()
                    await self._send(exchange, ask, course, reader)
            if parts is not None:
                await exchange.write(parts.end)
        await exchange.end()

    def _length(self, course: Course, parts: Parts | None) -> int | None:
        if course.selection.status == 304:
            return None
        if course.fill is not None and course.fill.size is None:
            return None
        if parts is not None:
            return parts.length
        return course.selection.extent.length if course.selection.extent is not None else 0

    def _fields(self, ask: Ask, course: Course, parts: Parts | None) -> Fields:
        """The head's fields: the stored ones, less those of another exchange, with Age and Cache-Status."""
        entry, selection, dialect = course.entry or course.stored.entry, course.selection, ask.route.dialect
        dropped = dialect.exchange_fields | {"age", "cache-status", "content-length"}
        if selection.status == 206 and selection.extent != Extent(0, entry.size):
            dropped |= dialect.whole_fields
        if selection.status in {304, 412, 416}:
            dropped |= _NOT_MODIFIED_DROPS if selection.status != 304 else _NOT_MODIFIED_DROPS - {"last-modified"}
        if parts is not None:
            dropped |= {"content-type"}
        items = [*_named(entry.fields.without(dropped), ask, selection), *_echoed(ask, course)]
        if dialect.is_object_store or "date" not in entry.fields:
            items.append(("Date", formatdate(self._now(), usegmt=True)))
        if parts is not None:
            items.append(("Content-Type", parts.media_type))
        elif selection.status == 206 and selection.extent is not None:
            start, stop = selection.extent
            items.append(("Content-Range", f"bytes {start}-{stop - 1}/{entry.size}"))
        elif selection.status == 416:
            items.append(("Content-Range", f"bytes */{entry.size}"))
        if course.source == "cache" or "age" in entry.fields:
            items.append(("Age", str(int(age(entry, self._now())))))
        items += [*course.own, ("Cache-Status", course.cache_status)]
        return Fields(items)

    async def _send(self, exchange: Exchange, ask: Ask, course: Course, reader: Reader) -> None:
        resumes, asked = 0, Extent(0, 0)
        while True:
            before = exchange.body_bytes
            try:
                if not await self._step(exchange, course, reader):
                    return
            except Late as late:
                reader.patience = None  # it is asked for once
                with suppress(OriginError):
                    gap = _gap(course, reader, late.position)
                    reader.attach(await self._rest.overtake(ask, course.stored, gap))
            except OriginMismatch as error:
                raise Cut("checksum") from error
            except Stranded as stranded:
                gap = _gap(course, reader, stranded.position)
                is_stuck = gap.stop == asked.stop and gap.start - asked.start < _PROGRESS_BYTES
                resumes, asked = resumes + 1 if is_stuck else 1, gap
                if resumes > _RESUMES_MAX:
                    raise Cut("resume") from stranded
                await self._resume(ask, course, reader, gap, resumes)
            finally:
                if sent := exchange.body_bytes - before:
                    self._metrics.count("response_bytes", ask.route.name, course.source, by=sent)

    async def _step(self, exchange: Exchange, course: Course, reader: Reader) -> bool:
        """Sends what comes next; False at the end."""
        match await reader.next():
            case None:
                return False
            case bytes() as data:
                await exchange.write(data)
                reader.move(len(data))
                await asyncio.sleep(0)  # a client that takes all at once leaves the loop to others all the same
            case [StoredExtent(inline=bytes()) as extent, *_]:
                await self._send_inline(exchange, course, reader, extent)
            case list() as extents:
                await self._send_files(exchange, course, reader, [each for each in extents if each.inline is None])
        return True

    async def _send_inline(self, exchange: Exchange, course: Course, reader: Reader, extent: StoredExtent) -> None:
        try:
            data = self._store.reads.inline(course.stored, extent)
        except ExtentCorrupt:
            self._store.drop_extent(course.stored, extent)
            return
        offset = reader.position - extent.extent.start
        limit = extent.extent.stop if reader.limit is None else reader.limit
        stop = min(extent.extent.stop, limit) - extent.extent.start
        await exchange.write(data[offset:stop])
        reader.move(stop - offset)

    async def _send_files(
        self, exchange: Exchange, course: Course, reader: Reader, extents: list[StoredExtent]
    ) -> None:
        stored = course.stored
        pieces = [self._piece(exchange, course, each, reader) for each in _run(extents)]
        try:
            await exchange.send(pieces)
        except PumpError as error:
            reader.move(error.sent)
            if not isinstance(error.__cause__, ExtentCorrupt):
                raise Cut("store") from error
            # The one that was opened, not what stands there now: another reader may have mended it already.
            failed = next(each for each in extents if each.extent.start <= reader.position < each.extent.stop)
            self._store.drop_extent(stored, failed)
        else:
            reader.move(sum(piece.stop - piece.start for piece in pieces))

    def _piece(self, exchange: Exchange, course: Course, extent: StoredExtent, reader: Reader) -> Piece:
        start, stop = extent.extent
        first = max(0, reader.position - start)
        last = min(stop, stop if reader.limit is None else reader.limit) - start
        reads = self._store.reads
        if not exchange.connection.is_tls:  # the kernel sends what it has in memory without a copy
            return Piece(lambda: reads.open(course.stored, extent), first, last)
        # Who reads along with a fill says nothing of what will be read once more.
        hot_bytes = last - first if course.fill is None else 0
        return Piece(lambda: reads.open(course.stored, extent, hot_bytes), first, last, lambda: reads.hot(extent))

    async def _resume(self, ask: Ask, course: Course, reader: Reader, gap: Extent, attempt: int) -> None:
        """Fetches a gap that a reader has come to. Raises Cut where the version cannot be had any more.

        An origin that is away may be back soon: after a pause, longer with each attempt, the reader tries again.
        """
        try:
            reader.attach(await self._rest.resume(ask, course.stored, gap))
        except OriginMismatch as error:
            raise Cut("origin") from error
        except OriginError as error:
            if attempt == _RESUMES_MAX:
                raise Cut("origin") from error
            await asyncio.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))


def _gap(course: Course, reader: Reader, position: int) -> Extent:
    """The gap that a reader has come to. Raises Cut where nobody knows its end."""
    stop = reader.stop
    if stop is None:
        raise Cut("origin")
    after = course.stored.body.next_start(position)
    return Extent(position, stop if after is None else min(stop, after))


def _patience(ask: Ask, course: Course) -> float | None:
    """How long to wait for a lane that has not come to what is asked for: as long as asking for it would take.

    None where nobody may ask for it, or further lanes see to it.
    """
    entry, fill = course.stored.entry, course.fill
    if fill is None or fill.ranger is not None or ask.span is None or not (ask.may_range and is_joinable(entry)):
        return None
    return max(entry.answered_at - entry.requested_at, _PATIENCE_SECONDS)


def _named(fields: Fields, ask: Ask, selection: Selection) -> list[tuple[str, str]]:
    """The fields under the names that they bear in a part of the object, or in the whole of it."""
    names = ask.route.dialect.part_names
    if not names:
        return list(fields)
    if selection.status != 206:
        names = {there: here for here, there in names.items()}
    # Answers for the whole and for a part may both have left theirs: they say the same.
    doubled = {there for here, there in names.items() if here in fields}
    return [(names.get(name.lower(), name), value) for name, value in fields if name.lower() not in doubled]


def _echoed(ask: Ask, course: Course) -> list[tuple[str, str]]:
    """What an answer repeats of its request; a leader has it from the origin."""
    names = ask.route.dialect.echoed
    if course.source != "cache" or not names:
        return []
    return [(name, value) for name, value in ask.request.fields if name.lower() in names]


def _run(extents: list[StoredExtent]) -> list[StoredExtent]:
    """The first extents that follow each other without a hole."""
    run = extents[:1]
    for each in extents[1:]:
        if each.extent.start != run[-1].extent.stop:
            break
        run.append(each)
    return run
