"""Amazon S3 and compatible stores: names, reads, and what SigV4 covers.

A SigV4 `Authorization` is a proof: it shows that its maker holds a key, for this very request. A presigned URL
is a secret: whoever shows it may read, until it expires. Only what is in SignedHeaders is fixed; S3 clients
sign Range where they send one, so that it must go out as it is.
"""

import re
from collections.abc import Mapping, Sequence

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Kind, Pass, Place, Read, Write
from nezha.dialects.urls import decoded, expiry, is_address, lines, parameters_of, presigned, seconds
from nezha.model import Key, Request
from nezha.settings import OriginSettings

_HARMLESS_S3 = HARMLESS_HEADERS | frozenset(
    """amz-sdk-invocation-id amz-sdk-request amz-sdk-retry x-amz-api-version x-amz-checksum-mode
    x-amz-content-sha256 x-amz-date x-amz-te x-amz-user-agent x-amzn-trace-id""".split()
)
_PRESIGNED_V4 = frozenset(
    """x-amz-algorithm x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders x-amz-signature
    x-amz-security-token x-amz-region-set""".split()
)
_PRESIGNED_V2 = frozenset({"awsaccesskeyid", "signature", "expires", "x-amz-security-token"})
_READ_PARAMETERS = frozenset({"versionId", "x-id"})  # x-id only names the operation
_NAMED_WRITES = frozenset({"PUT", "DELETE", "POST"})  # POST: the steps of a multipart upload
_MAY_SET = frozenset({"range", "if-match", "if-none-match"})
_PER_CALLER = "x-amz-server-side-encryption-customer-"  # SSE-C: the bytes depend on the caller's key
_CHECKSUMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256", "type")
_PUBLIC = "amazonaws.com"


class S3(Dialect):
    """The dialect of S3."""

    name = "s3"
    is_object_store = True
    exchange_fields = frozenset({"date", "server-timing", "x-amz-id-2", "x-amz-request-id", "x-amz-request-charged"})
    whole_fields = frozenset({"content-md5", *(f"x-amz-checksum-{name}" for name in _CHECKSUMS)})

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        named = frozenset(origin.buckets)
        stores = [origin.endpoint.lower()] if origin.endpoint else _public_stores(origin)
        places = {store: Place(origin.name, "", named) for store in (*stores, *(h.lower() for h in origin.hosts))}
        for store in stores:
            if is_address(store):
                continue  # an address has no names under it
            places |= {f"{bucket}.{store}": Place(origin.name, bucket, named) for bucket in origin.buckets}
        return places

    def bucket_of(self, place: Place, request: Request) -> str:
        return place.bucket or decoded(request.path.removeprefix("/").partition("/")[0])

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        bucket = self.bucket_of(place, request)
        if not bucket or "/" in bucket or (place.buckets and bucket not in place.buckets):
            return Pass("bucket")
        path = request.path.removeprefix("/")
        name = decoded(path if place.bucket else path.partition("/")[2])
        parameters = parameters_of(request)
        if request.method not in {"GET", "HEAD"}:
            if request.method == "OPTIONS":
                return Pass("method")
            is_named = name and request.method in _NAMED_WRITES and "delete" not in dict(parameters)
            versions = dict.fromkeys(("", *_versions(parameters))) if is_named else ()
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
    if not origin.buckets:
        return []
    return [f"s3.{_PUBLIC}", *(f"s3.{region}.{_PUBLIC}" for region in origin.regions)]


def _versions(parameters: Sequence[tuple[str, str]]) -> list[str]:
    return [value for name, value in parameters if name == "versionId"]


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
    token = request.fields.get("x-amz-security-token") or ""
    scheme, _, rest = authorization.partition(" ")
    if scheme in {"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"}:
        match, holder = re.search(r"SignedHeaders=([^,\s]+)", rest), re.search(r"Credential=([^/,\s]+)", rest)
        if match is None or holder is None:
            return Pass("credential")
        signed = frozenset(match[1].lower().split(";"))
        return Credential(Kind.PROOF, authorization, f"{holder[1]}\n{token}", signed=signed)
    if scheme == "AWS":
        return Credential(Kind.PROOF, authorization, f"{rest.partition(':')[0]}\n{token}")
    if scheme.lower() == "bearer":
        return Credential(Kind.SECRET, "\n".join((*unlisted, authorization)))
    return Pass("credential")


def _expiry(parameters: Mapping[str, str]) -> float:
    return expiry(parameters.get("x-amz-date", ""), parameters.get("x-amz-expires", ""))
