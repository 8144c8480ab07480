"""Heads of HTTP/1.1 (RFC 9112): a request's from its bytes, strictly; a response's to its bytes, exactly.

One regular expression a line: no parser of others is as strict (`docs/architecture.md`).
"""

import re

from nezha.errors import RequestError
from nezha.model import Fields, Request

_TARGET_MAX = 16 << 10
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([\x21-\x7e\x80-\xff]+) HTTP/(\d)\.(\d)")
# A field line without obs-fold, bare CR, NUL or other controls (RFC 9112 2.2, 5.2; RFC 9110 5.5). The space around the
# value is taken off by `strip`: a pattern that does it takes cubic time on a value of spaces.
TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELD_LINE = re.compile(rf"({_TOKEN}):({TEXT})")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=%-]+)(?::(\d*))?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,18}")
_REASONS = {
    100: "Continue", 103: "Early Hints", 200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    412: "Precondition Failed", 414: "URI Too Long", 416: "Range Not Satisfiable", 421: "Misdirected Request",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}  # fmt: skip


def parse_head(head: bytes, *, client: str, tls: bool) -> Request:
    """A request from its head, without the empty line. Raises RequestError with the status it deserves."""
    lines = head.decode("latin-1").split("\r\n")
    start = _REQUEST_LINE.fullmatch(lines[0])
    if start is None:
        raise RequestError(400, "the request line is malformed")
    method, target, major, minor = start.groups()
    if major != "1":
        raise RequestError(505, f"HTTP/{major}.{minor} is not spoken here")
    if len(target) > _TARGET_MAX:
        raise RequestError(414, f"the request target is longer than {_TARGET_MAX} bytes")
    came = tuple(lines[1:])
    fields = Fields(map(parse_field_line, came))
    if method == "CONNECT":
        raise RequestError(405, "CONNECT is not served: Nezha is no forward proxy")
    version = (1, min(int(minor), 1))
    target, authority = _origin_form(method, target)
    fields, host = _host(fields, authority, version, tls=tls)
    length, chunked = _framing(fields, version)
    return Request(method, target, fields, host, client, tls, version, length, chunked, came)


def parse_field_line(line: str) -> tuple[str, str]:
    """A field's name and value. Raises RequestError."""
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise RequestError(400, "a header line is malformed")
    name, value = match.groups()
    return name, value.strip(" \t")


def _origin_form(method: str, target: str) -> tuple[str, str | None]:
    """RFC 9112 3.2: origin form as it is, absolute form split into its target and authority, `*` for OPTIONS."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, None
    if match := _ABSOLUTE.fullmatch(target):
        rest = match[2].partition("#")[0]
        return (rest if rest.startswith("/") else f"/{rest}"), match[1]
    raise RequestError(400, "the request target has no form that is served here")


def _host(fields: Fields, authority: str | None, version: tuple[int, int], *, tls: bool) -> tuple[Fields, str]:
    """The authority asked for, lower case, without a default port; RFC 9112 3.2 and 3.2.2."""
    values = fields.all("host")
    if len(values) > 1:
        raise RequestError(400, "more than one Host")
    if not values and version >= (1, 1):
        raise RequestError(400, "no Host")
    if authority is not None:
        fields = fields.with_field("Host", authority)
    elif not values:
        return fields, ""
    match = _AUTHORITY.fullmatch((authority if authority is not None else values[0]).lower())
    if match is None:
        raise RequestError(400, "the Host is malformed")
    name, port = match.groups()
    return fields, name.rstrip(".") if not port or port == ("443" if tls else "80") else f"{name.rstrip('.')}:{port}"


def _framing(fields: Fields, version: tuple[int, int]) -> tuple[int | None, bool]:
    """The body's length, or whether it is chunked (RFC 9112 6); what two readers read differently is refused."""
    codings, lengths = fields.all("transfer-encoding"), fields.all("content-length")
    if codings:
        if lengths:
            raise RequestError(400, "both Content-Length and Transfer-Encoding")
        if version < (1, 1):
            raise RequestError(400, "Transfer-Encoding in HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise RequestError(501, "only the chunked transfer coding is known")
        return None, True
    if not lengths:
        return None, False
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise RequestError(400, "the Content-Length is malformed")
    return int(lengths[0]), False


def format_head(status: int, reason: str, fields: Fields) -> bytes:
    """A response head as it is sent."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status} {reason or _REASONS.get(status, '')}\r\n{lines}\r\n".encode("latin-1")
