"""A double of Hugging Face, from its public documents: the hub's redirect, and the hosts that hold the bytes.

A presigned URL is refused once it has ended, where anything of it was changed, or if it is signed for other ranges.
A client of Xet does not follow the redirect: for a read token of the hub, the CAS tells what the file is made of.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, quote

from tests.doubles.xet import Cut
from tests.faults import Fault
from tests.objects import Object, Reply, plain, reply_to_read
from tests.origin import Origin
from tests.wire import Headers, Received

HUB = "huggingface.co"
FILES = "cas-bridge.xethub.hf.co"
XORBS = "transfer.xethub.hf.co"
CAS = "cas-server.xethub.hf.co"
_TOKENS = re.compile(r"/api/models/([^/]+/[^/]+)/xet-read-token/[^/]+")
_RECONSTRUCTIONS = re.compile(r"/v([12])/reconstructions/([0-9a-f]{64})")
_SECONDS = 600
_SECRET = b"the key of the CDN"


@dataclass
class File:
    """A file of a repository; `reader` is the token that may have it, empty where everybody may."""

    body: bytes
    reader: str = "Bearer good"

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def cut(self) -> Cut:
        """As Xet stores it."""
        return Cut.of(self.body)

    def is_for(self, credential: str | None) -> bool:
        return not self.reader or self.reader == credential


class HubOrigin(Origin):
    """Serves `files` by their path on the hub, and each one's bytes by its hash; `xorbs` by theirs.

    `cas_version` is that of the reconstructions that the CAS knows. `tokens` are the read tokens that were given out,
    each with the credential that was shown for it. `xorb_bytes` counts what was answered of xorbs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], float] = time.time
        self.files: dict[str, File] = {}
        self.xorbs: dict[str, bytes] = {}
        self.cas_version = 1
        self.tokens: dict[str, str | None] = {}
        self.xorb_bytes = 0

    def reply(self, request: Received, fault: Fault) -> Reply:
        """What the host that is asked answers; `fault.status` goes first."""
        if fault.status is not None:
            return plain(fault.status)
        host = request.header("host")
        if host == HUB:
            return self._hub(request)
        if host == CAS:
            return self._cas(request)
        if not _is_signed(request, self.now()):
            return plain(403)
        bodies = self.xorbs if host == XORBS else {f"/repo/{file.hash}": file.body for file in self.files.values()}
        body = bodies.get(request.path)
        if body is None:
            return plain(404)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        cache_control = "public, max-age=31536000"
        reply = reply_to_read(Object(body, etag, cache_control=cache_control), request)
        if host == XORBS and reply.status in {200, 206}:
            self.xorb_bytes += reply.length
        return reply

    def _hub(self, request: Received) -> Reply:
        credential = request.header("authorization")
        if match := _TOKENS.fullmatch(request.path):
            return self._read_token(match[1], credential)
        file = self.files.get(request.path)
        if file is None or not file.is_for(credential):
            return plain(401)
        commit = hashlib.sha1(request.path.encode()).hexdigest()
        headers = [("X-Linked-ETag", f'"{file.hash}"'), ("X-Linked-Size", str(len(file.body)))]
        headers += [("X-Repo-Commit", commit), ("X-Xet-Hash", file.hash)]
        repository = request.path[1:].partition("/resolve/")[0]
        token = f'<https://{HUB}/api/models/{repository}/xet-read-token/{commit}>; rel="xet-auth"'
        terms = f'<https://{CAS}/v{self.cas_version}/reconstructions/{file.hash}>; rel="xet-reconstruction-info"'
        headers.append(("Link", f"{token}, {terms}"))
        location = f"https://{FILES}{presigned(f'/repo/{file.hash}', uid=str(request.sequence))}"
        return plain(302, [("Location", location), ("ETag", f'"{file.hash}"'), *headers])

    def _read_token(self, repository: str, credential: str | None) -> Reply:
        files = (file for path, file in self.files.items() if path.startswith(f"/{repository}/resolve/"))
        if not any(file.is_for(credential) for file in files):
            return plain(401)
        token = f"read-token-{len(self.tokens):08}"
        self.tokens[token] = credential
        ends = int(self.now() + _SECONDS)
        headers = [("X-Xet-Access-Token", token), ("X-Xet-Token-Expiration", str(ends))]
        headers.append(("X-Xet-Cas-Url", f"https://{CAS}"))
        return _answer({"accessToken": token, "exp": ends, "casUrl": f"https://{CAS}"}, headers)

    def _cas(self, request: Received) -> Reply:
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            return plain(401)
        if request.path == "/v1/telemetry":
            return plain(200 if request.method == "POST" else 405)
        match = _RECONSTRUCTIONS.fullmatch(request.path)
        if match is None or int(match[1]) != self.cas_version:
            return plain(404)
        files = (file for file in self.files.values() if file.hash == match[2] and file.is_for(self.tokens[token]))
        if (file := next(files, None)) is None:
            return plain(404)
        start, stop = 0, len(file.body)
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", request.header("range") or ""):
            start, stop = int(asked[1]), int(asked[2]) + 1
        if start >= len(file.body):
            return plain(416)
        self.xorbs |= file.cut.xorbs

        def sign(path: str, only: str) -> str:
            return f"https://{XORBS}{presigned(path, uid=str(request.sequence), seconds=_SECONDS, only=only)}"

        return _answer(file.cut.reconstruction(start, stop, sign, self.cas_version))


def _answer(document: object, headers: Headers | None = None) -> Reply:
    body = json.dumps(document).encode()
    return Reply(200, [*(headers or []), ("Content-Type", "application/json")], body, 0, len(body))


def _is_signed(request: Received, now: float) -> bool:
    target, _, shown = request.target.partition("&Signature=")
    values = dict(parse_qsl(request.query, keep_blank_values=True))
    only = values.get("X-Xet-Signed-Range")
    if shown != _signature(target) or now >= float(values["Expires"]):
        return False
    # hf_xet asks for one range at a time, also by a URL that is signed for several.
    each = [f"bytes={one}" for one in only.removeprefix("bytes=").split(",")] if only else []
    return only is None or request.header("range") in each


def _signature(target: str) -> str:
    return hmac.new(_SECRET, target.encode(), "sha256").hexdigest()


def presigned(path: str, *, uid: str = "public", seconds: float = _SECONDS, only: str | None = None) -> str:
    """A target that lets its holder read for so long; `only` this Range, where it is given."""
    limit = f"X-Xet-Signed-Range={quote(only, safe='')}&" if only else ""
    target = f"{path}?{limit}X-Xet-Cas-Uid={uid}&Key-Pair-Id=K1&Expires={int(time.time() + seconds)}"
    return f"{target}&Signature={_signature(target)}"
