"""What a pod can see by itself: where a name leads, whether what answers is trusted, and whether the clock is right.

Everything blocks, and asks as an ordinary client does: by the machine's own resolver and trust.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from nezha.kube.findings import Finding, ok, unknown, wrong

_SECONDS = 5.0
_CLOCK_SECONDS = 60.0


def look_here(hosts: Collection[str], addresses: Collection[str]) -> Iterator[Finding]:
    """How `hosts` look from this machine, where `addresses` are Nezha's."""
    if not addresses:
        yield unknown("this machine", "Nezha's address is not known here", "give it by --address")
        return
    yield from about_nezha(next(iter(addresses)))
    for host in hosts:
        redirect = _redirect(host, addresses)
        yield redirect
        if redirect.verdict == "ok":
            yield _trust(host)


def _redirect(host: str, addresses: Collection[str]) -> Finding:
    what = f"{host} leads to Nezha"
    try:
        found = sorted({str(each[4][0]) for each in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)})
    except OSError as error:
        return wrong(what, f"it does not resolve here ({error})", _NOT_INJECTED)
    if set(found) <= set(addresses):
        return ok(what, f"it resolves to {', '.join(found)}")
    seen = f"it resolves to {', '.join(found)} instead of {', '.join(addresses)}"
    return wrong(what, seen, _NOT_INJECTED)


_NOT_INJECTED = (
    "this pod was not injected: label its namespace hostaliases-injector=enabled and the pod as a rule says, "
    "then make the pod anew (nezha admission explain shows why one is not)"
)


def _trust(host: str) -> Finding:
    what = f"{host} is trusted over HTTPS"
    try:
        with socket.create_connection((host, 443), _SECONDS) as plain:
            context = ssl.create_default_context()
            with context.wrap_socket(plain, server_hostname=host) as secret:
                return ok(
                    what, f"{secret.version()}, verified by {ssl.get_default_verify_paths().cafile or 'the system'}"
                )
    except ssl.SSLCertVerificationError as error:
        return wrong(what, error.verify_message, _REMEDIES.get(error.verify_code, _NO_BUNDLE))
    except OSError as error:
        return wrong(what, f"no connection ({error})", "look whether Nezha runs: kubectl -n nezha get pods")


_NO_BUNDLE = "let the client trust the mounted bundle (SSL_CERT_FILE), or make the pod anew: its CA may be an old one"
_REMEDIES = {
    9: "set this machine's clock: the certificate is not valid yet",  # X509_V_ERR_CERT_NOT_YET_VALID
    10: "set this machine's clock, or look at `nezha ca show`: the certificate has expired",  # ..._HAS_EXPIRED
    62: "the certificate is for another name: something else than Nezha answers there",  # ..._HOSTNAME_MISMATCH
}


def about_nezha(address: str) -> Iterator[Finding]:
    """Whether Nezha answers, what it says of itself, and how its clock compares."""
    try:
        said, sent = _ask(address, "/readyz?verbose"), _ask(address, "/healthz")
    except (OSError, http.client.HTTPException) as error:
        remedy = "look whether Nezha runs, and whether a NetworkPolicy lets this pod reach it on ports 80 and 443"
        yield wrong("Nezha answers", f"{address} does not ({error})", remedy)
        return
    troubles = [line[2:].strip() for line in said.body.splitlines() if line.startswith(("--", "no "))]
    yield from (
        wrong("Nezha", trouble, "its log says more: kubectl -n nezha logs -l app.kubernetes.io/name=nezha")
        for trouble in troubles
    )
    if not troubles:
        yield ok("Nezha", "is ready and has nothing to complain of")
    yield _clock(sent.date)


@dataclass(frozen=True, slots=True)
class _Said:
    body: str
    date: str | None


def _ask(address: str, page: str) -> _Said:
    connection = http.client.HTTPConnection(address, 80, timeout=_SECONDS)
    try:
        connection.request("GET", page, headers={"Host": "nezha.invalid"})
        answer = connection.getresponse()
        return _Said(answer.read().decode("utf-8", "replace"), answer.getheader("Date"))
    finally:
        connection.close()


def _clock(sent: str | None) -> Finding:
    what = "the clock"
    if sent is None:
        return unknown(what, "Nezha named no time")
    seconds = time.time() - parsedate_to_datetime(sent).timestamp()
    if abs(seconds) <= _CLOCK_SECONDS:
        return ok(what, f"agrees with Nezha's within {abs(seconds):.0f} s")
    direction = "ahead of" if seconds > 0 else "behind"
    return wrong(
        what, f"is {abs(seconds):.0f} s {direction} Nezha's", "set it (NTP): signatures and certificates need it"
    )
