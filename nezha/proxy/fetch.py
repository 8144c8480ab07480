"""The leader's steps: the origin's answer -> a decision -> the store.

lead        the client's own request goes out; its head decides what everyone who waits may do
take        an answer is stored (a fill starts, or gets one more lane), freshens, or is its client's own
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from nezha.dialects import Kind
from nezha.errors import OriginMismatch
from nezha.model import Entry, Extent, Fields
from nezha.proxy.answer import Answer
from nezha.proxy.authorize import Authorizer, Permission
from nezha.proxy.fill import Fill
from nezha.proxy.fills import Fills, Lead
from nezha.proxy.followers import Seat
from nezha.proxy.link import Interim
from nezha.proxy.look import placed
from nezha.proxy.origin import Origins
from nezha.proxy.outgoing import Ask
from nezha.proxy.rest import Rest
from nezha.semantics.keys import vary_of
from nezha.semantics.ranges import WHOLE, Span
from nezha.semantics.storing import (
    Context,
    Fail,
    Forward,
    Freshen,
    News,
    Store,
    on_response,
    outdated,
    own_of,
    renewed,
)
from nezha.semantics.validators import is_joinable
from nezha.store import store as storage
from nezha.store.hot import Stored


@dataclass(frozen=True, slots=True)
class Filling:
    """The answer is on its way into the store."""

    stored: Stored
    fill: Fill
    permission: Permission
    own: Fields
    """What the answer says to its asker only: Set-Cookie, the ids of the exchange."""
    seat: Seat
    """The asker's place among the fill's readers."""

    def close(self) -> None:
        """Its asker does not read it, or reads it by now: the fill belongs to the store."""
        self.seat.leave()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is its client's own; `reason` says why it is not stored."""

    answer: Answer
    reason: str

    def close(self) -> None:
        """Its asker does not want it any more."""
        self.answer.abandon()


