"""What the scripted origin serves, and what an honest origin answers: RFC 9110 13 and 14, without I/O.

A body is bytes or a `Pattern`: any size, made when it is sent, without a copy. A pattern repeats a random
block whose length is prime, so that no two slices at aligned offsets are equal: a misplaced slice shows.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from tests.wire import Framing, Headers, Received, lookup

PERIOD = 1_048_573  # the largest prime below 1 MiB
_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)


@lru_cache(maxsize=16)
def _block(seed: int) -> bytes:
    return random.Random(seed).randbytes(PERIOD) * 2  # twice: a piece from any phase is one view


@dataclass(frozen=True, slots=True)
class Pattern:
    """A deterministic body of `size` bytes that holds none of them."""

    size: int
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop)."""
        return b"".join(pieces(self, start, stop))


Body = bytes | Pattern


def pattern(size: int, seed: int = 0) -> bytes:
    """The bytes of `Pattern(size, seed)`."""
    return Pattern(size, seed).read(0, size)


def pieces(body: Body, start: int, stop: int, step: int = PERIOD) -> Iterator[memoryview]:
    """Views on [start, stop) of at most `step` bytes each (and PERIOD, for a pattern)."""
    source = memoryview(body if isinstance(body, bytes) else _block(body.seed))
    if not isinstance(body, bytes):
        step = min(step, PERIOD)
    for at in range(start, stop, step):
        phase = at if isinstance(body, bytes) else at % PERIOD
        yield source[phase : phase + min(step, stop - at)]


