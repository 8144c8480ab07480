"""Google Cloud Storage: the URL forms of one object, and how each lets Nezha ask by generation.

    media   /download/storage/v1/b/BUCKET/o/OBJECT?alt=media     google-cloud-storage, gcsfs
    json    /storage/v1/b/BUCKET/o/OBJECT?alt=media              pyarrow
    xml     /BUCKET/OBJECT, or BUCKET.storage.googleapis.com/OBJECT   obstore, signed URLs, S3 clients

The generation is the version: it comes with every answer, which an ETag does not, and the ETags of the JSON API are
without quotes. The forms differ in their heads, and not in the bytes of a generation, which they share. Who accepts
gzip asks by a form of its own: to others the store inflates what was stored compressed (such an answer is not the
object's bytes: it passes).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Kind, Pass, Place, Read, Write
from nezha.dialects.urls import Parameters, bucket_and_name, decoded, expiry, lines, parameters_of, presigned, seconds
from nezha.model import Fields, Key, Request
from nezha.semantics.headers import members
from nezha.settings import OriginSettings

_HARMLESS_GCS = HARMLESS_HEADERS | frozenset(
    """x-goog-api-client x-goog-content-sha256 x-goog-date x-goog-gcs-idempotency-token x-goog-request-params
    x-upload-content-type amz-sdk-invocation-id amz-sdk-request amz-sdk-retry x-amz-api-version
    x-amz-checksum-mode x-amz-content-sha256 x-amz-date x-amz-te x-amz-user-agent""".split()
)
_PAYS = "x-goog-user-project"  # part of the credential: it says for whom the request is made
_OWN = ("x-goog-", "x-amz-")
_V4 = "algorithm credential date expires signature signedheaders security-token".split()
_SIGNED_V4 = {vendor: frozenset(f"{vendor}{name}" for name in _V4) for vendor in _OWN}
_SIGNED_V2 = frozenset({"googleaccessid", "expires", "signature"})
_READ_PARAMETERS = {
    "json": frozenset({"alt", "generation", "prettyPrint", "projection", "userProject"}),
    "xml": frozenset({"generation", "userProject"}),
}
_SCHEMES_V4 = frozenset({"GOOG4-HMAC-SHA256", "GOOG4-RSA-SHA256", "AWS4-HMAC-SHA256"})
_CODINGS = frozenset({"", "gzip"})
_PUBLIC = "storage.googleapis.com"
# What begins so is the JSON API's, and no bucket's name.
_JSON = re.compile(
    r"/(?:(download|upload|resumable/upload|batch)/)?storage/v\d[^/]*(?:/b/([^/]+)(?:/o(?:/(.*))?)?)?(?:/.*)?"
)
_FORMS = ("media", "json", "xml")


class _Named(NamedTuple):
    """What a path names. `form`: one of `_FORMS`, `upload` or `batch`; `rest`: the object, and what is done with it."""

    form: str
    bucket: str
    rest: tuple[str, ...]


class Gcs(Dialect):
    """The dialect of Google Cloud Storage."""

    name = "gcs"
    is_object_store = True
    exchange_fields = frozenset("alt-svc date server-timing x-guploader-uploadid".split())
    whole_fields = frozenset({"content-md5", "x-goog-hash"})

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        named = frozenset(origin.buckets)
        stores = {host.lower(): Place(origin.name, "", named) for host in (_PUBLIC, *origin.hosts)}
        return stores | {f"{bucket}.{_PUBLIC}": Place(origin.name, bucket, named) for bucket in origin.buckets}

    def mark(self, fields: Fields) -> str:
        generation = fields.get("x-goog-generation") or ""
        return generation if generation.isdigit() else ""

    def unfit(self, fields: Fields) -> str:
        stored = fields.get("x-goog-stored-content-encoding") or "identity"
        return "transcoded" if stored != "identity" and stored != fields.get("content-encoding") else ""

    def bucket_of(self, place: Place, request: Request) -> str:
        named = _named(place, request)
        written = _written(named, request.method, {}) if request.method not in {"GET", "HEAD"} else []
        return written[-1][0] if written else named.bucket  # a copy names its source first

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        named, parameters = _named(place, request), parameters_of(request)
        if request.method not in {"GET", "HEAD"}:
            is_safe = request.method in {"OPTIONS", "TRACE"}
            return Pass("method") if is_safe else _write(place.route, named, request.method, dict(parameters))
        if place.buckets and named.bucket not in place.buckets:
            return Pass("bucket")
        is_json = named.form != "xml"
        if named.form not in _FORMS or len(named.rest) != 1 or not named.bucket:
            return Pass("operation")
        if is_json and (request.method == "HEAD" or ("alt", "media") not in parameters):
            return Pass("metadata")
        if request.has_body:
            return Pass("body")
        if (coding := _coding(request)) not in _CODINGS:
            return Pass("encoding")
        credential = _credential(request, parameters, _READ_PARAMETERS["json" if is_json else "xml"])
        if isinstance(credential, Pass):
            return credential
        generation = dict(parameters).get("generation", "")
        key, current = (Key(place.route, named.bucket, named.rest[0], version) for version in (generation, ""))
        may_set, unless = _may_set(request, credential), _unless(is_json, request, credential)
        form = f"{named.form}+{coding}" if coding else named.form
        return Read(key, credential, may_set, unless=unless, mark=generation, current=current, form=form)


def _named(place: Place, request: Request) -> _Named:
    """What the path names, by the table of the module."""
    if not place.bucket and (match := _JSON.fullmatch(request.path)) is not None:
        prefix, bucket, rest = match.groups()
        form = {None: "json", "download": "media", "batch": "batch"}.get(prefix, "upload")
        names = tuple(decoded(part) for part in rest.split("/")) if rest else ()
        return _Named(form, _bucket(decoded(bucket or "")), names)
    bucket, name = bucket_and_name(place, request.path)
    return _Named("xml", _bucket(bucket), (name,) if name else ())


def _bucket(name: str) -> str:
    """A bucket's name; empty where it can be none."""
    return "" if "/" in name else name


