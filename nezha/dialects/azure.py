"""Azure Blob Storage: names, reads, and what each credential leaves room for.

A SharedKey signature covers every header that Nezha might add, x-ms-range among them: such a request goes out as it
is, and the ETag of its answer decides. A SAS is a secret in the URL, which covers no header; a bearer token covers none
either. In a key, account and container stand as in the URL of a local store: ACCOUNT/CONTAINER/BLOB.
"""

import calendar
import re
from collections.abc import Mapping
from types import MappingProxyType

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Kind, Pass, Place, Read, Write
from nezha.dialects.urls import Parameters, bucket_and_name, is_address, lines, parameters_of, presigned
from nezha.model import Fields, Key, Request
from nezha.semantics.ranges import parse_range
from nezha.settings import OriginSettings

_OWN = "x-ms-"
# Of the store's own headers these ask for nothing but the blob; any other passes: a lease, a customer's key, a
# checksum of the range, a structured body.
_HARMLESS_AZURE = frozenset(
    "x-ms-client-request-id x-ms-date x-ms-range x-ms-return-client-request-id x-ms-version".split()
)
_SAS = frozenset("sdd se ses si sig sip ske skoid sks skt sktid skv sp spr sr srt ss st sv saoid scid suoid".split())
_VERSIONS = ("snapshot", "versionid")
_READ_PARAMETERS = frozenset({*_VERSIONS, "timeout"})
# POST and PUT that change no blob's bytes and no head that is stored.
_NO_WRITES = frozenset({"blobs", "lease", "query", "userdelegationkey"})
_MAY_SET = frozenset({"range", "if-match", "if-none-match"})
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,7})?)?Z)?")
# The store takes these for other names than they are, or keeps others than they say.
_NORMALISED = re.compile(r"\\|(?:^|/)\.{1,2}(?:/|$)|[./]$|//")
_PUBLIC = "blob.core.windows.net"


class Azure(Dialect):
    """The dialect of Azure Blob Storage."""

    name = "azure"
    is_object_store = True
    echoed = frozenset({"x-ms-client-request-id", "x-ms-version"})
    # A lease, tags and the time of the last access change without a change of the ETag; a 304 comes with an error code.
    exchange_fields = echoed | frozenset(
        """date server-timing x-ms-error-code x-ms-request-id x-ms-lease-duration x-ms-lease-state x-ms-lease-status
        x-ms-last-access-time x-ms-tag-count""".split()
    )
    whole_fields = frozenset({"content-crc64", "x-ms-content-crc64"})
    part_names = MappingProxyType({"content-md5": "x-ms-blob-content-md5"})

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        accounts = [account.lower() for account in origin.accounts]
        if origin.endpoint:
            store = origin.endpoint.lower()
            places = {store: Place(origin.name, "", frozenset(accounts))}
        else:
            store, places = _PUBLIC, {}
        if not is_address(store):
            places |= {f"{account}.{store}": Place(origin.name, account) for account in accounts}
        own = [host.lower() for host in origin.hosts]
        return places | {host: Place(origin.name, accounts[0] if len(accounts) == 1 else host) for host in own}

    def mark(self, fields: Fields) -> str:
        # Before version 2011-08-18, hence to who asks without a version, the ETag comes without its quotes.
        etag = fields.get("etag") or ""
        return "" if etag.startswith("W/") else etag.strip('"')

    def bucket_of(self, place: Place, request: Request) -> str:
        return bucket_and_name(place, request.path)[0]

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        account, name = bucket_and_name(place, request.path)
        if not account or "/" in account or (place.buckets and account not in place.buckets):
            return Pass("account")
        parameters = parameters_of(request)
        values = dict(parameters)
        if request.method not in {"GET", "HEAD"}:
            return _write(place.route, account, name, request, values)
        if "/" not in name.rstrip("/") or "restype" in values or "comp" in values:
            return Pass("operation")
        if request.method == "HEAD":
            return Pass("properties")  # it says more than the head of a GET
        if request.has_body:
            return Pass("body")
        if _NORMALISED.search(name):
            return Pass("name")
        span = parse_range(_range(request))
        if span is not None and span.start is None:
            return Pass("range")  # no suffixes there
        credential = _credential(request, parameters)
        if isinstance(credential, Pass):
            return credential
        key = Key(place.route, account, name, _version(values, has_api="x-ms-version" in request.fields))
        return _read(key, credential, request)


