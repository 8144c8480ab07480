"""What the store can do for a request: the first decision of a read (the second is `storing`).

Freshness and shape only: permission is `proxy.authorize`'s. Every outcome is a type with its reason, so that the
callers' `match` is closed and the reason reaches `Cache-Status` and the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nezha.model import Entry, Extent, Request
from nezha.semantics.control import control_of, delta
from nezha.semantics.freshness import Policy, age, may_outlive, time_left
from nezha.semantics.headers import directives, nominated
from nezha.semantics.ranges import gaps, is_several, parse_range, parse_ranges, parts_of
from nezha.semantics.validators import Verdict, evaluate, range_applies

_PARTS_MAX = 64  # of one answer; who asks for more gets the whole object (RFC 9110 14.2)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a stored version answers: its status, and the bytes of the object that follow (None: no body).

    Where there are `parts`, the body is these, each with a head of its own (RFC 9110 15.3.7.2); `extent` spans them.
    """

    status: int
    extent: Extent | None
    parts: tuple[Extent, ...] = ()

    @property
    def extents(self) -> tuple[Extent, ...]:
        """Every interval whose bytes are sent."""
        return self.parts or ((self.extent,) if self.extent else ())


def select(request: Request, entry: Entry) -> Selection:
    """The answer of a stored version to a GET or HEAD (RFC 9110 13.2.2 and 14.2)."""
    whole = Selection(entry.status, Extent(0, entry.size))
    if not 200 <= entry.status < 300:
        return whole  # RFC 9110 13.2.1: preconditions are for what would succeed
    verdict = evaluate(request.fields, entry.fields)
    if verdict is not Verdict.PROCEED:
        return Selection(verdict.value, None)
    if request.method != "GET" or entry.status != 200 or not range_applies(request.fields, entry.fields):
        return whole
    asked = request.fields.get("range")
    if is_several(asked):
        return _several(asked, whole, entry.size)
    span = parse_range(asked)
    if span is None:
        return whole
    extent = span.within(entry.size)
    return Selection(416, None) if extent is None else Selection(206, extent)


def _several(asked: str | None, whole: Selection, size: int) -> Selection:
    spans = parse_ranges(asked)
    if spans is None:
        return whole
    parts = parts_of(spans, size)
    if len(parts) > _PARTS_MAX:
        return whole
    if len(parts) <= 1:
        return Selection(206, parts[0]) if parts else Selection(416, None)
    return Selection(206, Extent(min(part.start for part in parts), max(part.stop for part in parts)), tuple(parts))


@dataclass(frozen=True, slots=True)
class Serve:
    """The entry answers as it is; `ttl` seconds of freshness are left.

    `reason`: why it does although it is stale. `refreshes`: the origin is to be asked all the same (RFC 5861 3).
    """

    selection: Selection
    ttl: float
    reason: str = ""
    refreshes: bool = False


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


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The client wants nothing that must be asked for: 504 (RFC 9111 5.2.1.7)."""

    reason: str


Decision = Serve | Revalidate | Miss | Bypass | Unavailable


def on_request(request: Request, entry: Entry | None, stored: Sequence[Extent], policy: Policy, now: float) -> Decision:
    """What the store can do for a GET or HEAD; `stored` are the entry's extents, sorted."""
    control = directives(request.fields.get("cache-control"))
    decision = _bypass(request, control, policy) or _from_entry(request, entry, stored, policy, now)
    if "only-if-cached" in control and not policy.is_metadata and not isinstance(decision, Serve):
        return Unavailable("only-if-cached")
    return decision


def _bypass(request: Request, control: Mapping[str, str | None], policy: Policy) -> Bypass | None:
    """Why a request is neither answered from the store nor its answer stored; None where it may be."""
    asked = request.fields.get("range")
    if asked is not None:
        is_several_here = is_several(asked) and not policy.is_metadata and parse_ranges(asked) is not None
        if request.method != "GET" or (parse_range(asked) is None and not is_several_here):
            # RFC 9110 14.2 lets us ignore it, but the origin may understand it and answer with a 206.
            return Bypass("multiple-ranges" if is_several(asked) else "range")
    if nominated(request.fields):
        # The origin would not see them, while Vary and the preconditions were judged by them.
        return Bypass("connection")
    return Bypass("request-no-store") if "no-store" in control and not policy.is_metadata else None


def _from_entry(
    request: Request, entry: Entry | None, stored: Sequence[Extent], policy: Policy, now: float
) -> Decision:
    is_divided = is_several(request.fields.get("range"))
    if entry is None:
        return Bypass("multiple-ranges") if is_divided else Miss((), "uri-miss")
    selection = select(request, entry)
    if selection.status == 412:
        return Miss((), "request")  # RFC 9111 4.3.2: the caller may know a newer version, and means the origin
    if request.method == "GET":
        missing = tuple(gap for extent in selection.extents for gap in gaps(extent, stored))
        if missing:
            return Bypass("multiple-ranges") if is_divided else Miss(missing, "partial")
    return _by_freshness(request, entry, selection, policy, now)


def _by_freshness(
    request: Request, entry: Entry, selection: Selection, policy: Policy, now: float
) -> Serve | Revalidate | Miss:
    control = directives(request.fields.get("cache-control"))
    left = time_left(entry, policy, now)
    reason = _wants_newer(request, control, entry, left, now)
    if reason is None:
        if left > 0:
            return Serve(selection, left)
        if (allowed := _while_stale(control, entry, policy, -left)) is not None:
            return Serve(selection, left, allowed, refreshes=allowed == "stale-while-revalidate")
        reason = "stale"
    if not 200 <= entry.status < 300:
        # A 304 would speak of a representation, and none is stored.
        return Miss((), "stale" if left <= 0 else "request")
    return Revalidate(selection, reason)


def _wants_newer(
    request: Request, control: Mapping[str, str | None], entry: Entry, left: float, now: float
) -> str | None:
    """Why the client wants to have it asked for; None where it does not (RFC 9111 5.2.1)."""
    if "no-cache" in control or (not control and "no-cache" in directives(request.fields.get("pragma"))):
        return "request-no-cache"
    most = delta(control.get("max-age"))
    # RFC 8246: what never changes while it is fresh need not be asked for at a reload.
    is_lasting = left > 0 and "immutable" in control_of(entry.fields).names
    if most is not None and not is_lasting and age(entry, now) > most:
        return "request-max-age"
    least = delta(control.get("min-fresh"))
    return "request-min-fresh" if least is not None and left < least else None


def _while_stale(control: Mapping[str, str | None], entry: Entry, policy: Policy, overdue: float) -> str | None:
    """Why an entry may be used that is stale since `overdue` seconds; None where it may not (RFC 9111 4.2.4)."""
    if policy.is_metadata or not may_outlive(entry.fields, policy):
        return None
    if overdue <= (control_of(entry.fields).stale_while_revalidate or -1):
        return "stale-while-revalidate"
    if "max-stale" in control:
        most = policy.grace if control["max-stale"] is None else delta(control["max-stale"]) or 0
        return "max-stale" if overdue <= min(most, policy.grace) else None
    return None
