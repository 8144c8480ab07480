"""More of a version that is known: the same version or nothing, never spliced.

resume      a reader whose bytes nobody brings asks for them with its own request
overtake    so does one to whom a running lane would bring them too late
ask         a further lane's slice, with the credential of somebody who takes part
"""

from collections.abc import Iterator
from contextlib import contextmanager

from nezha.dialects import Kind
from nezha.errors import OriginError, OriginMismatch
from nezha.model import Entry, Extent, Head
from nezha.proxy.answer import Answer
from nezha.proxy.authorize import Authorizer
from nezha.proxy.checks import Checks
from nezha.proxy.fill import Fill
from nezha.proxy.fills import Fills
from nezha.proxy.origin import Origins
from nezha.proxy.outgoing import Ask
from nezha.semantics.ranges import parse_content_range
from nezha.semantics.storing import is_same_version
from nezha.semantics.validators import is_joinable
from nezha.store.hot import Stored


class Rest:
    """Asks origins for parts of versions that are being stored."""

    def __init__(self, origins: Origins, fills: Fills, authorizer: Authorizer, checks: Checks) -> None:
        self._origins = origins
        self._fills = fills
        self._authorizer = authorizer
        self.checks = checks

    async def resume(self, ask: Ask, stored: Stored, extent: Extent) -> Fill:
        """Asks for bytes that nobody brings, with the reader's own request. Raises OriginError."""
        answer, found = await self._rest(ask, stored, extent)
        return self.start(ask, stored, stored.entry.size, answer, found)

    async def overtake(self, ask: Ask, stored: Stored, extent: Extent) -> Fill:
        """Asks for bytes that a running lane would bring too late for a reader. Raises OriginError."""
        answer, found = await self._rest(ask, stored, extent)
        if found != extent:
            answer.abandon()
            raise OriginMismatch(f"origin {ask.route.name}: no such part of the object")
        return self.start(ask, stored, stored.entry.size, answer, found, is_overtaking=True)

    async def _rest(self, ask: Ask, stored: Stored, extent: Extent) -> tuple[Answer, Extent]:
        """An answer that brings `extent`, and what it brings: the same version or nothing, never spliced."""
        etag = stored.entry.fields.get("etag")
        if not is_joinable(stored.entry):
            raise OriginMismatch("a version without a strong validator is not completed by a second request")
        more = ask.part(extent, etag) if ask.may_range else {}
        answer = await self._origins.fetch(ask.route, "GET", ask.head(more))
        head = answer.head
        span = parse_content_range(head.fields.get("content-range")) if head.status == 206 else None
        whole = Extent(0, stored.entry.size) if head.status == 200 and answer.length == stored.entry.size else None
        found = span.extent if span is not None and answer.length == span.extent.length else whole
        if found is None or not self._is_of(ask, stored.entry, head) or found.start > extent.start:
            answer.abandon()
            if head.status == 429 or head.status >= 500:
                raise OriginError(f"origin {ask.route.name}: status {head.status} for the rest of an object")
            raise OriginMismatch(f"origin {ask.route.name}: the rest of the object is gone (status {head.status})")
        self._authorizer.by_answer(ask, stored, answer)
        return answer, found

    def start(
        self, ask: Ask, stored: Stored, size: int | None, answer: Answer, extent: Extent, *, is_overtaking: bool = False
    ) -> Fill:
        """Adds a lane with an answer to the fill of a version, which is watched for what its origin states of it."""
        fill = self._fills.start(stored, size, answer, extent, is_overtaking=is_overtaking)
        self.checks.watch(ask, fill)
        return fill

    def _is_of(self, ask: Ask, entry: Entry, head: Head) -> bool:
        return is_same_version(entry, head.fields, ask.route.dialect.mark(head.fields))

    @contextmanager
    def taking_part(self, ask: Ask, fill: Fill | None) -> Iterator[None]:
        """Lends a client's credential to a fill's further lanes for as long as it is connected."""
        if fill is None or not ask.may_range:
            yield
            return
        fill.participants.append(ask)
        try:
            yield
        finally:
            # What an anonymous reader may ask, anybody may: it stays, so that the fill is finished without it.
            # One whose credential has ended meanwhile was taken out by `ask`.
            stays = ask.read.credential.kind is Kind.NONE and len(fill.participants) == 1
            if ask in fill.participants and not stays:
                fill.participants.remove(ask)

    async def ask(self, fill: Fill, extent: Extent) -> Answer | None:
        """A verified 206 for a slice of a fill; None where there are to be no more. Raises OriginError."""
        etag = fill.stored.entry.fields.get("etag")
        while fill.participants:
            ask = fill.participants[-1]  # the newest
            answer = await self._origins.fetch(ask.route, "GET", ask.head(ask.part(extent, etag)))
            head = answer.head
            if head.status in {401, 403}:
                # That credential has ended; it says nothing of the object.
                answer.abandon()
                if ask in fill.participants:
                    fill.participants.remove(ask)
                continue
            span = parse_content_range(head.fields.get("content-range"))
            is_slice = head.status == 206 and span is not None and span.extent == extent and span.size == fill.size
            if is_slice and answer.length == extent.length and self._is_of(ask, fill.stored.entry, head):
                fill.is_parallel = True
                return answer
            answer.abandon()
            if head.status >= 500:
                raise OriginError(f"origin {ask.route.name}: status {head.status} for a slice")
            fill.is_serial = True
            return None
        return None
