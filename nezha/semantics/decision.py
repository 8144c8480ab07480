"""The two decisions of a read: what the store can do for a request, and what to do with an origin's answer.

Freshness and shape only: permission is `proxy.authorize`'s. Every outcome is a type with its reason, so that the
callers' `match` is closed and the reason reaches `Cache-Status` and the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from nezha.model import Entry, Extent, Fields, Head, Request
from nezha.semantics.freshness import Policy, delta, lifetime, time_left
from nezha.semantics.headers import directives, end_to_end, members, nominated
from nezha.semantics.ranges import Span, gaps, is_several, parse_content_range, parse_range
from nezha.semantics.validators import Verdict, evaluate, is_strong, range_applies, same_strong


@dataclass(frozen=True, slots=True)
class Selection:
    """What a stored version answers: its status, and the bytes of the object that follow (None: no body)."""

    status: int
    extent: Extent | None


def select(request: Request, entry: Entry) -> Selection:
    """The answer of a stored version to a GET or HEAD (RFC 9110 13.2.2 and 14.2)."""
    verdict = evaluate(request.fields, entry.fields)
    if verdict is not Verdict.PROCEED:
        return Selection(verdict.value, None)
    span = parse_range(request.fields.get("range")) if request.method == "GET" else None
    if span is None or entry.status != 200 or not range_applies(request.fields, entry.fields):
        return Selection(entry.status, Extent(0, entry.size))
    extent = span.within(entry.size)
    return Selection(416, None) if extent is None else Selection(206, extent)


# -- a request -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Serve:
    """The entry answers as it is; `ttl` seconds of freshness are left."""

    selection: Selection
    ttl: float


@dataclass(frozen=True, slots=True)
class Revalidate:
    """The entry answers once the origin has said that it is current."""

    selection: Selection
    reason: str


@dataclass(frozen=True, slots=True)
class Miss:
    """`gaps` of the entry (none: everything) must come from the origin."""

    gaps: tuple[Extent, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Bypass:
    """The request is forwarded and its answer not stored."""

    reason: str


def on_request(
    request: Request, entry: Entry | None, stored: Sequence[Extent], policy: Policy, now: float
) -> Serve | Revalidate | Miss | Bypass:
    """What the store can do for a GET or HEAD; `stored` are the entry's extents, sorted."""
    asked = request.fields.get("range")
    if asked is not None and (parse_range(asked) is None or request.method != "GET"):
        # RFC 9110 14.2 lets us ignore it, but the origin may understand it and answer with a 206.
        return Bypass("multiple-ranges" if is_several(asked) else "range")
    if nominated(request.fields):
        # The origin would not see them, while Vary and the preconditions were judged by them.
        return Bypass("connection")
    control = directives(request.fields.get("cache-control"))
    if "no-store" in control and not policy.is_metadata:
        return Bypass("request-no-store")
    if entry is None:
        return Miss((), "uri-miss")
    selection = select(request, entry)
    if selection.status == 412 and policy.is_metadata:
        return Miss((), "request")  # the caller may know a newer version than the store
    if request.method == "GET" and selection.extent and (missing := gaps(selection.extent, stored)):
        return Miss(tuple(missing), "partial")
    if reason := _must_ask(request, control, entry, policy, now):
        return Revalidate(selection, reason)
    return Serve(selection, time_left(entry, policy, now))


def _must_ask(request: Request, control: dict[str, str | None], entry: Entry, policy: Policy, now: float) -> str | None:
    """Why the entry may not be used without asking; None where it may (RFC 9111 4.2.4 and 5.2.1)."""
    left = time_left(entry, policy, now)
    if "no-cache" in control or (not control and "no-cache" in directives(request.fields.get("pragma"))):
        return "request-no-cache"
    most = delta(control.get("max-age"))
    if most is not None and lifetime(entry.fields, policy) - left > most:
        return "request-max-age"
    least = delta(control.get("min-fresh"))
    if least is not None and left < least:
        return "request-min-fresh"
    return "stale" if left <= 0 else None


# -- an answer -----------------------------------------------------------------------------------------------


class Framing(Enum):
    """How an answer's body ends."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a request when its answer comes: all that bears on storing.

    `asked` is the Range that went out (None: none did). Times are seconds since the epoch. `mark` and `unfit` are what
    the dialect says of the answer.
    """

    request: Request
    asked: Span | None
    shows_credential: bool
    policy: Policy
    may_store: bool
    honors_no_store: bool
    max_object: int
    whole_fields: frozenset[str]  # describe the whole object: those of a part may be the part's
    requested_at: float
    answered_at: float
    mark: str = ""
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """The answer is stored: it carries `extent` of an object of `size` bytes (None: known at its end)."""

    status: int
    fields: Fields
    extent: Extent
    size: int | None
    is_strong: bool


@dataclass(frozen=True, slots=True)
class Freshen:
    """A 304: the stored version is current; `fields` update it."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class Forward:
    """The answer goes to its own client only."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The answer contradicts itself or the request: no byte of it is used."""

    reason: str