def _read(key: Key, credential: Credential, request: Request) -> Read:
    own = {name for name in ("if-match", "if-none-match") if name in request.fields}
    may_set = frozenset[str]() if credential.kind is Kind.PROOF else _MAY_SET - own
    asked = request.fields.get("x-ms-range")
    if asked is None:
        return Read(key, credential, may_set)
    fields = request.fields.without({"x-ms-range"}).with_field("Range", asked)
    plain = Request("GET", request.target, fields, request.host, request.client, request.tls, request.version)
    return Read(key, credential, may_set, plain, "x-ms-range")


def _range(request: Request) -> str | None:
    """x-ms-range wins over Range."""
    return request.fields.get("x-ms-range") or request.fields.get("range")


def _version(values: Mapping[str, str], *, has_api: bool) -> str:
    """The version of a key: what the URL names, and whether the head is that of today's API or of the oldest."""
    named = [f"{name}={values[name]}" for name in _VERSIONS if name in values]
    return ",".join(named if has_api else [*named, "old"])


def _write(route: str, account: str, name: str, request: Request, values: Mapping[str, str]) -> Write | Pass:
    if request.method in {"OPTIONS", "TRACE"}:
        return Pass("method")
    if values.get("comp") in _NO_WRITES:
        return Pass("operation")
    is_named = "/" in name.rstrip("/") and values.get("comp") != "batch" and not _NORMALISED.search(name)
    if not is_named or "x-ms-delete-snapshots" in request.fields:
        return Write((), (route, account))
    named = {key: value for key, value in values.items() if key in _VERSIONS}
    versions = [_version(each, has_api=has_api) for each in ({}, named) for has_api in (True, False)]
    return Write(tuple(Key(route, account, name, version) for version in dict.fromkeys(versions)), (route, account))


def _credential(request: Request, parameters: Parameters) -> Credential | Pass:
    """What the caller shows, or why the request passes."""
    values = dict(parameters)
    others = values.keys() - _READ_PARAMETERS
    if len(values) < len(parameters) or len(values.keys() & set(_VERSIONS)) > 1 or not others <= _SAS:
        return Pass("parameters")  # of two, only the store knows which counts
    unlisted = sorted(set(request.fields.names()) - HARMLESS_HEADERS - _HARMLESS_AZURE - {"authorization"})
    if any(name.startswith(_OWN) for name in unlisted):
        return Pass("header")
    authorization = request.fields.get("authorization")
    if authorization is not None:
        return Pass("parameters") if others else _from_header(request, authorization, unlisted)
    if "sig" in others:
        return presigned(request, unlisted, _expiry(values), frozenset())
    if others:
        return Pass("parameters")
    return Pass("credential") if unlisted else ANONYMOUS


def _from_header(request: Request, authorization: str, unlisted: list[str]) -> Credential | Pass:
    scheme, _, rest = authorization.partition(" ")
    covered = "\n".join((*lines(request, unlisted), authorization))
    if scheme in {"SharedKey", "SharedKeyLite"}:
        holder = "\n".join((*lines(request, unlisted), rest.partition(":")[0]))
        return Credential(Kind.PROOF, covered, holder, signed=frozenset({"range"}))
    return Credential(Kind.SECRET, covered) if scheme.lower() == "bearer" else Pass("credential")


def _expiry(values: Mapping[str, str]) -> float | None:
    """When a SAS ends, in seconds since the epoch; None where a stored policy says it, 0 where it cannot be read."""
    ends = values.get("se")
    if ends is None and "si" in values:
        return None
    match = _DATE.fullmatch(ends or "")
    if match is None:
        return 0.0
    try:
        return float(calendar.timegm(tuple(int(group or 0) for group in match.groups())))
    except ValueError:  # a month 13
        return 0.0
