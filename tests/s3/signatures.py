"""Who may read an S3 bucket: a verifier of every kind of signature, and callers who sign with botocore.

The verifier is written from S3's public description and shares no line with botocore, so that the two check each
other: SigV4 in the header and in the query, SigV4a, SigV2 in both, session tokens, clocks and expiry.
"""

import calendar
import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.wire import Received

BUCKET, REGION = "data", "us-east-1"
HOST = f"{BUCKET}.s3.{REGION}.amazonaws.com"
SKEW_SECONDS = 15 * 60
URL_SECONDS = 600
_DATE = "%Y%m%dT%H%M%SZ"
_EMPTY = hashlib.sha256(b"").hexdigest()
_V4, _V4A = "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"


@dataclass
class Holder:
    """Somebody with a key; `is_allowed`: the bucket's policy lets it read."""

    access_key: str
    secret_key: str
    token: str = ""
    is_allowed: bool = True
    pair: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))


class Verifier:
    """An origin's `authorize`: 403 unless a holder who is allowed signed exactly this request, and lately."""

    def __init__(self, *holders: Holder) -> None:
        self._holders = {holder.access_key: holder for holder in holders}

    def __call__(self, request: Received) -> int | None:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        authorization = request.header("authorization") or ""
        if "X-Amz-Signature" in query:
            holder = self._v4_query(request, query)
        elif "Signature" in query:
            holder = self._v2_query(request, query)
        elif authorization.startswith((_V4, _V4A)):
            holder = self._v4_header(request, authorization)
        elif authorization.startswith("AWS "):
            access_key, _, signature = authorization.removeprefix("AWS ").partition(":")
            is_dated = "x-amz-date" in {name.lower() for name, _ in request.headers}
            date = "" if is_dated else request.header("date") or ""
            holder = self._v2(request, access_key, signature, date)
        else:
            holder = None
        return None if holder is not None and holder.is_allowed else 403

    def _v4_header(self, request: Received, authorization: str) -> Holder | None:
        algorithm, _, rest = authorization.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        access_key, _, scope = parts["Credential"].partition("/")
        holder = self._holders.get(access_key)
        date = request.header("x-amz-date") or ""
        signed = parts["SignedHeaders"].split(";")
        own = {name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-")}
        if holder is None or abs(_seconds(date) - time.time()) > SKEW_SECONDS or not own <= set(signed):
            return None
        if (request.header("x-amz-security-token") or "") != holder.token:
            return None
        canonical = _canonical(request, request.query, signed, request.header("x-amz-content-sha256") or "")
        return holder if _agrees(holder, algorithm, (date, scope), canonical, parts["Signature"]) else None

    def _v4_query(self, request: Received, query: Mapping[str, str]) -> Holder | None:
        access_key, _, scope = query["X-Amz-Credential"].partition("/")
        holder = self._holders.get(access_key)
        begin = _seconds(query["X-Amz-Date"])
        if holder is None or not begin - SKEW_SECONDS <= time.time() < begin + int(query["X-Amz-Expires"]):
            return None
        if query.get("X-Amz-Security-Token", "") != holder.token:
            return None
        rest = "&".join(part for part in request.query.split("&") if not part.startswith("X-Amz-Signature="))
        signed = query["X-Amz-SignedHeaders"].split(";")
        canonical = _canonical(request, rest, signed, "UNSIGNED-PAYLOAD")
        when = (query["X-Amz-Date"], scope)
        return holder if _agrees(holder, query["X-Amz-Algorithm"], when, canonical, query["X-Amz-Signature"]) else None

    def _v2_query(self, request: Received, query: Mapping[str, str]) -> Holder | None:
        if int(query["Expires"]) <= time.time():
            return None
        return self._v2(request, query["AWSAccessKeyId"], query["Signature"], query["Expires"])

    def _v2(self, request: Received, access_key: str, signature: str, date: str) -> Holder | None:
        holder = self._holders.get(access_key)
        if holder is None:
            return None
        query = dict(parse_qsl(request.query))
        own = {name.lower(): value for name, value in request.headers if name.lower().startswith("x-amz-")}
        own |= {name: value for name, value in query.items() if name.startswith("x-amz-")}
        if own.get("x-amz-security-token", "") != holder.token:
            return None
        lines = [request.method, request.header("content-md5") or "", request.header("content-type") or "", date]
        text = "\n".join([*lines, *(f"{name}:{own[name]}" for name in sorted(own)), f"/{BUCKET}{request.path}"])
        wanted = hmac.digest(holder.secret_key.encode(), text.encode(), "sha1")
        return holder if hmac.compare_digest(b64encode(wanted).decode(), signature) else None


def _seconds(date: str) -> float:
    return float(calendar.timegm(time.strptime(date, _DATE)))


def _canonical(request: Received, query: str, signed: Sequence[str], payload: str) -> str:
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    lines = [f"{name}:{' '.join((request.header(name) or '').split())}\n" for name in signed]
    ordered = "&".join("=".join(pair) for pair in pairs)
    return "\n".join([request.method, request.path, ordered, "".join(lines), ";".join(signed), payload])


def _text(algorithm: str, when: tuple[str, str], canonical: str) -> bytes:
    return "\n".join([algorithm, *when, hashlib.sha256(canonical.encode()).hexdigest()]).encode()


def _agrees(holder: Holder, algorithm: str, when: tuple[str, str], canonical: str, signature: str) -> bool:
    text = _text(algorithm, when, canonical)
    if algorithm == _V4A:
        try:
            holder.pair.public_key().verify(bytes.fromhex(signature), text, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True
    key = f"AWS4{holder.secret_key}".encode()
    for part in when[1].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text, "sha256").hex(), signature)


