"""The only maker of Permission: nobody gets a byte or a head of a stored object, or of a running fill, without one.

Permission comes from a live grant, or from the origin's answer to the caller's own request: a 304 to the stored
validator releases that version, a 200 or 206 of the same version counts as 304, a 200 or 206 of another one makes
the caller the leader of that. Everything else is the caller's answer, and releases nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nezha.dialects import Kind
from nezha.errors import OriginError
from nezha.model import Entry, Extent, Fields
from nezha.proxy.answer import Answer
from nezha.proxy.grants import Grants
from nezha.proxy.link import Interim
from nezha.proxy.origin import Origins
from nezha.proxy.outgoing import Ask
from nezha.semantics.control import delta
from nezha.semantics.freshness import may_outlive, time_left, time_left_on_error
from nezha.semantics.headers import directives
from nezha.semantics.keys import matches
from nezha.semantics.ranges import Span
from nezha.semantics.storing import (
    News,
    forbids_storing,
    is_about,
    is_for_all,
    is_same_version,
    outdated,
    own_of,
    renewed,
)
from nezha.semantics.validators import same_strong
from nezha.store.hot import Stored
from nezha.store.store import Store

_DRAINED_BYTES = 256 << 10
_ERRORS = frozenset({500, 502, 503, 504})  # for which RFC 5861 4 lets a stale object stand in
_NONE = Fields()


@dataclass(frozen=True, slots=True)
class Permission:
    """The right to `extent` (None: all) of one version, now. Made here only."""

    version: str
    extent: Extent | None

    def covers(self, version: str, extent: Extent | None) -> bool:
        """Whether it is a right to `extent` of `version`."""
        if version != self.version:
            return False
        return self.extent is None or extent is None or (
            self.extent.start <= extent.start and extent.stop <= self.extent.stop
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Granted:
    """A stored version is the caller's to read; `status` is the origin's (None: nobody was asked).

    `is_outage`: the origin could not be asked, and the route lets a grant outlive itself, or the origin had said that
    the object may stand in for its errors. `own`: what the origin's answer says to this asker only.
    """

    permission: Permission
    status: int | None = None
    is_outage: bool = False
    own: Fields = _NONE
    selected: Stored | None = None  # where a 304 named another version than the one asked about
    entry: Entry | None = None  # as the origin's answer describes it to its asker


@dataclass(frozen=True, slots=True)
class Refused:
    """The origin's own answer to the caller: it releases nothing that is stored."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Changed:
    """The origin's answer is another version: the caller leads it."""

    answer: Answer
    requested_at: float


