"""How long a stored response may be used without asking (RFC 9111 4.2)."""

from dataclasses import dataclass

from nezha.model import Entry, Fields
from nezha.semantics.headers import directives
from nezha.semantics.validators import parse_date

_FOREVER = 2**31  # RFC 9111 1.2.2: a delta too large counts as this


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route says of freshness: `fresh` and `grace` in seconds.

    `is_metadata`: on object stores Cache-Control and Expires are the uploader's metadata and bound freshness
    from above only; elsewhere RFC 9111 binds. `fresh` serves where the origin states none.
    """

    fresh: float = 0.0
    grace: float = 0.0
    immutable: bool = False
    is_metadata: bool = False


def delta(value: str | None) -> int | None:
    """A delta-seconds; None where it is absent or malformed."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(int(value.lstrip("0")[:11] or 0), _FOREVER)


def stated_lifetime(fields: Fields) -> float | None:
    """The freshness lifetime that a response states for a shared cache, in seconds; None where it states none.

    A malformed one counts as stale (RFC 9111 4.2.1): 0.
    """
    control = directives(fields.get("cache-control"))
    for name in ("s-maxage", "max-age"):
        if name in control:
            return float(delta(control[name]) or 0)
    if "expires" in fields:
        expires, date = parse_date(fields.all("expires")[0]), parse_date(fields.get("date"))
        return max(0.0, expires - date) if expires is not None and date is not None else 0.0
    return None


def lifetime(fields: Fields, policy: Policy) -> float:
    """The freshness lifetime of a response under a route's policy, in seconds."""
    stated = stated_lifetime(fields)
    control = directives(fields.get("cache-control"))
    if "no-cache" in control:
        return 0.0
    if policy.is_metadata:
        own = float(_FOREVER) if policy.immutable else policy.fresh
        return own if stated is None else min(own, stated)
    if policy.immutable:
        return float(_FOREVER)
    return policy.fresh if stated is None else stated


def may_outlive(fields: Fields, policy: Policy) -> bool:
    """Whether a response may be served stale while its origin cannot be asked (RFC 9111 4.2.4)."""
    if policy.is_metadata:
        return True  # the uploader's directives bound freshness only
    control = directives(fields.get("cache-control"))
    return not control.keys() & {"must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"}


def age(entry: Entry, now: float) -> float:
    """The current age of a stored response (RFC 9111 4.2.3), in seconds."""
    date = parse_date(entry.fields.get("date"))
    apparent = max(0.0, entry.answered_at - date) if date is not None else 0.0
    # RFC 9111 5.1: of several the first counts, a malformed one does not.
    received = float(delta((entry.fields.get("age") or "").partition(",")[0].strip()) or 0)
    initial = max(apparent, received + entry.answered_at - entry.requested_at)
    return initial + max(0.0, now - entry.answered_at)


def time_left(entry: Entry, policy: Policy, now: float) -> float:
    """Seconds for which the entry is still fresh; zero or less where it is stale."""
    return lifetime(entry.fields, policy) - age(entry, now)
