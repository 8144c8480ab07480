"""How long a stored response may be used without asking (RFC 9111 4.2), and how long after that (4.2.4, RFC 5861)."""

from dataclasses import dataclass

from nezha.model import Entry, Fields
from nezha.semantics.control import Control, control_of, delta
from nezha.semantics.validators import parse_date

_FOREVER = float(2**31)
HEURISTIC = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""The status codes of which RFC 9110 15.1 says that they may be cached without being told so."""
# What is not there yet may be there soon: a route's `fresh` does not speak of it.
_PASSING = frozenset({404, 405, 414, 501})
_HEURISTIC_SHARE, _HEURISTIC_MOST = 0.1, 86400.0  # of the time since Last-Modified, as RFC 9111 4.2.2 suggests


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route says of freshness: `fresh` and `grace` in seconds.

    `is_metadata`: on object stores Cache-Control and Expires are the uploader's metadata and bound freshness
    from above only; elsewhere RFC 9111 binds. `fresh` serves where the origin states none; `is_heuristic`: there,
    a share of the time since Last-Modified does.
    """

    fresh: float = 0.0
    grace: float = 0.0
    immutable: bool = False
    is_metadata: bool = False
    is_heuristic: bool = False


def date_of(fields: Fields) -> float | None:
    """When an answer was made, by its own first Date; None where it does not say."""
    return parse_date(fields.all("date")[0]) if "date" in fields else None


def stated_lifetime(fields: Fields, control: Control) -> float | None:
    """The freshness lifetime that a response states for a shared cache, in seconds; None where it states none.

    A malformed one counts as stale (RFC 9111 4.2.1): 0. Of several Expires the first counts.
    """
    if control.lifetime is not None:
        return float(control.lifetime)
    if "expires" in fields and not control.is_targeted:
        expires, date = parse_date(fields.all("expires")[0]), date_of(fields)
        return max(0.0, expires - date) if expires is not None and date is not None else 0.0
    return None


def lifetime(status: int, fields: Fields, policy: Policy) -> float:
    """The freshness lifetime of a response under a route's policy, in seconds."""
    control = control_of(fields, is_metadata=policy.is_metadata)
    if control.must_ask:
        return 0.0
    stated = stated_lifetime(fields, control)
    if policy.is_metadata:
        own = _FOREVER if policy.immutable else policy.fresh
        return own if stated is None else min(own, stated)
    if policy.immutable and status == 200:
        return _FOREVER
    return _unstated(status, fields, control, policy) if stated is None else stated


def _unstated(status: int, fields: Fields, control: Control, policy: Policy) -> float:
    """The lifetime where the origin states none (RFC 9111 4.2.2)."""
    if status not in HEURISTIC and "public" not in control.names:
        return 0.0
    modified, date = parse_date(fields.get("last-modified")), date_of(fields)
    if policy.is_heuristic and modified is not None and date is not None:
        return min(max(0.0, (date - modified) * _HEURISTIC_SHARE), _HEURISTIC_MOST)
    return 0.0 if status in _PASSING else policy.fresh


def may_outlive(fields: Fields, policy: Policy) -> bool:
    """Whether a response may be served stale at all (RFC 9111 4.2.4)."""
    # The uploader's directives bound freshness only.
    return policy.is_metadata or not control_of(fields).never_stale


def age(entry: Entry, now: float) -> float:
    """The current age of a stored response (RFC 9111 4.2.3), in seconds."""
    date = date_of(entry.fields)
    apparent = max(0.0, entry.answered_at - date) if date is not None else 0.0
    # RFC 9111 5.1: of several the first counts, a malformed one does not.
    received = float(delta((entry.fields.get("age") or "").partition(",")[0].strip()) or 0)
    initial = max(apparent, received + entry.answered_at - entry.requested_at)
    return initial + max(0.0, now - entry.answered_at)


def time_left(entry: Entry, policy: Policy, now: float) -> float:
    """Seconds for which the entry is still fresh; zero or less where it is stale."""
    return lifetime(entry.status, entry.fields, policy) - age(entry, now)


def time_left_on_error(entry: Entry, policy: Policy, asked: int, now: float) -> float:
    """Seconds for which the entry still stands in for an error of the origin (RFC 5861 4), zero or less where not.

    `asked`: the seconds that the client itself allows.
    """
    if policy.is_metadata or not may_outlive(entry.fields, policy):
        return 0.0
    return time_left(entry, policy, now) + max(control_of(entry.fields).stale_if_error, asked)
