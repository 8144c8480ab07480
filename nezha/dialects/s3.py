"""Amazon S3 and compatible stores: names, reads, and what SigV4 covers.

A SigV4 `Authorization` is a proof: it shows that its maker holds a key, for this very request. A presigned URL
is a secret: whoever shows it may read, until it expires. Only what is in SignedHeaders is fixed; S3 clients
sign Range where they send one, so that it must go out as it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Kind, Pass, Place, Read, Write
from nezha.dialects.urls import bucket_and_name, expiry, is_address, lines, parameters_of, presigned, seconds
from nezha.model import Key, Request
from nezha.settings import OriginSettings

_HARMLESS_S3 = HARMLESS_HEADERS | frozenset(
    """amz-sdk-invocation-id amz-sdk-request amz-sdk-retry x-amz-api-version x-amz-checksum-mode
    x-amz-content-sha256 x-amz-date x-amz-te x-amz-user-agent x-amzn-trace-id""".split()
)
_PRESIGNED_V4 = frozenset(
    """x-amz-algorithm x-amz-checksum-mode x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders
    x-amz-signature x-amz-security-token x-amz-region-set""".split()
)
_PRESIGNED_V2 = frozenset({"awsaccesskeyid", "signature", "expires", "x-amz-security-token"})
_READ_PARAMETERS = frozenset({"versionId", "x-id"})  # x-id only names the operation
_NAMED_WRITES = frozenset({"PUT", "DELETE", "POST"})  # POST: the steps of a multipart upload
_UNNAMED_WRITES = frozenset({"delete", "renameObject"})  # they change what their bodies or headers name
_MAY_SET = frozenset({"range", "if-match", "if-none-match"})
_PER_CALLER = "x-amz-server-side-encryption-customer-"  # SSE-C: the bytes depend on the caller's key
_CHECKSUMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256", "type")
# The names of Amazon's stores: the one that knows all regions, those of each region, and those of one region only.
# Each is a store that names buckets in the path, and a suffix of their own names; but accelerated ones are no stores.
_PUBLIC = "amazonaws.com"
_CHINA = "amazonaws.com.cn"  # where there is nothing but regions
_GLOBAL = {"standard": ("s3.amazonaws.com",)}
_REGIONAL = {"standard": "s3.{}", "legacy": "s3-{}", "dualstack": "s3.dualstack.{}"}
_SPECIAL = {("legacy", "us-east-1"): ("s3-external-1.amazonaws.com",)}
_ACCELERATED = {"accelerate": ("s3-accelerate.amazonaws.com", "s3-accelerate.dualstack.amazonaws.com")}
# What an answer says of its exchange, or only to callers with rights beyond reading the object.
_OF_THE_CALLER = frozenset(
    """x-amz-id-2 x-amz-object-lock-legal-hold x-amz-object-lock-mode x-amz-object-lock-retain-until-date
    x-amz-request-charged x-amz-request-id x-amz-tagging-count""".split()
)


class S3(Dialect):
    """The dialect of S3."""

    name = "s3"
    is_object_store = True
    exchange_fields = frozenset({"date", "server-timing", *_OF_THE_CALLER})
    whole_fields = frozenset({"content-md5", *(f"x-amz-checksum-{name}" for name in _CHECKSUMS)})

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        named = frozenset(origin.buckets)
        stores = [origin.endpoint.lower()] if origin.endpoint else _public_stores(origin)
        places = {store: Place(origin.name, "", named) for store in (*stores, *(h.lower() for h in origin.hosts))}
        for store in stores:
            if is_address(store):
                continue  # an address has no names under it
            for bucket in origin.buckets:
                # No certificate is good for the name of a bucket with dots, as a wildcard stands for one label.
                at = store if "." in bucket else ""
                places[f"{bucket}.{store}"] = Place(origin.name, bucket, named, reached_at=at)
        for store in _accelerated(origin):
            undotted = (bucket for bucket in origin.buckets if "." not in bucket)
            places |= {f"{bucket}.{store}": Place(origin.name, bucket, named) for bucket in undotted}
        return places

    def bucket_of(self, place: Place, request: Request) -> str:
        return bucket_and_name(place, request.path)[0]

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        bucket, name = bucket_and_name(place, request.path)
        if not bucket or "/" in bucket or (place.buckets and bucket not in place.buckets):
            return Pass("bucket")
        parameters = parameters_of(request)
        if request.method not in {"GET", "HEAD"}:
            if request.method == "OPTIONS":
                return Pass("method")
            versions = _written(request, parameters) if name else ()
            keys = tuple(Key(place.route, bucket, name, version) for version in versions)
            return Write(keys, (place.route, bucket))
        if not name:
            return Pass("list")
        if request.has_body:
            return Pass("body")
        if any(header.startswith(_PER_CALLER) for header in request.fields.names()):
            return Pass("sse-c")
        credential = _credential(request, parameters)
        if isinstance(credential, Pass):
            return credential
        version = "".join(_versions(parameters))  # at most one: else the parameters were refused
        return Read(Key(place.route, bucket, name, version), credential, _may_set(request, credential))


def _public_stores(origin: OriginSettings) -> list[str]:
    """Amazon's stores, in the order of the settings."""
    if not origin.buckets:
        return []
    stores: list[str] = []
    for kind in origin.endpoints:
        stores += _GLOBAL.get(kind, ())
        for region in origin.regions if kind in _REGIONAL else ():
            suffix = _CHINA if region.startswith("cn-") else _PUBLIC
            stores += [f"{_REGIONAL[kind].format(region)}.{suffix}", *_SPECIAL.get((kind, region), ())]
    return stores


