"""A double of Hugging Face, from its public documents: the hub's redirect, and the hosts that hold the bytes.

A presigned URL is refused once it has ended, where anything of it was changed, or if it is signed for another Range.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from tests.faults import Fault
from tests.objects import Object, Reply, plain, reply_to_read
from tests.origin import Origin
from tests.wire import Received

HUB = "huggingface.co"
FILES = "cas-bridge.xethub.hf.co"
XORBS = "transfer.xethub.hf.co"
_SECRET = b"the key of the CDN"


@dataclass
class File:
    """A file of a repository; `reader` is the token that may have it, empty where everybody may."""

    body: bytes
    reader: str = "Bearer good"

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class HubOrigin(Origin):
    """Serves `files` by their path on the hub, and each one's bytes by its hash; `xorbs` by theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], float] = time.time
        self.files: dict[str, File] = {}
        self.xorbs: dict[str, bytes] = {}

    def reply(self, request: Received, fault: Fault) -> Reply:
        """What the host that is asked answers; `fault.status` goes first."""
        if fault.status is not None:
            return plain(fault.status)
        host = request.header("host")
        if host == HUB:
            return self._hub(request)
        if not _is_signed(request, self.now()):
            return plain(403)
        bodies = self.xorbs if host == XORBS else {f"/repo/{file.hash}": file.body for file in self.files.values()}
        body = bodies.get(request.path)
        if body is None:
            return plain(404)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        cache_control = "public, max-age=31536000"
        return reply_to_read(Object(body, etag, cache_control=cache_control), request)

    def _hub(self, request: Received) -> Reply:
        file = self.files.get(request.path)
        if file is None or (file.reader and request.header("authorization") != file.reader):
            return plain(401)
        headers = [("X-Linked-ETag", f'"{file.hash}"'), ("X-Linked-Size", str(len(file.body)))]
        headers += [("X-Repo-Commit", hashlib.sha1(request.path.encode()).hexdigest()), ("X-Xet-Hash", file.hash)]
        location = f"https://{FILES}{presigned(f'/repo/{file.hash}', uid=str(request.sequence))}"
        return plain(302, [("Location", location), ("ETag", f'"{file.hash}"'), *headers])


def _is_signed(request: Received, now: float) -> bool:
    target, _, shown = request.target.partition("&Signature=")
    values = dict(parse_qsl(request.query, keep_blank_values=True))
    only = values.get("X-Xet-Signed-Range")
    if shown != _signature(target) or now >= float(values["Expires"]):
        return False
    return only is None or request.header("range") == only


def _signature(target: str) -> str:
    return hmac.new(_SECRET, target.encode(), "sha256").hexdigest()


def presigned(path: str, *, uid: str = "public", seconds: float = 600.0, only: str | None = None) -> str:
    """A target that lets its holder read for so long; `only` this Range, where it is given."""
    limit = f"X-Xet-Signed-Range={quote(only, safe='')}&" if only else ""
    target = f"{path}?{limit}X-Xet-Cas-Uid={uid}&Key-Pair-Id=K1&Expires={int(time.time() + seconds)}"
    return f"{target}&Signature={_signature(target)}"
