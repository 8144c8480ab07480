"""Hugging Face: its hub passes, and the bytes behind it are stored.

    huggingface.co, cas-server        pages, API, `resolve` (a redirect), tokens, reconstructions: passed, never stored
    cas-bridge, *.cdn, cdn-lfs*       files by content, in presigned URLs that differ each time
    transfer                          xorbs (pieces of files) by content; a URL may be signed for one Range only

What is stored has the host and the path as its key, with those parameters that the answer's head is made by.
"""

import base64
import re
from collections.abc import Mapping

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Pass, Place, Read, Write
from nezha.dialects.urls import Parameters, expiry, parameters_of, presigned, seconds
from nezha.model import Key, Request
from nezha.settings import OriginSettings

_HUB = ("huggingface.co", "cas-server.xethub.hf.co")
_FILES = (
    "cas-bridge.xethub.hf.co",
    "transfer.xethub.hf.co",
    "us.aws.cdn.hf.co",
    "us.gcp.cdn.hf.co",
    "cdn-lfs.huggingface.co",
    "cdn-lfs-us-1.huggingface.co",
    "cdn-lfs-eu-1.huggingface.co",
    "cdn-lfs.hf.co",
    "cdn-lfs-us-1.hf.co",
    "cdn-lfs-eu-1.hf.co",
)
_SIGNED_V4 = "algorithm content-sha256 credential date expires security-token signature signedheaders".split()
_SIGNATURE = frozenset(
    f"expires policy signature key-pair-id {' '.join(f'x-amz-{name}' for name in _SIGNED_V4)}".split()
)
_SIGNED_RANGE = "x-xet-signed-range"
# The path says what is read; these say who asks, or for which bytes.
_NOT_IN_KEY = _SIGNATURE | frozenset(f"{_SIGNED_RANGE} repo_id user_id x-id x-xet-cas-uid x-xet-session-id xip".split())
_IN_KEY = frozenset({"response-content-disposition", "response-content-type", "x-amz-checksum-mode"})
_HARMLESS_HF = HARMLESS_HEADERS | frozenset({"x-amzn-trace-id", "x-hf-download-counter", "x-xet-session-id"})
_MAY_SET = frozenset({"range", "if-match", "if-none-match"})
_ENDS = re.compile(rb'"DateLessThan"\s*:\s*\{\s*"AWS:EpochTime"\s*:\s*(\d{1,12})\s*\}')
_IN_BASE64 = str.maketrans("-_~", "+=/")  # CloudFront's own alphabet


class HuggingFace(Dialect):
    """The dialect of Hugging Face."""

    name = "huggingface"
    is_object_store = True
    exchange_fields = frozenset(
        "date server-timing via x-amz-cf-id x-amz-cf-pop x-amz-id-2 x-amz-request-id x-cache x-request-id".split()
    )
    whole_fields = frozenset(
        "content-md5 x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1"
        " x-amz-checksum-sha256 x-amz-checksum-type".split()
    )

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        files = (*_FILES, *(host.lower() for host in origin.hosts))
        # A place of the hub is without a bucket: nothing of it is stored.
        return {host: Place(origin.name) for host in _HUB} | {host: Place(origin.name, host) for host in files}

    def bucket_of(self, place: Place, request: Request) -> str:
        return place.bucket

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        if not place.bucket:
            return Pass("hub")
        parameters = parameters_of(request)
        key = Key(place.route, place.bucket, _object(request.path, parameters))
        if request.method not in {"GET", "HEAD"}:
            is_safe = request.method in {"OPTIONS", "TRACE"}
            return Pass("method") if is_safe else Write((key,), (place.route, place.bucket))
        if request.has_body:
            return Pass("body")
        credential = _credential(request, parameters)
        if isinstance(credential, Pass):
            return credential
        own = {name for name in ("if-match", "if-none-match") if name in request.fields}
        return Read(key, credential, _MAY_SET - credential.signed - own)


def _object(path: str, parameters: Parameters) -> str:
    """The path as it is, and the parameters that select what is answered, in order."""
    kept = [f"{name}={value}" for name, value in parameters if name.lower() in _IN_KEY]
    return f"{path[1:]}?{'&'.join(kept)}" if kept else path[1:]


def _credential(request: Request, parameters: Parameters) -> Credential | Pass:
    """What the caller shows, or why the request passes."""
    values = {name.lower(): value for name, value in parameters}
    if len(values) < len(parameters) or not values.keys() <= _NOT_IN_KEY | _IN_KEY:
        return Pass("parameters")  # one that is not known may be a secret, which is no part of a key
    unlisted = sorted(set(request.fields.names()) - _HARMLESS_HF)
    if unlisted:
        return Pass("credential")  # these hosts are shown none but the URL
    if not values.keys() & _NOT_IN_KEY - {"x-id"}:
        return ANONYMOUS
    headers = filter(None, values.get("x-amz-signedheaders", "").lower().split(";"))
    signed = frozenset([*headers, "range"] if _SIGNED_RANGE in values else headers)
    return presigned(request, signed, _expiry(values), signed)


def _expiry(values: Mapping[str, str]) -> float:
    """The first end that a URL states, in seconds since the epoch; 0 where it states none that can be read."""
    ends = []
    if "expires" in values:
        ends.append(seconds(values["expires"]))
    if "policy" in values:
        ends.append(_end_of(values["policy"]))
    if "x-amz-signature" in values:
        ends.append(expiry(values.get("x-amz-date", ""), values.get("x-amz-expires", "")))
    return min(ends, default=0.0)


def _end_of(policy: str) -> float:
    try:
        text = base64.b64decode(policy.translate(_IN_BASE64).encode("latin-1"))
    except ValueError:
        return 0.0
    ends = [float(found) for found in _ENDS.findall(text)]
    return min(ends, default=0.0)