@dataclass(slots=True)
class Object:
    """One object; change its fields at any time: an answer under way keeps what it began with.

    `headers` are sent with every 200, 206 and 304. `framing` applies to the body of 200 and 206.
    """

    body: Body = b""
    etag: str | None = '"v1"'
    last_modified: str | None = None
    headers: Headers = field(default_factory=list)
    status: int = 200
    cache_control: str | None = None
    content_type: str | None = "application/octet-stream"
    framing: Framing = "length"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before faults: the body is [start, stop) of `body`; None means that it has none at all."""

    status: int
    headers: Headers
    body: Body | None = b""
    start: int = 0
    stop: int = 0
    framing: Framing = "length"

    @property
    def length(self) -> int:
        return self.stop - self.start

    def with_header(self, name: str, value: str) -> "Reply":
        """The same reply with `name` set once, at the end."""
        kept = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        return replace(self, headers=[*kept, (name, value)])


def plain(status: int, headers: Headers | None = None, text: bytes | None = None) -> Reply:
    """A short answer whose body says its status; none where the status forbids it."""
    head = [*(headers or []), ("Date", formatdate(usegmt=True))]
    if status in (204, 304):
        return Reply(status, head, None)
    body = b"%d\n" % status if text is None else text
    return Reply(status, [*head, ("Content-Type", "text/plain")], body, 0, len(body))


def respond(objects: dict[str, Object], request: Received, *, ignore_range: bool = False) -> Reply:
    """The answer to any request, after its effect on `objects`; PUT makes and replaces, POST echoes."""
    path = next((path for path in (request.target, request.path, "*") if path in objects), None)
    found = objects[path] if path is not None else None
    if request.method == "POST":
        content_type = request.header("content-type") or "application/octet-stream"
        return Reply(200, [("Content-Type", content_type)], request.body, 0, len(request.body))
    if request.method == "PUT":
        return _put(objects, found, request)
    if path is None or found is None:
        return plain(404)
    if request.method == "DELETE":
        if (refused := failed_precondition(found, request)) is None:
            del objects[path]
        return plain(refused or 204)
    if request.method not in ("GET", "HEAD"):
        return plain(405, [("Allow", "GET, HEAD, PUT, DELETE, POST")])
    return reply_to_read(found, request, ignore_range=ignore_range)


def _put(objects: dict[str, Object], found: Object | None, request: Received) -> Reply:
    if (refused := failed_precondition(found, request)) is not None:
        return plain(refused)
    stored = found if found is not None else objects.setdefault(request.path, Object())
    stored.body, stored.etag = request.body, f'"put-{request.sequence}"'
    if stored.last_modified is not None:
        stored.last_modified = formatdate(usegmt=True)
    return plain(201 if found is None else 200, [("ETag", stored.etag)])


def reply_to_read(found: Object, request: Received, *, ignore_range: bool = False) -> Reply:
    """The answer to GET or HEAD: preconditions in the order of RFC 9110 13.2.2, then Range."""
    headers = described(found)
    if found.status == 200:
        if (refused := failed_precondition(found, request)) is not None:
            return plain(refused)
        if _is_unchanged(found, request):
            return Reply(304, headers, None)
    if found.content_type is not None and lookup(headers, "content-type") is None:
        headers.append(("Content-Type", found.content_type))
    size = len(found.body)
    whole = Reply(found.status, headers, found.body, 0, size, found.framing)
    if found.status != 200:
        return whole
    headers.append(("Accept-Ranges", "bytes"))
    if ignore_range or request.method != "GET" or not _may_be_partial(found, request):
        return whole
    extent = parse_range(request.header("range"), size)
    if extent is None:
        return whole
    if extent == (0, 0):
        return plain(416, [("Content-Range", f"bytes */{size}")])
    start, stop = extent
    partial = replace(whole, status=206, start=start, stop=stop)
    return partial.with_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")


def described(found: Object) -> Headers:
    """The fields that describe the object, as 200, 206 and 304 carry them."""
    headers = list(found.headers)
    known = {"ETag": found.etag, "Last-Modified": found.last_modified, "Cache-Control": found.cache_control}
    headers += [(name, value) for name, value in known.items() if value is not None]
    if lookup(headers, "date") is None:
        headers.append(("Date", formatdate(usegmt=True)))
    return headers


def parse_range(value: str | None, size: int) -> tuple[int, int] | None:
    """[start, stop) of a single byte range; (0, 0) where unsatisfiable; None where Range is to be ignored."""
    match = _RANGE.fullmatch((value or "").replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        count = min(int(last), size)
        return (size - count, size) if count else (0, 0)
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return (start, stop) if start < size else (0, 0)


def failed_precondition(found: Object | None, request: Received) -> int | None:
    """412 where If-Match, If-Unmodified-Since or (for a write) `If-None-Match: *` forbids the request."""
    wanted = request.header("if-match")
    if wanted is not None:
        has_match = found is not None and (wanted == "*" or _matches(wanted, found.etag, is_weak=False))
        return None if has_match else 412
    since = request.header("if-unmodified-since")
    if since is not None and found is not None and found.last_modified is not None:
        return 412 if _is_later(found.last_modified, since) else None
    is_write = request.method not in ("GET", "HEAD")
    return 412 if is_write and found is not None and request.header("if-none-match") == "*" else None


def _matches(wanted: str, etag: str | None, *, is_weak: bool) -> bool:
    if etag is None:
        return False
    listed = _ENTITY_TAG.findall(wanted)
    if is_weak:
        return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in listed]
    return not etag.startswith("W/") and etag in listed


def _is_unchanged(found: Object, request: Received) -> bool:
    wanted = request.header("if-none-match")
    if wanted is not None:
        return wanted == "*" or _matches(wanted, found.etag, is_weak=True)
    since = request.header("if-modified-since")
    if since is None or found.last_modified is None:
        return False
    return not _is_later(found.last_modified, since)


def _is_later(modified: str, since: str) -> bool:
    try:
        return parsedate_to_datetime(modified) > parsedate_to_datetime(since)
    except ValueError:  # RFC 9110 13.1.3: a condition that is no date is ignored
        return True


def _may_be_partial(found: Object, request: Received) -> bool:
    """If-Range: a Range is followed only where the client's strong validator still holds."""
    condition = request.header("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return _matches(condition, found.etag, is_weak=False)
    return condition == found.last_modified