# -- callers


@dataclass(frozen=True)
class Signed:
    """A request as its caller sends it."""

    method: str
    target: str
    headers: dict[str, str]


KINDS = ("v4", "v4a", "v4-presigned", "v2", "v2-presigned")
PROOFS = ("v4", "v4a", "v2")


class _Header(S3SigV4Auth):  # type: ignore[misc]  # botocore brings no types
    """botocore's signer on a clock that is `age` seconds late."""

    def __init__(self, credentials: Credentials, age: float) -> None:
        super().__init__(credentials, "s3", REGION)
        self._age = age

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = _date(self._age)
        super()._modify_request_before_signing(request)


class _Query(S3SigV4QueryAuth):  # type: ignore[misc]  # botocore brings no types
    """The same for presigned URLs."""

    def __init__(self, credentials: Credentials, age: float) -> None:
        super().__init__(credentials, "s3", REGION, expires=URL_SECONDS)
        self._age = age

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = _date(self._age)
        super()._modify_request_before_signing(request)


def _date(age: float) -> str:
    return time.strftime(_DATE, time.gmtime(time.time() - age))


def sign(
    kind: str, holder: Holder, method: str, path: str, headers: Mapping[str, str] | None = None, *, age: float = 0
) -> Signed:
    """A request signed in one of `KINDS`, `headers` with it (a presigned URL signs none); `age` seconds ago."""
    given = dict(headers or {})
    if kind == "v4a":
        return _sign_v4a(holder, method, path, given, age)
    request = AWSRequest(method, f"https://{HOST}{path}", headers={} if "presigned" in kind else given)
    request.auth_path = f"/{BUCKET}{path}"
    credentials = Credentials(holder.access_key, holder.secret_key, holder.token or None)
    match kind:
        case "v4":
            _Header(credentials, age).add_auth(request)
        case "v4-presigned":
            _Query(credentials, age).add_auth(request)
        case "v2":
            HmacV1Auth(credentials).add_auth(request)
        case "v2-presigned":
            HmacV1QueryAuth(credentials, expires=URL_SECONDS - age).add_auth(request)
        case _:
            raise ValueError(kind)
    target = request.url.removeprefix(f"https://{HOST}")
    shown = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    return Signed(method, target, given if "presigned" in kind else shown)


def _sign_v4a(holder: Holder, method: str, path: str, headers: dict[str, str], age: float) -> Signed:
    date = _date(age)
    headers |= {"X-Amz-Date": date, "X-Amz-Content-SHA256": _EMPTY, "X-Amz-Region-Set": "*"}
    if holder.token:
        headers["X-Amz-Security-Token"] = holder.token
    signed = sorted({"host", *(name.lower() for name in headers)})
    received = Received(method, path, "HTTP/1.1", [("Host", HOST), *headers.items()], b"", 0, 0, 0.0)
    scope = f"{date[:8]}/s3/aws4_request"
    text = _text(_V4A, (date, scope), _canonical(received, "", signed, _EMPTY))
    signature = holder.pair.sign(text, ec.ECDSA(SHA256())).hex()
    parts = f"Credential={holder.access_key}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    return Signed(method, path, {**headers, "Authorization": f"{_V4A} {parts}"})


def tampered(signed: Signed) -> Signed:
    """The same request with another signature."""
    if (authorization := signed.headers.get("Authorization")) is not None:
        at = authorization.rindex("ignature=") + 12 if "ignature=" in authorization else authorization.rindex(":") + 3
        return Signed(signed.method, signed.target, {**signed.headers, "Authorization": _changed(authorization, at)})
    return Signed(signed.method, _changed(signed.target, signed.target.rindex("ignature=") + 12), signed.headers)


def _changed(text: str, at: int) -> str:
    return f"{text[:at]}{'1' if unquote(text[at]) != '1' else '2'}{text[at + 1 :]}"