def on_response(head: Head, framing: Framing, length: int | None, context: Context) -> Store | Freshen | Forward | Fail:
    """What to do with an origin's answer to a GET; `length` is its body's where the framing states one."""
    if head.status == 304:
        return Freshen(end_to_end(head.fields))
    if head.status not in {200, 206}:
        return Forward("status")
    if head.status == 206 and (fault := _contradiction(head, length, context.asked)) is not None:
        return Fail(fault)
    if (reason := _not_stored(head, framing, context)) is not None:
        return Forward(reason)
    fields = end_to_end(head.fields).without({"set-cookie", "content-range"})
    strong = bool(context.mark) or is_strong(fields.get("etag"))
    if head.status == 200:
        if length is not None and length > context.max_object:
            return Forward("too-large")
        return Store(200, fields, Extent(0, length or 0), length, strong)
    span = parse_content_range(head.fields.get("content-range"))
    if span is None or span.size is None or not strong:
        return Forward("partial-unusable")
    if span.size > context.max_object:
        return Forward("too-large")
    is_all = span.extent == Extent(0, span.size)
    kept = fields.without({"content-length"} if is_all else {"content-length", *context.whole_fields})
    return Store(200, kept, span.extent, span.size, strong)


def _contradiction(head: Head, length: int | None, asked: Span | None) -> str | None:
    """What is wrong with a 206; None where it answers what was asked (RFC 9110 15.3.7)."""
    if asked is None:
        return "unasked 206"
    if (head.fields.get("content-type") or "").lower().startswith("multipart/byteranges"):
        return None
    span = parse_content_range(head.fields.get("content-range"))
    if span is None:
        return "bad Content-Range"
    wanted = asked.within(span.size) if span.size is not None else None
    if wanted is None:
        # The size is unknown, or the origin sent bytes where it should have answered 416.
        starts_there = asked.start is None or span.extent.start == asked.start
        is_bad = span.size is not None or not starts_there
    else:
        # RFC 9110 15.3.7 lets a server send less than was asked, from where it was asked.
        is_bad = span.extent.start != wanted.start or span.extent.stop > wanted.stop
    if is_bad:
        return "wrong Content-Range"
    return "wrong length" if length is not None and length != span.extent.length else None


def _not_stored(head: Head, framing: Framing, context: Context) -> str | None:
    """Why an answer may not be stored; None where it may (RFC 9111 3, and 3.5 for a credential)."""
    if not context.may_store:
        return "anonymous"
    if context.unfit:
        return context.unfit
    if framing is Framing.CLOSE:
        return "no-length"
    if head.status == 206 and framing is Framing.CHUNKED:
        return "partial-unusable"
    if "*" in members(head.fields.get("vary")):
        return "vary"
    if (reason := forbids_storing(head.fields, context.policy, honors_no_store=context.honors_no_store)) is not None:
        return reason
    if context.policy.is_metadata:
        return None
    control = directives(head.fields.get("cache-control"))
    if context.shows_credential and not control.keys() & {"public", "s-maxage", "must-revalidate"}:
        return "authorization"
    has_validator = "etag" in head.fields or "last-modified" in head.fields
    return None if has_validator or lifetime(head.fields, context.policy) > 0 else "no-validator"


def forbids_storing(fields: Fields, policy: Policy, *, honors_no_store: bool) -> str | None:
    """The directive by which a response may not be stored, or after a 304 not stay stored; None where there is none."""
    control = directives(fields.get("cache-control"))
    if policy.is_metadata:
        return "no-store" if honors_no_store and control.keys() & {"no-store", "private"} else None
    return next((name for name in ("no-store", "private") if name in control), None)


def is_same_version(entry: Entry, fields: Fields, mark: str = "") -> bool:
    """Whether an answer with `fields` belongs to the entry's version: by equal strong validator only."""
    return mark == entry.mark if mark or entry.mark else same_strong(entry.fields.get("etag"), fields.get("etag"))


def is_completable(entry: Entry) -> bool:
    """Whether a second request may bring more of the version: a strong validator will say that it is the same."""
    return bool(entry.mark) or is_strong(entry.fields.get("etag"))


_KEPT_AS_STORED = frozenset(
    {"content-length", "content-encoding", "content-type", "content-range", "set-cookie", "etag"}
)


def freshened(stored: Fields, update: Fields) -> Fields:
    """The stored fields after a 304 (RFC 9111 3.2): those of the 304 replace theirs, but not what frames a body.

    A 304 never renames a version: an ETag stays as it was stored. One with the strong ETag of another version
    updates nothing (RFC 9111 4.3.4). Age and Date speak of the answer they came with.
    """
    etag = update.get("etag")
    if is_strong(etag) and is_strong(stored.get("etag")) and not same_strong(etag, stored.get("etag")):
        return stored
    news = update.without(_KEPT_AS_STORED)
    return Fields((*stored.without({"age", "date", *news.names()}), *news))