class Authorizer:
    """Asks and remembers."""

    def __init__(self, grants: Grants, origins: Origins, store: Store, now: Callable[[], float]) -> None:
        self._grants = grants
        self._origins = origins
        self._store = store
        self._now = now

    async def permit(
        self, ask: Ask, stored: Stored, others: Sequence[Stored], extent: Extent | None, interim: Interim
    ) -> Granted | Refused | Changed:
        """The origin's word; in an outage, what the route allows.

        `interim` gets the 1xx heads before that. Raises OriginError. The caller holds a lease on `stored`.
        """
        try:
            outcome = await self.ask(ask, stored, interim, others)
        except OriginError:
            if (granted := self._in_outage(ask, stored, extent, is_error=True)) is None:
                raise
            return granted
        if not isinstance(outcome, Refused) or (status := outcome.answer.head.status) < 500:
            return outcome
        if (granted := self._in_outage(ask, stored, extent, is_error=status in _ERRORS)) is None:
            return outcome
        outcome.answer.abandon()
        return granted

    def granted(self, ask: Ask, stored: Stored, extent: Extent | None) -> Granted | None:
        """A permission that needs no asking: an open answer on plain HTTP, or a live grant.

        The caller has decided that the entry may be used without asking (`decision.Serve`).
        """
        entry, credential, now = stored.entry, ask.read.credential, self._now()
        if self._is_open(ask, entry):
            return Granted(Permission(entry.version, None))
        if credential.expires_at is not None and now >= credential.expires_at:
            return None
        if entry.requested_at <= self._store.epochs.of((ask.key.route, ask.key.bucket)):
            return None
        if self._grants.allow(self._holder(ask), entry, ask.request.method, extent, now):
            return Granted(Permission(entry.version, extent))
        return None

    def _in_outage(self, ask: Ask, stored: Stored, extent: Extent | None, *, is_error: bool) -> Granted | None:
        """A permission while the origin cannot be asked: a grant that the route lets outlive itself.

        Or, on plain HTTP, where the origin or the client allowed it for errors (`is_error`): an open answer's.
        """
        entry, more, policy, now = stored.entry, ask.route.grant_in_outage, ask.route.freshness, self._now()
        if not matches(entry.vary, ask.request.fields):
            return None  # another variant is this one's stand-in only by the origin's word (RFC 9111 4.1)
        left = time_left(entry, policy, now)
        if is_error and self._is_open(ask, entry):
            allowed = delta(directives(ask.request.fields.get("cache-control")).get("stale-if-error")) or 0
            if time_left_on_error(entry, policy, min(allowed, int(policy.grace)), now) > 0:
                return Granted(Permission(entry.version, None), is_outage=True)
        if left + policy.grace <= 0 or not (left > 0 or may_outlive(entry.fields, policy)):
            return None
        if self._is_open(ask, entry) and left + more > 0:
            return Granted(Permission(entry.version, None), is_outage=True)
        if self._grants.allow(self._holder(ask), entry, ask.request.method, extent, now - more):
            return Granted(Permission(entry.version, extent), is_outage=True)
        return None

    async def ask(
        self, ask: Ask, stored: Stored, interim: Interim, others: Sequence[Stored] = ()
    ) -> Granted | Refused | Changed:
        """Sends the caller's own request with the validator of `stored`, and those of `others`. Raises OriginError.

        The lease on `stored` was taken before: a change meanwhile does no harm to what a 304 releases.
        """
        requested_at, entry = self._now(), stored.entry
        more, query = self._condition(ask, entry, others)
        answer = await self._origins.fetch(ask.route, ask.request.method, ask.head(more, query), interim)
        selected = _selected(ask, stored, others, answer.head.fields)
        if answer.head.status == 304 and (more or query) and selected is None:
            # It speaks of a version that is not stored here: its bytes are asked for.
            requested_at, more, query = self._now(), {}, ""
            answer = await self._origins.fetch(ask.route, ask.request.method, ask.head(), interim)
        status = answer.head.status
        if status == 304:
            if not (more or query) and not self._speaks_of(ask, answer, entry):
                return Refused(answer)
            return await self._confirmed(ask, selected or stored, answer, requested_at)
        if status not in {200, 206}:
            return await self._other(ask, stored, answer, requested_at)
        if not is_same_version(entry, answer.head.fields, ask.route.dialect.mark(answer.head.fields)):
            return Changed(answer, requested_at)
        granted = await self._confirmed(ask, stored, answer, requested_at)
        await answer.drain(_DRAINED_BYTES)
        return granted

    async def _confirmed(self, ask: Ask, stored: Stored, answer: Answer, requested_at: float) -> Granted:
        """The answer has said that the stored version is current: it is the caller's, and its fields are renewed."""
        route, dialect, fields = ask.route, ask.route.dialect, answer.head.fields
        news = News(fields, requested_at, self._now(), ask.read.credential.kind is Kind.NONE)
        # What describes a whole object may be a part's; on plain HTTP a 304 speaks as a 200 would (RFC 9110 15.4.5).
        is_whole = answer.head.status == 200 or (answer.head.status == 304 and not dialect.is_object_store)
        parts = frozenset() if is_whole else dialect.whole_fields
        entry = renewed(stored.entry, news, parts, is_metadata=dialect.is_object_store)
        if ask.is_aside:
            return Granted(self.by_answer(ask, stored, answer), answer.head.status, selected=stored, entry=entry)
        is_own = not (news.is_open or dialect.is_object_store or is_for_all(entry.fields))
        # RFC 9111 3.5: what is said to a credential alone makes nothing fresh for others.
        self._store.freshen(stored, outdated(entry) if is_own else entry)
        honors = route.honors_no_store
        if forbids_storing(200, entry.fields, route.freshness, honors_no_store=honors):
            await self._store.bar(stored)
        own = _NONE if dialect.is_object_store else own_of(fields, entry.fields, dialect.exchange_fields)
        return Granted(self.by_answer(ask, stored, answer), answer.head.status, own=own, selected=stored, entry=entry)

    async def _other(self, ask: Ask, stored: Stored, answer: Answer, requested_at: float) -> Refused | Changed:
        """An answer that is no representation: its caller's own, or on plain HTTP what is stored from now on."""
        if not self._is_open(ask, stored.entry) or answer.head.status >= 500:
            return Refused(answer)
        if answer.head.status in {404, 410}:
            await self._store.remove(stored.entry.key)  # what was open to everybody is gone for everybody
        return Changed(answer, requested_at)

    def by_answer(self, ask: Ask, stored: Stored, answer: Answer) -> Permission:
        """The permission that a 200, 206 or 304 to the caller's own request gives, remembered where it may be."""
        entry, now = stored.entry, self._now()
        extent = self._signed_extent(ask, entry.size)
        if (until := self._until(ask, entry, now)) > now:
            self._grants.record(self._holder(ask), entry, ask.request.method, extent, until)
        return Permission(entry.version, extent)

    def _until(self, ask: Ask, entry: Entry, now: float) -> float:
        """Until when this right is remembered (`design.md` section 4); now or earlier: it is not."""
        credential, route = ask.read.credential, ask.route
        match credential.kind:
            case Kind.NONE:
                if not route.dialect.is_object_store:
                    return 0.0  # the entry's own freshness says it (`granted`)
                return now + min(time_left(entry, route.freshness, now), route.grant)
            case Kind.SECRET:
                end = now + route.grant
                return end if credential.expires_at is None else min(end, credential.expires_at)
            case Kind.PROOF:
                return now + route.address_grant

    def _holder(self, ask: Ask) -> bytes:
        credential = ask.read.credential
        is_address = credential.kind is Kind.PROOF
        return self._grants.holder(credential, ask.request.client if is_address else "")

    def _signed_extent(self, ask: Ask, size: int) -> Extent | None:
        """What a credential that covers the Range is limited to."""
        if "range" not in ask.read.credential.signed:
            return None
        span = ask.span or Span(0, None)
        return span.within(size)

    def _is_open(self, ask: Ask, entry: Entry) -> bool:
        is_plain = not ask.route.dialect.is_object_store and ask.read.credential.kind is Kind.NONE
        return is_plain and entry.is_open

    def _condition(self, ask: Ask, entry: Entry, others: Sequence[Stored]) -> tuple[dict[str, str], str]:
        """The stored validators as a field, or as a parameter, where the request has room for one (RFC 9111 4.3.1)."""
        if not 200 <= entry.status < 300:
            return {}, ""  # a 304 would speak of a representation, and none is stored
        etag, modified = entry.fields.get("etag"), entry.fields.get("last-modified")
        may_set, unless = ask.read.may_set, ask.read.unless
        if entry.mark and unless:
            is_parameter = unless.startswith("?")
            return ({}, f"{unless[1:]}={entry.mark}") if is_parameter else ({unless: entry.mark}, "")
        if etag is not None:
            etags = [etag, *(other.entry.fields.get("etag") or "" for other in others)]
            return ({"If-None-Match": ", ".join(etags)} if "if-none-match" in may_set else {}), ""
        if modified is not None and "if-modified-since" in may_set and "if-modified-since" not in ask.request.fields:
            return {"If-Modified-Since": modified}, ""
        return {}, ""

    def _speaks_of(self, ask: Ask, answer: Answer, entry: Entry) -> bool:
        """Whether a 304 to the caller's own condition is about the stored version."""
        etag, asked = entry.fields.get("etag"), ask.request.fields
        named = answer.head.fields.get("etag")
        if named is not None:
            return same_strong(named, etag)
        if "if-none-match" not in asked:
            since = asked.get("if-modified-since")
            return etag is None and since is not None and since == entry.fields.get("last-modified")
        return etag is not None and (asked.get("if-none-match") or "").strip() == etag


def _selected(ask: Ask, stored: Stored, others: Sequence[Stored], answer: Fields) -> Stored | None:
    """The version that a 304 speaks of (RFC 9111 4.3.4); None where it names none of them, or does not say which."""
    mark = ask.route.dialect.mark(answer)
    if not others:
        return stored if is_about(stored.entry, answer, mark) else None
    found = (each for each in (stored, *others) if is_same_version(each.entry, answer, mark))
    return next((each for each in found if not each.body.is_removed), None)
