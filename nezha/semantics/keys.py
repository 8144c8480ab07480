"""Variants: which of several stored objects under one key a request selects (RFC 9111 4.1)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nezha.model import Entry, Fields
from nezha.semantics.freshness import date_of
from nezha.semantics.headers import members
from nezha.semantics.validators import is_joinable

Vary = tuple[tuple[str, str | None], ...]


def vary_of(response: Fields, request: Fields) -> Vary:
    """The request fields that an answer's Vary names, sorted, each with the request's normalised value."""
    names = sorted({member.lower() for member in members(response.get("vary"))})
    return tuple((name, _normalised(name, request.get(name))) for name in names)


# RFC 9110 12.5: lists of choices, each with a weight; in which order they stand does not matter, nor the case.
_CHOICES = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
_WEIGHT = re.compile(r"[ \t]*;[ \t]*q=([01](?:\.\d{0,3})?)\Z", re.IGNORECASE | re.ASCII)


def _normalised(name: str, value: str | None) -> str | None:
    """What has the same meaning, in one form (RFC 9111 4.1): white space and the list's form do not matter."""
    if value is None:
        return None
    listed = members(value)
    return ", ".join(sorted(_choice(member) for member in listed) if name in _CHOICES else listed)


def _choice(member: str) -> str:
    """One choice, in lower case where nothing in it is quoted; a weight of 1 goes without saying."""
    match = _WEIGHT.search(member)
    choice = member[: match.start()] if match else member
    weight = float(match[1]) if match else 1.0
    choice = choice if '"' in choice else choice.lower()
    return choice if weight == 1 else f"{choice};q={weight:g}"


def matches(vary: Vary, request: Fields) -> bool:
    """Whether a request selects the variant that was stored with `vary`."""
    return all(_normalised(name, request.get(name)) == value for name, value in vary)


@dataclass(frozen=True, slots=True)
class Variant:
    """A stored entry for a request. `is_exact`: its Vary selects it; else only a 304 can (RFC 9111 4.1).

    Then `others` are those that it may select as well, by their strong validators.
    """

    entry: Entry
    is_exact: bool
    others: tuple[Entry, ...] = ()


def variant(entries: Sequence[Entry], request: Fields) -> Variant | None:
    """The newest entry that the request selects, else the newest whose strong validator can be asked about.

    Equal strong validators mean equal bytes (RFC 9110 8.8.1), whatever Vary says: object stores send
    `Vary: Accept-Encoding` with every object, and one copy of it serves all clients.
    """
    found = [entry for entry in entries if matches(entry.vary, request)]
    if found:
        return Variant(max(found, key=_newest), is_exact=True)
    strong = sorted((entry for entry in entries if is_joinable(entry)), key=_newest, reverse=True)
    return Variant(strong[0], is_exact=False, others=tuple(strong[1:])) if strong else None


def _newest(entry: Entry) -> tuple[float, float]:
    """RFC 9111 4: the most recent by its Date."""
    date = date_of(entry.fields)
    return (entry.answered_at if date is None else date, entry.answered_at)
