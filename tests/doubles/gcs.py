"""A double of Google Cloud Storage, from its public documents: no emulator judges conditions, or who asks.

It knows bearer tokens, GOOG4-HMAC in a header and in a URL (verified, with every x-goog-* header that must be signed),
generations, preconditions, ranges and decompressive transcoding. JSON ETags are bare, XML ones are quoted.
"""

import base64
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, unquote

from awscrt.checksums import crc32c

from tests.faults import Fault
from tests.objects import Body, Reply, plain
from tests.origin import Origin
from tests.wire import Headers, Received

HOST = "storage.googleapis.com"
KEYS = {"GOOG1GOOD": "secret", "GOOG1OTHER": "other secret"}
READERS = {"Bearer good": "good", "GOOG1GOOD": "good", "Bearer other": "other", "GOOG1OTHER": "other"}
_FORMS = ("/download/storage/v1/b/", "/storage/v1/b/")


@dataclass
class Blob:
    """One generation, as stored."""

    body: bytes
    generation: int = 1700000000000001
    encoding: str = ""
    readers: set[str] = field(default_factory=lambda: {"good"})
    is_public: bool = False
    etag: str = field(init=False)
    crc32c: str = field(init=False)  # as stated

    def __post_init__(self) -> None:
        self.etag = base64.b64encode(f"{self.generation}/1".encode()).decode()
        self.crc32c = base64.b64encode(crc32c(self.body).to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        return hashlib.md5(self.body).hexdigest()


class GcsOrigin(Origin):
    """Serves `blobs`, by bucket and name."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], float] = time.time
        self.blobs: dict[tuple[str, str], Blob] = {}
        self.old: dict[tuple[str, str], Blob] = {}  # noncurrent generations, one of each object

    def reply(self, request: Received, fault: Fault) -> Reply:
        """The store's answer; `fault.status` goes first."""
        if fault.status is not None:
            return plain(fault.status)
        form, bucket, name = _named(request)
        values = dict(parse_qsl(request.query, keep_blank_values=True))
        if request.method not in ("GET", "HEAD"):
            return self._write(request, form, bucket, values.get("name", name))
        blob = self.blobs.get((bucket, name))
        old = self.old.get((bucket, name))
        if old is not None and values.get("generation") == str(old.generation):
            blob = old
        if (refused := _refusal(request, blob, self.now())) is not None:
            return plain(refused)
        if blob is None or values.get("generation", str(blob.generation)) != str(blob.generation):
            return plain(404)
        if form != "xml" and values.get("alt") != "media":
            return plain(200, [("Content-Type", "application/json")], _metadata(bucket, name, blob))
        if form != "xml" and request.header("x-goog-if-generation-not-match") is not None:
            return plain(400)
        if _is_known(request, blob, form, values):
            return plain(304, [("ETag", _etag(blob, form)), ("x-goog-generation", str(blob.generation))])
        return _content(request, blob, form)

    def _write(self, request: Received, form: str, bucket: str, name: str) -> Reply:
        if READERS.get(request.header("authorization") or "") != "good":
            return plain(403)
        if request.method == "DELETE":
            self.blobs.pop((bucket, name), None)
            return plain(204)
        old = self.blobs.get((bucket, name))
        generation = old.generation + 1 if old else 1700000000000001
        self.blobs[bucket, name] = Blob(request.body, generation, readers=old.readers if old else {"good"})
        return plain(200, [] if form == "xml" else [("Content-Type", "application/json")])


def _named(request: Received) -> tuple[str, str, str]:
    """Form, bucket and object that a request names."""
    path = request.path
    for form, start in zip(("media", "json"), _FORMS, strict=True):
        if path.startswith(start):
            bucket, _, name = path.removeprefix(start).partition("/o/")
            return form, bucket, unquote(name)
    if path.startswith("/upload/storage/v1/b/"):
        return "json", path.split("/")[5], ""
    host = (request.header("host") or "").partition(":")[0]
    if host != HOST:
        return "xml", host.removesuffix(f".{HOST}"), unquote(path[1:])
    bucket, _, name = path[1:].partition("/")
    return "xml", bucket, unquote(name)


def _metadata(bucket: str, name: str, blob: Blob) -> bytes:
    """The resource of an object, as the JSON API writes it."""
    resource = {"kind": "storage#object", "bucket": bucket, "name": name, "id": f"{bucket}/{name}/{blob.generation}"}
    numbers = {"generation": str(blob.generation), "metageneration": "1", "size": str(len(blob.body))}
    times = {"timeCreated": "2026-11-25T12:00:00.000Z", "updated": "2026-11-25T12:00:00.000Z"}
    rest = {"etag": blob.etag, "contentType": "application/octet-stream", "storageClass": "STANDARD"}
    return json.dumps(resource | numbers | times | rest).encode()


def _etag(blob: Blob, form: str) -> str:
    return f'"{blob.md5}"' if form == "xml" else blob.etag


def _is_known(request: Received, blob: Blob, form: str, values: dict[str, str]) -> bool:
    unless = request.header("x-goog-if-generation-not-match") or values.get("ifGenerationNotMatch")
    return unless == str(blob.generation) or request.header("if-none-match") == _etag(blob, form)


def _content(request: Received, blob: Blob, form: str) -> Reply:
    accepts = "gzip" in (request.header("accept-encoding") or "")
    is_transcoded = blob.encoding == "gzip" and not accepts
    headers: Headers = [
        ("ETag", _etag(blob, form)),
        ("x-goog-generation", str(blob.generation)),
        ("x-goog-metageneration", "1"),
        ("x-goog-stored-content-encoding", blob.encoding or "identity"),
        ("x-goog-stored-content-length", str(len(blob.body))),
        ("x-goog-hash", f"crc32c={blob.crc32c},md5={base64.b64encode(bytes.fromhex(blob.md5)).decode()}"),
        ("x-guploader-uploadid", f"upload-{request.sequence}"),
        ("Content-Type", "application/octet-stream" if form == "xml" else "application/x-json-form"),
        *([("Cache-Control", "public, max-age=3600")] if blob.is_public else []),
        ("Date", formatdate(usegmt=True)),
    ]
    body: Body = gzip.decompress(blob.body) if is_transcoded else blob.body
    if blob.encoding and not is_transcoded:
        headers.append(("Content-Encoding", blob.encoding))
    if is_transcoded:
        return Reply(200, [*headers, ("Warning", "214 UploadServer gunzipped")], body, 0, len(body), "chunked")
    size = len(body)
    asked = request.header("range")
    if asked is None:
        return Reply(200, [*headers, ("Content-Range", f"bytes 0-{size - 1}/{size}")], body, 0, size)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if start >= size:
        return plain(416, [("Content-Range", f"bytes */{size}")])
    return Reply(206, [*headers, ("Content-Range", f"bytes {start}-{stop - 1}/{size}")], body, start, stop)


# -- credentials


def _refusal(request: Received, blob: Blob | None, now: float) -> int | None:
    """401 or 403 where the caller may not read; who may not, is not told whether the object is there."""
    holder = _holder(request, now)
    if holder == "":
        return None if blob is not None and blob.is_public else 401
    return None if holder is not None and (blob is None or holder in blob.readers) else 403


def _holder(request: Received, now: float) -> str | None:
    """Who asks: empty for nobody, None where the credential is not good."""
    values = dict(parse_qsl(request.query, keep_blank_values=True))
    authorization = request.header("authorization")
    if authorization is None and "X-Goog-Signature" not in values:
        return ""
    if authorization is None:
        key, signed = values["X-Goog-Credential"].partition("/")[0], values["X-Goog-SignedHeaders"]
        shown = values.pop("X-Goog-Signature")
        start = time.mktime(time.strptime(values["X-Goog-Date"], "%Y%m%dT%H%M%SZ")) - time.timezone
        if now >= start + int(values["X-Goog-Expires"]):
            return None
    elif authorization.startswith("GOOG4-HMAC-SHA256 "):
        parts = dict(part.split("=", 1) for part in authorization.partition(" ")[2].split(", "))
        key, signed, shown = parts["Credential"].partition("/")[0], parts["SignedHeaders"], parts["Signature"]
    else:
        return READERS.get(authorization)
    names = signed.split(";")
    if any(name.lower().startswith("x-goog-") and name.lower() not in names for name, _ in request.headers):
        return None
    headers = {name: request.header(name) or "" for name in names}
    good = signature(KEYS.get(key, ""), request.method, request.path, values, headers)
    return READERS.get(key) if hmac.compare_digest(good, shown) else None


def signature(secret: str, method: str, path: str, values: dict[str, str], headers: dict[str, str]) -> str:
    """A V4 signature over all that it must cover, the signed headers among it."""
    query = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(values.items()))
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "\n".join((method, path, query, lines, ";".join(headers)))
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


