"""What becomes of an origin's answer: the second decision of a read (the first is `decision`).

Whether it is stored (RFC 9111 3), which of its fields are, whether it belongs to a version that is there, and how a 304
or a HEAD's answer changes what is stored.
"""

from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import Enum

from nezha.model import Entry, Extent, Fields, Head, Request
from nezha.semantics.control import Control, control_of
from nezha.semantics.freshness import HEURISTIC, Policy, date_of, lifetime, stated_lifetime
from nezha.semantics.headers import end_to_end, members
from nezha.semantics.ranges import Span, is_several, parse_content_range
from nezha.semantics.validators import is_strong, same_strong, same_weak

# RFC 9111 5.2.2.3: the status codes whose caching is understood here: all of RFC 9110 that have a rule of their own.
_UNDERSTOOD = frozenset(
    {200, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 417}
    | {421, 422, 426, 500, 501, 502, 503, 504, 505}
)


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
    policy = context.policy
    if head.status == 304:
        return Freshen(end_to_end(head.fields))
    if head.status not in {200, 206} and policy.is_metadata:
        return Forward("status")
    if head.status == 206 and is_several(context.request.fields.get("range")):
        return Forward("multiple-ranges")
    if head.status == 206 and (fault := _contradiction(head, length, context.asked)) is not None:
        return Fail(fault)
    control = control_of(head.fields, is_metadata=policy.is_metadata)
    fields = _kept(end_to_end(head.fields), control, context.answered_at, is_metadata=policy.is_metadata)
    if (reason := _not_stored(head, framing, fields, control, context)) is not None:
        return Forward(reason)
    strong = head.status in {200, 206} and (bool(context.mark) or is_strong(fields.get("etag")))
    if head.status != 206:
        if length is not None and length > context.max_object:
            return Forward("too-large")
        return Store(head.status, fields, Extent(0, length or 0), length, strong)
    span = parse_content_range(head.fields.get("content-range"))
    # Without a strong validator no other part is ever joined to it (RFC 9111 3.4): it stands for itself.
    if span is None or span.size is None or (policy.is_metadata and not strong):
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


def _not_stored(head: Head, framing: Framing, fields: Fields, control: Control, context: Context) -> str | None:
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
    reason = forbids_storing(head.status, head.fields, context.policy, honors_no_store=context.honors_no_store)
    if reason is not None or context.policy.is_metadata:
        return reason
    if context.shows_credential and (head.status >= 300 or not is_for_all(head.fields)):
        return "authorization"  # a refusal speaks of its credential, whatever it says
    return _of_no_use(head.status, fields, control, context.policy)


def is_for_all(fields: Fields) -> bool:
    """Whether the answer to a credential may be used for others (RFC 9111 3.5)."""
    return bool(control_of(fields).names & {"public", "s-maxage", "must-revalidate"})


def forbids_storing(status: int, fields: Fields, policy: Policy, *, honors_no_store: bool) -> str | None:
    """The directive by which a response may not be stored, or after a 304 not stay stored; None where there is none."""
    control = control_of(fields, is_metadata=policy.is_metadata)
    if policy.is_metadata:
        return "no-store" if honors_no_store and control.names & {"no-store", "private"} else None
    if "must-understand" in control.names:
        if status not in _UNDERSTOOD:
            return "status"
    elif "no-store" in control.names:  # RFC 9111 5.2.2.3: beside must-understand it is for those who do not
        return "no-store"
    return "private" if control.is_private else None


def _of_no_use(status: int, fields: Fields, control: Control, policy: Policy) -> str | None:
    """Why an answer that may be stored would never be used; or may not, because nobody says that it may be."""
    is_stated = stated_lifetime(fields, control) is not None
    if not (is_stated or status in HEURISTIC or "public" in control.names):
        return "status"
    may_be_asked = 200 <= status < 300 and ("etag" in fields or "last-modified" in fields)
    is_of_use = may_be_asked or control.stale_while_revalidate or control.stale_if_error
    return None if is_of_use or lifetime(status, fields, policy) > 0 else "no-validator"


# What a response cannot be without: Nezha decides by it.
_NEEDED = frozenset({"vary", "date"})


