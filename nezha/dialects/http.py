"""Any web server: plain HTTP caching (RFC 9111).

The whole target is the key, so that a query parameter needs no list here, but for those that are secrets: a key is
written to the disk, so such a request passes. A header is a credential where RFC 9110
says so, where the route names it, or where its name says so itself; the last kind is unknown and passes.
"""

import re
from collections.abc import Mapping

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Kind, Pass, Place, Read, Write
from nezha.dialects.urls import SECRET_PARAMETERS, parameter_names
from nezha.model import Key, Request
from nezha.settings import OriginSettings

_SECRET_SCHEMES = frozenset({"basic", "bearer", "token", "apikey"})
# RFC 9111 binds here, so that an unlisted header selects a variant by Vary or does nothing; but one whose name
# speaks of a secret may decide who reads what, and Nezha cannot know how long it holds.
_SPEAKS_OF_A_SECRET = re.compile(
    r"account|auth|bearer|cert|cookie|credential|dpop|email|identity|jwt|key|pass(?:w|code|phrase|$)|principal|pwd"
    r"|secret|session|signature|tenant|token|user(?!-agent)|\bsid\b|[cx]srf"
)
# By these a request asks for something else than its line says, where an origin believes them.
_REWRITES = frozenset(
    """x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-scheme x-forwarded-server x-host
    x-http-method x-http-method-override x-method-override x-original-host x-original-url x-rewrite-url""".split()
)
_MAY_SET = frozenset({"range", "if-match", "if-none-match", "if-modified-since"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Http(Dialect):
    """The dialect of an origin that is nothing but an HTTP server."""

    name = "http"
    is_object_store = False
    exchange_fields = frozenset({"server-timing"})
    whole_fields = frozenset({"content-md5", "digest", "content-digest"})

    def places(self, origin: OriginSettings) -> Mapping[str, Place]:
        named = frozenset(name.lower() for name in origin.credential_headers)
        return {host.lower(): Place(origin.name, host.lower(), credential_headers=named) for host in origin.hosts}

    def bucket_of(self, place: Place, request: Request) -> str:
        return request.host

    def classify(self, place: Place, request: Request) -> Read | Write | Pass:
        key = Key(place.route, request.host, request.target)
        if request.method not in {"GET", "HEAD"}:
            return Pass("method") if request.method in _SAFE else Write((key,), (place.route, request.host))
        if request.has_body:
            return Pass("body")
        if not _REWRITES.isdisjoint(request.fields.names()):
            return Pass("rewrite")
        if not SECRET_PARAMETERS.isdisjoint(parameter_names(request)):
            return Pass("credential")
        credential = _credential(place, request)
        return Pass("credential") if credential is None else Read(key, credential, _may_set(request))


def _may_set(request: Request) -> frozenset[str]:
    return _MAY_SET - {"if-none-match", "if-modified-since"} if "if-none-match" in request.fields else _MAY_SET


def _credential(place: Place, request: Request) -> Credential | None:
    """What the caller shows; None where that is not known."""
    shown: list[str] = []
    for name in request.fields.names():
        if name in place.credential_headers:
            shown.append(f"{name}: {request.fields.get(name)}")
        elif name == "authorization":
            value = request.fields.get(name) or ""
            if value.partition(" ")[0].lower() not in _SECRET_SCHEMES:
                return None
            shown.append(value)
        elif name not in HARMLESS_HEADERS and _SPEAKS_OF_A_SECRET.search(name):
            return None
    return Credential(Kind.SECRET, "\n".join(sorted(shown))) if shown else ANONYMOUS