def _accelerated(origin: OriginSettings) -> list[str]:
    if origin.endpoint:
        return []
    return [store for kind in origin.endpoints for store in _ACCELERATED.get(kind, ())]


def _versions(parameters: Sequence[tuple[str, str]]) -> list[str]:
    return [value for name, value in parameters if name == "versionId"]


def _written(request: Request, parameters: Sequence[tuple[str, str]]) -> Iterable[str]:
    """The versions that a write to an object's URL changes; none where that does not say what it changes.

    A write without a version makes a new one, or in a bucket that keeps none replaces the one called `null`.
    """
    if request.method not in _NAMED_WRITES or not _UNNAMED_WRITES.isdisjoint(dict(parameters)):
        return ()
    if (request.fields.get("content-type") or "").lower().startswith("multipart/form-data"):
        return ()  # a browser's form names its object inside
    return dict.fromkeys(("", "null", *_versions(parameters)))


def _may_set(request: Request, credential: Credential) -> frozenset[str]:
    free = _MAY_SET - credential.signed
    own = {name for name in ("if-match", "if-none-match") if name in request.fields}
    return free - own  # a client's own condition goes out alone


def _credential(request: Request, parameters: Sequence[tuple[str, str]]) -> Credential | Pass:
    """What the caller shows, or why the request passes."""
    values = {name.lower(): value for name, value in parameters}
    if len(values) < len(parameters) or "" in _versions(parameters):
        return Pass("parameters")  # which of two counts, only the store knows
    names = {name.lower() for name, _ in parameters if name not in _READ_PARAMETERS}
    unlisted = sorted(set(request.fields.names()) - _HARMLESS_S3 - {"authorization"})
    authorization = request.fields.get("authorization")
    if authorization is not None:
        return Pass("parameters") if names else _from_header(request, authorization, lines(request, unlisted))
    if "x-amz-signature" in names and names <= _PRESIGNED_V4:
        signed = frozenset(values.get("x-amz-signedheaders", "").lower().split(";"))
        return presigned(request, signed.union(unlisted), _expiry(values), signed)
    if "signature" in names and names <= _PRESIGNED_V2:
        # Version 2 signs these where they are there, without saying so.
        covered = {name for name in request.fields.names() if name.startswith("x-amz-") or name == "content-type"}
        return presigned(request, covered.union(unlisted), seconds(values.get("expires", "")), frozenset())
    if names:
        return Pass("parameters")
    return Pass("credential") if unlisted else ANONYMOUS


def _from_header(request: Request, authorization: str, unlisted: list[str]) -> Credential | Pass:
    scheme, _, rest = authorization.partition(" ")
    if scheme in {"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"}:
        match, holder = re.search(r"SignedHeaders=([^,\s]+)", rest), re.search(r"Credential=([^/,\s]+)", rest)
        if match is None or holder is None:
            return Pass("credential")
        signed = frozenset(match[1].lower().split(";"))
        return Credential(Kind.PROOF, authorization, "\n".join((holder[1], *unlisted)), signed=signed)
    if scheme == "AWS":
        return Credential(Kind.PROOF, authorization, "\n".join((rest.partition(":")[0], *unlisted)))
    if scheme.lower() == "bearer":
        return Credential(Kind.SECRET, "\n".join((*unlisted, authorization)))
    return Pass("credential")


def _expiry(parameters: Mapping[str, str]) -> float:
    return expiry(parameters.get("x-amz-date", ""), parameters.get("x-amz-expires", ""))