def _kept(fields: Fields, control: Control, at: float, *, is_metadata: bool) -> Fields:
    """The fields of an answer that are stored (RFC 9111 3.1): not what is for its asker only, and always a Date."""
    dropped = {"content-range", "trailer"}
    if is_metadata or not control.is_shared:
        dropped.add("set-cookie")
    if is_metadata:
        return fields.without(dropped)
    fields = fields.without(dropped | (control.unstored - _NEEDED))
    # RFC 9110 6.6.1: who receives none that is one notes when that was.
    return fields if date_of(fields) is not None else fields.with_field("Date", formatdate(at, usegmt=True))


def is_same_version(entry: Entry, fields: Fields, mark: str = "") -> bool:
    """Whether a 200 or 206 with `fields` belongs to the entry's version: by equal mark or strong validator only."""
    if entry.status != 200:
        return False
    return mark == entry.mark if mark or entry.mark else same_strong(entry.fields.get("etag"), fields.get("etag"))


def is_beside(old: Entry, new: Entry) -> bool:
    """Whether an entry stays stored beside a new one: as another variant, or as another form of the same version."""
    if old.form != new.form:
        return old.mark == new.mark
    return old.vary != new.vary


def is_about(entry: Entry, fields: Fields, mark: str = "") -> bool:
    """Whether a 304 to the entry's validator can be about it: it names no other version (RFC 9111 4.3.4)."""
    if mark and entry.mark:
        return mark == entry.mark
    named, etag = fields.get("etag"), entry.fields.get("etag")
    return named is None or not is_strong(named) or (etag is not None and same_weak(named, etag))


def is_head_of(entry: Entry, fields: Fields) -> bool:
    """Whether a HEAD's answer describes what is stored, by all that it says of it (RFC 9111 4.3.5).

    One that is silent about the validator by which the stored response is known may be of another.
    """
    stored = entry.fields.with_field("Content-Length", str(entry.size))
    known_by = next((name for name in ("etag", "last-modified") if name in stored), None)
    if known_by is not None and known_by not in fields:
        return False
    return all(fields.get(name) in (None, stored.get(name)) for name in ("etag", "last-modified", "content-length"))


def outdated(entry: Entry) -> Entry:
    """The entry as one that is as old as can be, so that it is asked for before its next use."""
    return replace(entry, requested_at=0.0, answered_at=0.0)


_FRAME = frozenset({"content-length", "content-range"})


@dataclass(frozen=True, slots=True)
class News:
    """An answer about what is stored. `is_open`: it came to who showed no credential. Times are since the epoch."""

    fields: Fields
    requested_at: float
    answered_at: float
    is_open: bool


def renewed(entry: Entry, news: News, kept: frozenset[str] = frozenset(), *, is_metadata: bool) -> Entry:
    """The entry after a 304, or another answer of its version (RFC 9111 3.2): fields of that replace its own.

    But for what frames a body; and a version is never renamed: a strong ETag stays. An answer with the strong ETag of
    another version updates nothing. Age and Date speak of the answer they came with. What a credential was told is not
    told to everybody (RFC 9111 3.5), though everybody was told it before. `kept`: fields that stay as they are.
    """
    stored, named = entry.fields, news.fields.get("etag")
    entry = replace(entry, requested_at=news.requested_at, answered_at=news.answered_at, is_open=news.is_open)
    if is_strong(named) and not same_strong(named, stored.get("etag")):
        return entry
    update = end_to_end(news.fields).without(_FRAME | kept | ({"etag"} if is_strong(stored.get("etag")) else set()))
    merged = Fields((*stored.without({"age", "date", *update.names()}), *update))
    control = control_of(merged, is_metadata=is_metadata)
    return replace(entry, fields=_kept(merged, control, news.answered_at, is_metadata=is_metadata))


def own_of(answer: Fields, stored: Fields, exchange: frozenset[str]) -> Fields:
    """The fields of an answer that only its asker gets: those that are not stored with it, or are of that exchange."""
    items = end_to_end(answer).without(_FRAME | {"age", "cache-status", "date", "trailer"})
    return Fields(item for item in items if (name := item[0].lower()) in exchange or name not in stored)
