"""`nezha try`: a small piece of the whole way, walked from a pod of the cluster. What `helm test` runs.

    health      the Service answers and has nothing to complain of
    cache       an object of an origin in this very process: a miss, then a hit, byte for byte
    trust       for each configured name a certificate that Nezha's CA vouches for
    injection   a pod in a namespace that has opted in, in a dry run: nothing is made

Each part is tried again until it holds or the time is over: Kubernetes needs some seconds for what was just installed.
"""

import asyncio
import http.client
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nezha.admission.target import TRUST_NAME
from nezha.kube.client import Client, ClusterError
from nezha.kube.findings import Finding, has_trouble, ok, wrong
from nezha.kube.here import about_nezha
from nezha.kube.resources import POD, Object
from nezha.routes import make_routes
from nezha.settings import Settings
from nezha.units import shortest_ip

HOST = "192.0.2.1"
"""The host of the origin `helm-test`: an address for documentation (RFC 5737), hence never anybody's alias."""
PORT = 8080
SIZE = 3_000_000
SECONDS = 90.0
_PAUSE_SECONDS = 1.0
_TIMEOUT_SECONDS = 10.0
_LOOK = "look at /readyz?verbose of Nezha and at its log"


@dataclass(frozen=True, slots=True)
class Way:
    """What is tried: Nezha's `address`, the configured `names`, and the `namespace` that has opted in."""

    address: str
    names: Collection[str]
    wants_trust: bool
    namespace: str


def attempt(part: str, settings: Settings, namespace: str, seconds: float = SECONDS) -> list[Finding]:
    """The findings of one part: the first that are in order, or the last within `seconds`. Blocks; raises nothing."""
    deadline = time.monotonic() + seconds
    while True:
        findings = _look(PARTS[part], settings, namespace)
        if not has_trouble(findings) or time.monotonic() >= deadline:
            return findings
        time.sleep(_PAUSE_SECONDS)


def _look(part: Callable[[Way], Iterator[Finding]], settings: Settings, namespace: str) -> list[Finding]:
    name, _, space = settings.admission.service.partition(".")
    names = [each for each in make_routes(settings).names if not shortest_ip(each)]
    try:
        address = socket.getaddrinfo(f"{name}.{space}.svc", 80, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        return [
            wrong(f"the Service {name}.{space}", f"does not resolve ({error})", "look whether the cluster's DNS runs")
        ]
    return list(part(Way(str(address), names, settings.admission.trust, namespace)))


def _health(way: Way) -> Iterator[Finding]:
    yield from about_nezha(way.address)


# -- a miss, then a hit


class Origin(ThreadingHTTPServer):
    """One object at one path; any other is not found."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.path = f"/{secrets.token_hex(8)}"
        self.body = secrets.token_bytes(SIZE)
        self.reads = 0
        super().__init__(("", port), _Exchange)


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        body = self.server.body if self.path == self.server.path else b""
        self.server.reads += 1
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.server.path[1:]}"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def origin(port: int = PORT) -> Iterator[Origin]:
    """The origin, while it is asked."""
    server = Origin(port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _cache(way: Way) -> Iterator[Finding]:
    with origin() as server:
        yield from about_cache(server, way.address)


def about_cache(server: Origin, address: str, port: int = 80) -> Iterator[Finding]:
    """Whether what is read twice by Nezha comes from the origin once."""
    for what, wanted in (("the first read", "fwd=uri-miss"), ("the second read", "hit")):
        try:
            status, said, body = _read(address, port, server.path)
        except (OSError, http.client.HTTPException) as error:
            yield wrong(what, f"failed ({error})", _LOOK)
            return
        if status != 200 or body != server.body:
            yield wrong(what, f"answered {status} with {len(body)} bytes, not those of the origin", _LOOK)
            return
        if wanted not in said:
            yield wrong(what, f"says {said!r} instead of {wanted}", "has each client its replica (sessionAffinity)?")
        else:
            yield ok(what, said)
    if server.reads != 1:
        yield wrong("the origin", f"was asked {server.reads} times", _LOOK)


def _read(address: str, port: int, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(address, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": HOST})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Cache-Status", ""), answer.read()
    finally:
        connection.close()


# -- trust


def _trust(way: Way) -> Iterator[Finding]:
    yield from about_certificates(way.address, way.names)


def about_certificates(address: str, names: Collection[str], ports: tuple[int, int] = (80, 443)) -> Iterator[Finding]:
    """Whether each name is answered for by a certificate of Nezha's own CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=_authorities(address, ports[0]))
    except (OSError, http.client.HTTPException, ValueError) as error:
        yield wrong("Nezha's CA", f"cannot be had ({error})", _LOOK)
        return
    for name in names:
        try:
            with (
                socket.create_connection((address, ports[1]), _TIMEOUT_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=name) as secret,
            ):
                yield ok(name, f"{secret.version()}, vouched for by Nezha's CA")
        except OSError as error:
            yield wrong(name, f"no certificate that its CA vouches for ({error})", _LOOK)


def _authorities(address: str, port: int) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/ca.crt", headers={"Host": "nezha.invalid"})
        return connection.getresponse().read().decode("ascii")
    finally:
        connection.close()


# -- injection


def _injection(way: Way) -> Iterator[Finding]:
    try:
        made = asyncio.run(_dry_run(Client(), way.namespace))
    except ClusterError as error:
        remedy = "the namespace needs its service account `default`, and this pod the right to make pods"
        yield wrong(f"a pod in {way.namespace}", str(error), remedy)
    else:
        yield about_injection(made, way)


def about_injection(made: Object, way: Way) -> Finding:
    """Whether a pod that asked for it is pointed at Nezha, and made to trust it."""
    what, spec = f"a pod in {way.namespace}", made["spec"]
    ours = [each for each in spec.get("hostAliases") or () if each["ip"] == way.address]
    aliased = {name for each in ours for name in each["hostnames"]}
    if missing := sorted(set(way.names) - aliased):
        return wrong(what, f"is not pointed at {way.address} for {', '.join(missing)}", _LOOK)
    trusts = any(each["name"] == TRUST_NAME for each in spec.get("volumes") or ())
    if trusts != way.wants_trust:
        return wrong(what, "is not made to trust Nezha" if way.wants_trust else "is made to trust it", _LOOK)
    return ok(what, f"would be pointed at {way.address} for {len(aliased)} names" + " and trust it" * trusts)


async def _dry_run(client: Client, namespace: str) -> Object:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
                "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    container = {"name": "main", "image": "nobody.invalid/runs:this", "securityContext": security}
    body = POD.new("nezha-try", namespace, spec={"containers": [container]})
    body["metadata"]["annotations"] = {"nezha.io/inject": "true"}
    try:
        return await client.create(POD.path(namespace), body, {"dryRun": "All"})
    finally:
        await client.close()


PARTS: dict[str, Callable[[Way], Iterator[Finding]]] = {
    "health": _health, "cache": _cache, "trust": _trust, "injection": _injection,
}  # fmt: skip
