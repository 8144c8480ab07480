"""What else a request speaks of than its target: other resources of its origin, and how far it may still go."""

from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from nezha.model import Fields, Request

_DEFAULT_PORTS = (":80", ":443")


def named_targets(request: Request, answer: Fields) -> Iterator[str]:
    """The targets that an answer's Location and Content-Location name on the request's own origin (RFC 9111 4.4).

    HTTP and HTTPS are one origin here: their answers are stored under one key.
    """
    for name in ("location", "content-location"):
        for value in answer.all(name):
            try:
                url = urlsplit(urljoin(f"http://{request.host}{request.target}", value))
            except ValueError:
                continue  # no URL
            if url.scheme in {"http", "https"} and _bare(url.netloc) == _bare(request.host):
                yield (url.path or "/") + (f"?{url.query}" if url.query else "")


def _bare(authority: str) -> str:
    authority = authority.lower()
    return next((authority.removesuffix(port) for port in _DEFAULT_PORTS if authority.endswith(port)), authority)


def hops_left(request: Request) -> int | None:
    """How many times a request may still be forwarded; None where it does not say (RFC 9110 7.6.2)."""
    value = request.fields.get("max-forwards")
    if request.method not in {"TRACE", "OPTIONS"} or value is None or not (value.isascii() and value.isdigit()):
        return None
    return int(value.lstrip("0")[:9] or 0)


# A reflection must not show them (RFC 9110 9.3.8).
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


def reflection(request: Request) -> str:
    """The request as its last recipient received it, for the answer to a TRACE."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.fields.without(_SECRET))
    return f"{request.method} {request.target} HTTP/{request.version[0]}.{request.version[1]}\r\n{lines}\r\n"
