"""Variants: which of several stored objects under one key a request selects (RFC 9111 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from nezha.model import Entry, Fields
from nezha.semantics.headers import members
from nezha.semantics.validators import is_strong

Vary = tuple[tuple[str, str | None], ...]


def vary_of(response: Fields, request: Fields) -> Vary:
    """The request fields that an answer's Vary names, sorted, each with the request's normalised value."""
    names = sorted({member.lower() for member in members(response.get("vary"))})
    return tuple((name, _normalised(request.get(name))) for name in names)


def _normalised(value: str | None) -> str | None:
    """RFC 9111 4.1: white space and the list's form do not matter."""
    return None if value is None else ", ".join(members(value))


def matches(vary: Vary, request: Fields) -> bool:
    """Whether a request selects the variant that was stored with `vary`."""
    return all(_normalised(request.get(name)) == value for name, value in vary)


@dataclass(frozen=True, slots=True)
class Variant:
    """A stored entry for a request. `is_exact`: its Vary selects it; else only a 304 can (RFC 9111 4.1)."""

    entry: Entry
    is_exact: bool


def variant(entries: Sequence[Entry], request: Fields) -> Variant | None:
    """The newest entry that the request selects, else the newest whose strong validator can be asked about.

    Equal strong validators mean equal bytes (RFC 9110 8.8.1), whatever Vary says: object stores send
    `Vary: Accept-Encoding` with every object, and one copy of it serves all clients.
    """
    found = [entry for entry in entries if matches(entry.vary, request)]
    if found:
        return Variant(max(found, key=_newest), is_exact=True)
    strong = [entry for entry in entries if is_strong(entry.fields.get("etag"))]
    return Variant(max(strong, key=_newest), is_exact=False) if strong else None


def _newest(entry: Entry) -> float:
    return entry.answered_at