def hmac_header(key: str, path: str, *, method: str = "GET", secret: str | None = None, **more: str) -> dict[str, str]:
    """The headers of a request signed as GOOG4-HMAC; `more` are signed too."""
    headers = {"host": HOST, "x-goog-date": "20261125T120000Z", **more}
    sign = signature(KEYS[key] if secret is None else secret, method, path, {}, headers)
    names = ";".join(headers)
    authorization = f"GOOG4-HMAC-SHA256 Credential={key}/20261125/auto/storage, SignedHeaders={names}, Signature={sign}"
    return {**{name: value for name, value in headers.items() if name != "host"}, "Authorization": authorization}


def signed_url(key: str, path: str, *, method: str = "GET", secret: str | None = None, age: float = 0.0) -> str:
    """A V4 signed URL that was made `age` seconds ago and lasts ten minutes."""
    values = {
        "X-Goog-Algorithm": "GOOG4-HMAC-SHA256",
        "X-Goog-Credential": f"{key}/20261125/auto/storage/goog4_request",
        "X-Goog-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - age)),
        "X-Goog-Expires": "600",
        "X-Goog-SignedHeaders": "host",
    }
    sign = signature(KEYS[key] if secret is None else secret, method, path, values, {"host": HOST})
    query = "".join(f"{name}={quote(value, safe='')}&" for name, value in values.items())
    return f"{path}?{query}X-Goog-Signature={sign}"
