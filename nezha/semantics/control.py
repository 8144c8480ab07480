"""What a response says of its own caching, read once: Cache-Control (RFC 9111 5.2), or what is said to this cache.

A targeted field that is there, and a dictionary, counts instead of Cache-Control and Expires (RFC 9213 2.2): first
Nezha's own, then what is said to every CDN. Directives that contradict each other, or themselves, are read so that
less is stored and reused (RFC 9111 4.2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import http_sf

from nezha.model import Fields
from nezha.semantics.headers import TOKEN, directives, members

TARGETED = ("nezha-cache-control", "cdn-cache-control")
_FOREVER = 2**31  # RFC 9111 1.2.2: a delta too large counts as this
_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
# RFC 9111 4.2.4: stale is not served against these; 5.2.2.10: s-maxage has the meaning of proxy-revalidate.
_NEVER_STALE = frozenset({"must-revalidate", "proxy-revalidate", "s-maxage"})


def delta(value: str | None) -> int | None:
    """A delta-seconds; None where it is absent or malformed."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(int(value.lstrip("0")[:11] or 0), _FOREVER)


@dataclass(frozen=True, slots=True)
class Control:
    """The directives of a response by their effect; times in seconds.

    `lifetime`: as stated for a shared cache, 0 where it is malformed, None where it is not stated. `must_ask`: no use
    without asking. `unstored`: the fields that are for its asker only, in lower case. `is_targeted`: Expires does not
    count.
    """

    names: frozenset[str]
    lifetime: int | None
    must_ask: bool
    is_private: bool
    never_stale: bool
    unstored: frozenset[str]
    stale_while_revalidate: int
    stale_if_error: int
    is_targeted: bool

    @property
    def is_shared(self) -> bool:
        """Whether the origin says that it is for everybody."""
        return bool(self.names & {"public", "s-maxage"})


def control_of(fields: Fields, *, is_metadata: bool = False) -> Control:
    """What a response says. `is_metadata`: by Cache-Control alone, the words of whoever uploaded it."""
    if not is_metadata:
        for name in TARGETED:
            if name in fields and (control := _targeted(fields.get(name) or "")) is not None:
                return control
    return _plain(fields.get("cache-control") or "")


@lru_cache(4096)
def _plain(value: str) -> Control:
    return _control(directives(value), is_targeted=False)


@lru_cache(1024)
def _targeted(value: str) -> Control | None:
    """The directives of a targeted field; None where it is empty, or no dictionary of directives (RFC 9213 2.1)."""
    try:
        found = http_sf.parse(value.encode("latin-1"), tltype="dictionary")
    except ValueError:
        return None
    parsed = cast("dict[str, tuple[object, object]]", found)
    said: dict[str, str | None] = {}
    for name, (item, _) in parsed.items():
        if name in _SECONDS and type(item) is not int:
            return None
        if item is not False:
            said[name] = None if item is True else str(item)
    return _control(said, is_targeted=True) if parsed else None


def _control(said: Mapping[str, str | None], *, is_targeted: bool) -> Control:
    stated = next((name for name in ("s-maxage", "max-age") if name in said), None)
    no_cache, private = (_fields(said, name) for name in ("no-cache", "private"))
    must_ask = "no-cache" in said and not no_cache
    return Control(
        names=frozenset(said),
        lifetime=None if stated is None else delta(said[stated]) or 0,
        must_ask=must_ask,
        is_private="private" in said and not private,
        never_stale=must_ask or not _NEVER_STALE.isdisjoint(said),
        unstored=no_cache | private,
        stale_while_revalidate=delta(said.get("stale-while-revalidate")) or 0,
        stale_if_error=delta(said.get("stale-if-error")) or 0,
        is_targeted=is_targeted,
    )


def _fields(said: Mapping[str, str | None], name: str) -> frozenset[str]:
    """The field names that qualify a directive (RFC 9111 5.2.2.4, 5.2.2.7); none where it is not well qualified."""
    named = [member.lower() for member in members(said.get(name))]
    return frozenset(named) if all(TOKEN.fullmatch(member) for member in named) else frozenset()