def _coding(request: Request) -> str:
    """`gzip` for who accepts it, empty for who does not; else a word of no meaning."""
    accepted = [member.lower() for member in members(request.fields.get("accept-encoding"))]
    if "gzip" in accepted:
        return "gzip"
    return "?" if any("gzip" in member or "*" in member for member in accepted) else ""


def _may_set(request: Request, credential: Credential) -> frozenset[str]:
    own = {"if-none-match"} if _has_condition(request) else set()
    return frozenset({"range", "if-none-match"}) - credential.signed - own


def _has_condition(request: Request) -> bool:
    return "if-match" in request.fields or "if-none-match" in request.fields


def _unless(is_json: bool, request: Request, credential: Credential) -> str:
    """How Nezha may ask for any other generation; not where the URL, or all of the store's headers, are signed."""
    is_free = credential.kind is Kind.NONE or (credential.kind is Kind.SECRET and "authorization" in request.fields)
    if not is_free or _has_condition(request):
        return ""
    return "?ifGenerationNotMatch" if is_json else "x-goog-if-generation-not-match"


# -- writes


def _write(route: str, named: _Named, method: str, values: Mapping[str, str]) -> Write:
    written = _written(named, method, values)
    generations = dict.fromkeys(("", values.get("generation", "")))
    keys = tuple(Key(route, bucket, name, generation) for bucket, name in written for generation in generations)
    return Write(keys, (route, named.bucket))  # without a bucket: all of the route


def _written(named: _Named, method: str, values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Bucket and name of each object that a request changes; none where the URL does not say."""
    bucket = named.bucket
    if not bucket:
        return []
    if named.form == "upload":
        return [(bucket, values["name"])] if values.get("name") else []
    match named.rest:
        case (name,) if named.form == "xml":
            return [] if "delete" in values else [(bucket, name)]
        case (name,) if method != "POST":  # which would be a bulk operation
            return [(bucket, name)]
        case (name, "compose" | "restore"):
            return [(bucket, name)]
        case (_, "copyTo" | "rewriteTo", "b", other, "o", name):
            return [(other, name)]
        case (source, "moveTo", "o", name):
            return [(bucket, source), (bucket, name)]
        case _:
            return []


# -- credentials


def _credential(request: Request, parameters: Parameters, harmless: frozenset[str]) -> Credential | Pass:
    """What the caller shows, or why the request passes."""
    values = {name.lower(): value for name, value in parameters}
    if len(values) < len(parameters) or values.get("generation") == "":
        return Pass("parameters")  # which of two counts, only the store knows
    names = {name.lower() for name, _ in parameters if name not in harmless}
    unlisted = sorted(set(request.fields.names()) - _HARMLESS_GCS - {"authorization"})
    if any(name.startswith(_OWN) and name not in {_PAYS, "x-amz-security-token"} for name in unlisted):
        return Pass("header")  # a condition, a customer's key
    authorization = request.fields.get("authorization")
    if authorization is not None:
        covered = [*lines(request, unlisted), f"userProject: {values.get('userproject')}"]
        return Pass("parameters") if names else _from_header(authorization, covered)
    for vendor, known in _SIGNED_V4.items():
        if f"{vendor}signature" in names and names <= known:
            signed = frozenset(values.get(f"{vendor}signedheaders", "").lower().split(";"))
            ends = expiry(values.get(f"{vendor}date", ""), values.get(f"{vendor}expires", ""))
            return presigned(request, signed.union(unlisted), ends, signed)
    if "signature" in names and names <= _SIGNED_V2:
        return presigned(request, {"content-type", *unlisted}, seconds(values.get("expires", "")), frozenset())
    if names or "userproject" in values:
        return Pass("parameters")
    return Pass("credential") if unlisted else ANONYMOUS


def _from_header(authorization: str, covered: list[str]) -> Credential | Pass:
    scheme, _, rest = authorization.partition(" ")
    material = "\n".join((authorization, *covered))
    if scheme.lower() == "bearer":
        return Credential(Kind.SECRET, material)
    if scheme in _SCHEMES_V4:
        match, holder = re.search(r"SignedHeaders=([^,\s]+)", rest), re.search(r"Credential=([^/,\s]+)", rest)
        if match is None or holder is None:
            return Pass("credential")
        identity = "\n".join((holder[1], *covered))
        return Credential(Kind.PROOF, material, identity, signed=frozenset(match[1].lower().split(";")))
    if scheme in {"GOOG1", "AWS"}:
        return Credential(Kind.PROOF, material, "\n".join((rest.partition(":")[0], *covered)))
    return Pass("credential")
