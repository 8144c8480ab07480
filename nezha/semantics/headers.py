"""Field syntax shared by the rest: lists, directives, and which fields travel end to end."""

import re
from collections.abc import Mapping
from functools import lru_cache

from nezha.model import Fields

# RFC 9110 7.6.1. `Trailer` is not listed: it describes the message, whose trailers are passed on as well.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)

# A sender may not name these (RFC 9110 7.6.1 and what Nezha itself relies on); taking them out
# at a client's word would change what is asked (request smuggling by Connection).
_NEVER_NAMED = frozenset(
    {"host", "content-length", "authorization", "range", "if-match", "if-none-match", "cache-control"}
)

# RFC 9110 5.6.2 and 5.6.4: a token or a quoted string, then what else stands before the next comma.
_MEMBER = re.compile(r'(?:[^",]|"(?:\\.|[^"\\])*"?)+')
# No space around the sign: `max-age =5` is max-age without a value, which no reader takes for five seconds.
_DIRECTIVE = re.compile(r'([^\s=;,"]+)(?:=("(?:\\.|[^"\\])*"|[^\s;,"]*))?')
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ESCAPED = re.compile(r"\\(.)")


def members(value: str | None) -> list[str]:
    """The members of a comma-separated list (RFC 9110 5.6.1), empty ones left out, quotes kept."""
    if not value:
        return []
    return [member for part in _MEMBER.findall(value) if (member := part.strip(" \t"))]


def unquoted(value: str) -> str:
    """A quoted string's content; any other value as it is."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value


@lru_cache(4096)
def directives(value: str | None) -> Mapping[str, str | None]:
    """The directives of a Cache-Control field by lower-case name; of a repeated one the first counts.

    RFC 9111 4.2.1 leaves a repeated directive open: the first is used, as most caches do. One with more behind it than
    its argument has none, and what stands there is said as well: `max-age=60; no-store` is not stored.
    """
    found: dict[str, str | None] = {}
    for member in members(value):
        if match := _DIRECTIVE.match(member):
            name, argument = match.groups()
            rest = member[match.end() :]
            found.setdefault(name.lower(), None if argument is None or rest else unquoted(argument))
            for token in TOKEN.findall(rest):
                found.setdefault(token.lower(), None)
    return found


def nominated(fields: Fields) -> frozenset[str]:
    """The fields of a message that only its `Connection` makes hop-by-hop (RFC 9110 7.6.1), in lower case."""
    connection = fields.get("connection")
    if connection is None:
        return frozenset()
    named = {member.lower() for member in members(connection)}
    return frozenset(named.intersection(fields.names())) - HOP_BY_HOP - _NEVER_NAMED


def end_to_end(fields: Fields) -> Fields:
    """The fields that are forwarded: all but hop-by-hop ones and those that `Connection` names."""
    return fields.without(HOP_BY_HOP | nominated(fields))
