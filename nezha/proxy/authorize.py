"""The only maker of Permission: nobody gets a byte or a head of a stored object, or of a running fill, without one.

Permission comes from a live grant, or from the origin's answer to the caller's own request: a 304 to the stored
validator releases that version, a 200 or 206 of the same version counts as 304, a 200 or 206 of another one makes
the caller the leader of that. Everything else is the caller's answer, and releases nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from nezha.dialects import Kind
from nezha.errors import OriginError, OriginMismatch
from nezha.model import Entry, Extent
from nezha.proxy.answer import Answer
from nezha.proxy.grants import Grants
from nezha.proxy.link import Interim
from nezha.proxy.origin import Origins
from nezha.proxy.outgoing import Ask
from nezha.semantics.decision import forbids_storing, freshened, is_same_version
from nezha.semantics.freshness import may_outlive, time_left
from nezha.semantics.headers import end_to_end
from nezha.semantics.keys import matches
from nezha.semantics.ranges import Span
from nezha.semantics.validators import is_strong, same_strong
from nezha.store.hot import Stored
from nezha.store.store import Store

_DRAINED_BYTES = 256 << 10


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
    """The stored version is the caller's to read; `status` is the origin's (None: nobody was asked).

    `is_outage`: the origin could not be asked, and the route lets a grant outlive itself.
    """

    permission: Permission
    status: int | None = None
    is_outage: bool = False


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
        self, ask: Ask, stored: Stored, extent: Extent | None, interim: Interim, *, is_fresh: bool
    ) -> Granted | Refused | Changed:
        """A live grant where the entry is fresh; else the origin's word; in an outage, what the route allows.

        `interim` gets the 1xx heads before that. Raises OriginError. The caller holds a lease on `stored`.
        """
        if is_fresh and (granted := self.granted(ask, stored, extent)) is not None:
            return granted
        try:
            outcome = await self._ask(ask, stored, interim)
        except OriginError:
            if (granted := self._in_outage(ask, stored, extent)) is None:
                raise
            return granted
        if not isinstance(outcome, Refused) or outcome.answer.head.status < 500:
            return outcome
        if (granted := self._in_outage(ask, stored, extent)) is None:
            return outcome
        outcome.answer.abandon()
        return granted

    def granted(self, ask: Ask, stored: Stored, extent: Extent | None) -> Granted | None:
        """A permission that needs no asking: an open answer on plain HTTP while it is fresh, or a live grant."""
        entry, credential, now = stored.entry, ask.read.credential, self._now()
        if self._is_open(ask, entry) and time_left(entry, ask.route.freshness, now) > 0:
            return Granted(Permission(entry.version, None))
        if credential.expires_at is not None and now >= credential.expires_at:
            return None
        if entry.requested_at <= self._store.epoch((ask.key.route, ask.key.bucket)):
            return None
        if self._grants.allow(self._holder(ask), entry.version, ask.request.method, extent, now):
            return Granted(Permission(entry.version, extent))
        return None

    def _in_outage(self, ask: Ask, stored: Stored, extent: Extent | None) -> Granted | None:
        """A permission while the origin cannot be asked: a grant that the route lets outlive itself."""
        entry, more, now = stored.entry, ask.route.grant_in_outage, self._now()
        if not matches(entry.vary, ask.request.fields):
            return None  # another variant is this one's stand-in only by the origin's word (RFC 9111 4.1)
        left = time_left(entry, ask.route.freshness, now)
        if left + ask.route.freshness.grace <= 0 or not (left > 0 or may_outlive(entry.fields, ask.route.freshness)):
            return None
        if self._is_open(ask, entry) and left + more > 0:
            return Granted(Permission(entry.version, None), is_outage=True)
        if self._grants.allow(self._holder(ask), entry.version, ask.request.method, extent, now - more):
            return Granted(Permission(entry.version, extent), is_outage=True)
        return None

    async def _ask(self, ask: Ask, stored: Stored, interim: Interim) -> Granted | Refused | Changed:
        """Sends the caller's own request with the stored validator.

        The lease on `stored` was taken before: a change meanwhile does no harm to what a 304 releases.
        """
        requested_at = self._now()
        entry = stored.entry
        more, query = self._condition(ask, entry)
        answer = await self._origins.fetch(ask.route, ask.request.method, ask.head(more, query), interim)
        status, mark = answer.head.status, ask.route.dialect.mark(answer.head.fields)
        if status == 304:
            if not (more or query) and not self._speaks_of(ask, answer, entry):
                return Refused(answer)
            named, etag = answer.head.fields.get("etag"), entry.fields.get("etag")
            is_other = is_strong(named) and is_strong(etag) and named != etag
            if is_other or (mark and entry.mark and mark != entry.mark):
                raise OriginMismatch(f"origin {ask.route.name}: a 304 that names another version")
            await self._freshen(ask, stored, answer, requested_at)
            return Granted(self.by_answer(ask, stored, answer), 304)
        if status not in {200, 206}:
            if status in {404, 410} and self._is_open(ask, entry):
                await self._store.remove(entry.key)  # what was open to everybody is gone for everybody
            return Refused(answer)
        if not is_same_version(entry, answer.head.fields, mark):
            return Changed(answer, requested_at)
        await self._freshen(ask, stored, answer, requested_at)
        permission = self.by_answer(ask, stored, answer)
        await answer.drain(_DRAINED_BYTES)
        return Granted(permission, status)

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

    def _condition(self, ask: Ask, entry: Entry) -> tuple[dict[str, str], str]:
        """The stored validator as a field, or as a parameter, where the caller's request has room for it."""
        etag, modified = entry.fields.get("etag"), entry.fields.get("last-modified")
        may_set, unless = ask.read.may_set, ask.read.unless
        if entry.mark and unless:
            is_parameter = unless.startswith("?")
            return ({}, f"{unless[1:]}={entry.mark}") if is_parameter else ({unless: entry.mark}, "")
        if etag is not None:
            return ({"If-None-Match": etag} if "if-none-match" in may_set else {}), ""
        if modified is not None and "if-modified-since" in may_set and "if-modified-since" not in ask.request.fields:
            return {"If-Modified-Since": modified}, ""
        return {}, ""

    def _speaks_of(self, ask: Ask, answer: Answer, entry: Entry) -> bool:
        """Whether a 304 to the caller's own condition is about the stored version."""
        etag = entry.fields.get("etag")
        named = answer.head.fields.get("etag")
        if named is not None:
            return same_strong(named, etag)
        return etag is not None and (ask.request.fields.get("if-none-match") or "").strip() == etag

    async def _freshen(self, ask: Ask, stored: Stored, answer: Answer, requested_at: float) -> None:
        if ask.is_aside:
            return
        update = end_to_end(answer.head.fields).without({"content-range", "content-length"})
        if answer.head.status != 200:
            update = update.without(ask.route.dialect.whole_fields)  # they may be a part's
        entry = replace(
            stored.entry,
            fields=freshened(stored.entry.fields, update),
            requested_at=requested_at,
            answered_at=self._now(),
            # What a credential was told is not told to everybody (RFC 9111 3.5), though everybody was told it before.
            is_open=ask.read.credential.kind is Kind.NONE,
        )
        self._store.freshen(stored, entry)
        route = ask.route
        if forbids_storing(entry.fields, route.freshness, honors_no_store=route.honors_no_store):
            stored.is_barred = True  # it was allowed to be stored, and is no more
            if stored.is_current:
                await self._store.remove(entry.key)
