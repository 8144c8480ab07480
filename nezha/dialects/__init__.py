"""What Nezha knows of each object-store protocol: one file each, values in, values out.

A dialect says under which names a store is reached, what a request asks of it, what its caller shows as a
credential, and what Nezha may add to the request without breaking a signature (`clients.md` of the design).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from nezha.model import Fields, Key, Request
from nezha.settings import OriginSettings


class Kind(Enum):
    """What a caller shows of its right to read."""

    NONE = "none"  # nothing: every header and parameter is known to be harmless
    SECRET = "secret"  # the request holds the secret itself: a token, a presigned URL
    PROOF = "proof"  # the request holds a proof made with a secret that it does not show: SigV4


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request shows. `material` is the credential with everything its signature covers; `identity` names
    the holder of the key behind a proof."""

    kind: Kind
    material: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    expires_at: float | None = None
    signed: frozenset[str] = frozenset()  # header names in lower case that a signature covers


ANONYMOUS = Credential(Kind.NONE)


@dataclass(frozen=True, slots=True)
class Read:
    """A read that may be served from the store. `may_set`: headers that Nezha may add or replace.

    `plain`: the same read in the words of RFC 9110, where its store has words of its own; `range_name`: how it calls
    the Range. `unless`: the field, or after `?` the parameter, by which Nezha may ask for any version but a mark's.
    `mark`: that of the version which the read names; `current`: the key of the object itself, which may hold it too.
    `form`: of the URL forms of one object, that of this read; each has a head of its own.
    """

    key: Key
    credential: Credential
    may_set: frozenset[str]
    plain: Request | None = None
    range_name: str = "Range"
    unless: str = ""
    mark: str = ""
    current: Key | None = None
    form: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """An unsafe request: `keys` are what it changes; where it names none, all of `bucket` is asked again."""

    keys: tuple[Key, ...]
    bucket: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pass:
    """Forwarded untouched, never stored, for `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """What a host name stands for: a bucket, or where `bucket` is empty a store that names it in the path."""

    route: str
    bucket: str = ""
    buckets: frozenset[str] = frozenset()  # the configured ones; empty: all
    credential_headers: frozenset[str] = frozenset()
    reached_at: str = ""  # where that is another name than the host's own


class Dialect(Protocol):
    """One object-store protocol."""

    name: str
    is_object_store: bool
    exchange_fields: frozenset[str]  # of one exchange only: never replayed from the store
    whole_fields: frozenset[str]  # describe the whole object: dropped from a part of it
    echoed: frozenset[str] = frozenset()  # an answer repeats them from its request
    part_names: Mapping[str, str] = MappingProxyType({})  # of whole fields: how a part of the object calls them

    def mark(self, fields: Fields) -> str:
        """What the store tells versions apart by, where that is not the ETag: equal marks, equal bytes; else empty."""
        return ""

    def unfit(self, fields: Fields) -> str:
        """Why an answer's bytes are not the object's, so that it passes; empty where they are."""
        return ""

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        """Every host name (lower case, with a port where it was given) under which `origin` is reached."""

    def bucket_of(self, place: Place, request: Request) -> str:
        """The bucket that a request names: empty where it names none."""

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        """What the request asks of the store."""


# RFC 9110 and what runs on the way add these; none of them is a credential, none changes the bytes of a
# stored object for its reader (`Accept*` and `Origin` only through Vary, which the store honours).
HARMLESS_HEADERS = frozenset(
    """accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method baggage cache-control connection content-length content-type date dnt expect
    forwarded from host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive
    max-forwards origin pragma priority proxy-connection purpose range referer save-data sec-ch-ua
    sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user te
    traceparent tracestate upgrade upgrade-insecure-requests user-agent via x-forwarded-for x-forwarded-proto
    x-real-ip x-request-id""".split()
)