class Fetcher:
    """What leaders do."""

    def __init__(
        self,
        origins: Origins,
        store: storage.Store,
        fills: Fills,
        authorizer: Authorizer,
        rest: Rest,
        now: Callable[[], float],
    ) -> None:
        self._origins = origins
        self._store = store
        self._fills = fills
        self._authorizer = authorizer
        self.checks = rest.checks
        self._rest = rest
        self._now = now

    async def lead(
        self, ask: Ask, stored: Stored | None, gaps: tuple[Extent, ...], interim: Interim
    ) -> Filling | Answered:
        """Sends the client's request; where a version is stored in part, for its first gap only. Raises OriginError.

        It runs in a task of its own: a client that leaves does not take the head from those who wait for it. So
        `interim`, which gets the 1xx heads that come before, must neither wait nor fail.
        """
        lead = self._fills.lead(str(ask.key), ask.span or WHOLE, ask.read.form)
        task = self._fills.own(self._lead(ask, stored, gaps, lead, interim))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_abandon)
            raise

    async def _lead(
        self, ask: Ask, stored: Stored | None, gaps: tuple[Extent, ...], lead: Lead, interim: Interim
    ) -> Filling | Answered:
        try:
            return await self._ask_as_leader(ask, stored, gaps, lead, interim)
        finally:
            self._fills.end(str(ask.key), lead)

    async def _ask_as_leader(
        self, ask: Ask, stored: Stored | None, gaps: tuple[Extent, ...], lead: Lead, interim: Interim
    ) -> Filling | Answered:
        requested_at = self._now()
        more: dict[str, str] = {}
        # RFC 9111 3.4: only parts of one strong validator are ever joined.
        if stored is not None and gaps and ask.may_range and is_joinable(stored.entry):
            more = ask.part(gaps[0], stored.entry.fields.get("etag"))
        answer = await self._origins.fetch(ask.route, "GET", ask.head(more), interim)
        if answer.head.status == 412 and "If-Match" in more:
            # The stored version is no more: the client's request goes out as it came.
            answer.abandon()
            more = {}
            answer = await self._origins.fetch(ask.route, "GET", ask.head(), interim)
        asked = Span(*gaps[0]) if more else ask.span
        outcome = await self.take(ask, answer, asked, requested_at, lead)
        if more and isinstance(outcome, Answered) and answer.head.status in {206, 416}:
            # It is about the gap, which the client did not ask for, and is not stored: it is nobody's.
            answer.abandon()
            return await self._ask_as_leader(ask, None, (), lead, interim)
        return outcome

    async def take_over(self, ask: Ask, answer: Answer, requested_at: float) -> Filling | Answered:
        """The answer to a question about a stored version is another one: its asker leads it. Raises OriginMismatch."""
        key = str(ask.key)
        lead = self._fills.lead(key, ask.span or WHOLE, ask.read.form)
        try:
            return await self.take(ask, answer, ask.span, requested_at, lead)
        finally:
            self._fills.end(key, lead)

    async def take(
        self, ask: Ask, answer: Answer, asked: Span | None, requested_at: float, lead: Lead
    ) -> Filling | Answered:
        """Decides on an answer to a GET, and starts what follows. Raises OriginMismatch."""
        context = self._context(ask, answer.head.fields, asked, requested_at)
        match on_response(answer.head, answer.framing, answer.length, context):
            case Fail(reason):
                answer.abandon()
                raise OriginMismatch(f"origin {ask.route.name}: {reason}")
            case Forward(reason):
                lead.was_refused = answer.head.status >= 400
                return Answered(answer, reason)
            case Freshen():
                return Answered(answer, "not-modified")
            case Store() as decision if self.checks.is_doubtful(ask, decision.fields):
                return Answered(answer, "checksum")
            case Store() as decision:
                stored = None if lead.is_outdated else await self._version(ask, decision, answer, context)
                if stored is None or lead.is_outdated:
                    await self._store.remove(str(ask.key))
                    return Answered(answer, "invalidated")
                fill = self._rest.start(ask, stored, decision.size, answer, decision.extent)
                fill.landing.max_bytes = ask.route.max_object
                seat = fill.seat(decision.extent.start)
                # From here on others find the fill.
                lead.settle()
                self._fills.widen(fill, self._rest, ask.route.lanes)
                own = own_of(answer.head.fields, stored.entry.fields, ask.route.dialect.exchange_fields)
                own = own.without(ask.route.dialect.whole_fields)  # of other bytes, maybe, than its asker is sent
                return Filling(stored, fill, self._authorizer.by_answer(ask, stored, answer), own, seat)
            case unreachable:
                assert_never(unreachable)

    def _context(self, ask: Ask, fields: Fields, asked: Span | None, requested_at: float) -> Context:
        route = ask.route
        is_anonymous = ask.read.credential.kind is Kind.NONE
        return Context(
            request=ask.request,
            asked=asked,
            shows_credential=not is_anonymous,
            policy=route.freshness,
            may_store=route.stores_anonymous or not is_anonymous,
            honors_no_store=route.honors_no_store,
            max_object=route.max_object,
            requested_at=requested_at,
            answered_at=self._now(),
            mark=route.dialect.mark(fields),
            unfit=route.dialect.unfit(fields),
            whole_fields=route.dialect.whole_fields,
        )

    async def _version(self, ask: Ask, decision: Store, answer: Answer, context: Context) -> Stored:
        """The stored version that an answer belongs to: one that is there, by equal strong validator, or a new one."""
        ask = await placed(ask, self._store)  # what it was read aside of may be another version by now
        entry = Entry(
            key=str(ask.key),
            version=uuid.uuid4().hex,
            status=decision.status,
            fields=decision.fields,
            size=decision.size or 0,
            requested_at=context.requested_at,
            answered_at=context.answered_at,
            is_open=not context.shows_credential,
            vary=vary_of(answer.head.fields, ask.request.fields),
            mark=context.mark,
            form=ask.read.form,
        )
        if ask.is_aside:
            entry = outdated(entry)  # if it is made: its answer does not say that this is still the object
        stored = await self._store.begin(entry, is_complete=decision.is_strong and decision.size is not None)
        if stored.entry.fields is not entry.fields and not ask.is_aside:  # it was there
            news = News(answer.head.fields, context.requested_at, context.answered_at, not context.shows_credential)
            whole = frozenset() if answer.head.status == 200 else context.whole_fields
            self._store.freshen(stored, renewed(stored.entry, news, whole, is_metadata=context.policy.is_metadata))
        return stored


def _abandon(task: "asyncio.Task[Filling | Answered]") -> None:
    """An answer whose asker has left before it came."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
