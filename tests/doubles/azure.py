"""A double of Azure Blob Storage, from its public documents, which verifies SharedKey signatures and SAS.

A SharedKey signature covers Range, the conditions and every x-ms-* header: what Nezha added would be refused. (A SAS is
signed over fewer fields than the real one; Nezha makes and changes none.)
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, unquote

from tests.faults import Fault
from tests.objects import Reply, plain
from tests.origin import Origin
from tests.wire import Headers, Received

ACCOUNT = "mydata"
HOST = f"{ACCOUNT}.blob.core.windows.net"
KEY = base64.b64encode(b"the key of the account").decode()
API = "2026-02-06"
_STANDARD = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


@dataclass
class Blob:
    """A blob; its ETag changes with whatever is written."""

    body: bytes
    etag: str = '"0x8D1"'
    is_public: bool = False
    headers: Headers = field(default_factory=list)


class AzureOrigin(Origin):
    """Serves `blobs`, by container/name."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], float] = time.time
        self.blobs: dict[str, Blob] = {}

    def reply(self, request: Received, fault: Fault) -> Reply:
        """The store's answer; `fault.status` goes first."""
        if fault.status is not None:
            return plain(fault.status)
        own = _exchange(request)
        name = unquote(request.path[1:])
        blob = self.blobs.get(name)
        if not _is_allowed(request, blob, self.now()):
            return plain(403, own)
        if request.method == "PUT":
            self.blobs[name] = Blob(request.body, f'"0x8D{request.sequence}"')
            return plain(201, own)
        if blob is None:
            return plain(404, own)
        return _content(request, blob, own)


def _exchange(request: Received) -> Headers:
    own: Headers = [("x-ms-request-id", f"request-{request.sequence}")]
    if (client_id := request.header("x-ms-client-request-id")) is not None:
        own.append(("x-ms-client-request-id", client_id))
    return [*own, ("x-ms-version", request.header("x-ms-version") or "2009-09-19"), ("Date", formatdate(usegmt=True))]


def _content(request: Received, blob: Blob, own: Headers) -> Reply:
    etag = blob.etag if request.header("x-ms-version") else blob.etag.strip('"')
    md5 = base64.b64encode(hashlib.md5(blob.body).digest()).decode()
    asked = request.header("x-ms-range") or request.header("range")
    head: Headers = [
        ("ETag", etag),
        ("Content-Type", "application/octet-stream"),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-lease-status", "unlocked"),
        ("x-ms-blob-content-md5" if asked else "Content-MD5", md5),
        *blob.headers,
        *own,
    ]
    if (wanted := request.header("if-match")) is not None and wanted != etag:
        return plain(412, own)
    if request.header("if-none-match") == etag:
        return plain(304, [("ETag", etag), ("x-ms-error-code", "ConditionNotMet"), *own])
    if request.method == "HEAD":
        head.append(("x-ms-access-tier", "Hot"))
    size = len(blob.body)
    if asked is None:
        return Reply(200, head, blob.body, 0, size)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if start >= size:
        return plain(416, own)
    return Reply(206, [*head, ("Content-Range", f"bytes {start}-{stop - 1}/{size}")], blob.body, start, stop)


def _is_allowed(request: Received, blob: Blob | None, now: float) -> bool:
    values = dict(parse_qsl(request.query, keep_blank_values=True))
    authorization = request.header("authorization")
    if authorization is not None:
        if authorization.startswith("SharedKey "):
            headers = {name.lower(): value for name, value in request.headers}
            return hmac.compare_digest(authorization, shared_key(request.method, request.target, headers))
        return authorization == "Bearer good"
    if "sig" in values:
        ends = time.mktime(time.strptime(values["se"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        return now < ends and values["sig"] == _sas_signature(KEY, unquote(request.path), values["se"])
    return blob is not None and blob.is_public and request.method in ("GET", "HEAD")


def shared_key(method: str, target: str, headers: dict[str, str], key: str = KEY) -> str:
    """The Authorization of a request as the SharedKey scheme makes it."""
    path, _, query = target.partition("?")
    standard = [headers.get(name, "") for name in _STANDARD]
    standard[2] = "" if standard[2] == "0" else standard[2]
    own = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
    parameters = [f"{name.lower()}:{value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True))]
    text = "\n".join((method, *standard, *own, f"/{ACCOUNT}{path}", *parameters))
    return f"SharedKey {ACCOUNT}:{_mac(key, text)}"


def signed(method: str, target: str, headers: dict[str, str] | None = None, key: str = KEY) -> dict[str, str]:
    """The headers of a request signed with the account's key."""
    whole = {"x-ms-version": API, "x-ms-date": formatdate(usegmt=True), **(headers or {})}
    lower = {name.lower(): value for name, value in whole.items()}
    return {**whole, "Authorization": shared_key(method, target, lower, key)}


def sas(path: str, *, key: str = KEY, seconds: float = 600.0) -> str:
    """A URL that lets its holder read for so long."""
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    sign = quote(_sas_signature(key, unquote(path), ends), safe="")
    return f"{path}?sv={API}&sr=b&sp=r&se={quote(ends, safe='')}&sig={sign}"


def _sas_signature(key: str, path: str, ends: str) -> str:
    return _mac(key, f"r\n{ends}\n/blob/{ACCOUNT}{path}")


def _mac(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), "sha256").digest()).decode()
