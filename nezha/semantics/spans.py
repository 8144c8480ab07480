"""What a span says of an exchange, in the words of OpenTelemetry's conventions for HTTP spans.

A request's span is made of what the access log says of it, and of nothing else: neither holds a header's value.
"""

from typing import TypedDict

Attributes = dict[str, str | int]

# Others are the client's invention, and must not become names.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_PORTS = {"http": 80, "https": 443}


class Line(TypedDict):
    """What is said of one request at its end; the target is masked, the client an address, seconds from its head on."""

    origin: str
    outcome: str
    detail: str
    status: int
    method: str
    host: str
    target: str
    client: str
    tls: bool
    bytes: int
    seconds: float


def name(method: str) -> str:
    """What a span is called: few names, whatever clients send."""
    return method if method in _METHODS else "HTTP"


def of_request(line: Line) -> Attributes:
    """The attributes of a request's span."""
    scheme = "https" if line["tls"] else "http"
    host, port = _split(line["host"], scheme)
    path, _, query = line["target"].partition("?")
    found: Attributes = {
        **_method(line["method"]),
        "url.scheme": scheme,
        "url.path": path,
        "server.address": host,
        "server.port": port,
        "client.address": line["client"],
        "http.response.body.size": line["bytes"],
        "nezha.origin": line["origin"],
        "nezha.outcome": line["outcome"],
    }
    told: Attributes = {
        "url.query": query,
        "http.response.status_code": line["status"],  # 0: nothing was answered
        "nezha.detail": line["detail"],
        "error.type": fault(line),
    }
    return found | {key: value for key, value in told.items() if value}


def fault(line: Line) -> str:
    """Why a request counts as failed, empty where it does not: a client's mistake (4xx) is no fault of the server's."""
    status = line["status"]
    if line["outcome"] == "error" and not 400 <= status < 500:
        return line["detail"] or "_OTHER"
    return str(status) if status >= 500 else ""


def of_question(origin: str, base: str, method: str, target: str) -> Attributes:
    """The attributes of a request to an origin at `base` (scheme, host and port), whose target is masked."""
    scheme, _, authority = base.partition("://")
    host, port = _split(authority, scheme)
    return {
        **_method(method),
        "url.full": base + target,
        "server.address": host,
        "server.port": port,
        "nezha.origin": origin,
    }


def of_answer(status: int, word: str) -> Attributes:
    """What is added when its answer's head has come, or `word` says why none came (status 0)."""
    if not status:
        return {"error.type": word or "_OTHER"}
    found: Attributes = {"http.response.status_code": status}
    return found | {"error.type": str(status)} if status >= 400 else found


def _method(method: str) -> Attributes:
    if method in _METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _split(authority: str, scheme: str) -> tuple[str, int]:
    """Host (an IPv6 address without brackets) and port."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    return host.strip("[]"), int(port) if port else _PORTS[scheme]
