"""What `nezha ca` says and does. Everything here blocks; a running server takes a change over by itself."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from nezha.pki.authority import extension, id_of
from nezha.pki.keeper import ADMISSION, Keeper
from nezha.pki.rotation import Rotation

Injected = Callable[[float], Sequence[str]]
"""The running pods that were injected before a time (seconds since the epoch), as namespace/name."""

USES = {"pods": "what injected pods trust", "admission": "what the API server trusts"}


def describe(keepers: Mapping[str, Keeper | None]) -> dict[str, Any]:
    """`nezha ca show --json`: every CA by its use; a use whose certificate is made elsewhere has none.

    Raises SettingsError.
    """
    return {use: keeper and _described(keeper.read().rotation) for use, keeper in keepers.items()}


def show(keepers: Mapping[str, Keeper | None]) -> Iterator[str]:
    """`nezha ca show`: the lines. Raises SettingsError."""
    for use, keeper in keepers.items():
        yield f"{use}: {USES[use]}"
        if keeper is None:
            yield "  mounted: renewed where it is made"
            continue
        rotation = keeper.read().rotation
        yield _line("signing", rotation.signing.certificate, f"for {', '.join(_hosts(rotation.signing.certificate))}")
        if rotation.next is not None:
            yield _line("next", rotation.next.authority.certificate, f"signs from {stamp(rotation.next.signs_at)}")
        for old in rotation.retired:
            yield _line("retired", old.certificate, f"trusted until {stamp(old.until)}")


def rotate(keeper: Keeper, injected: Injected | None, *, at_once: bool) -> Iterator[str]:
    """`nezha ca rotate`: does it, and says what it means for the pods that run. Raises SettingsError."""
    before = keeper.read().rotation
    rotation = keeper.rotate(at_once=at_once).rotation
    old, waiting = before.signing.id, rotation.next
    if waiting is not None:
        yield f"CA {waiting.authority.id} is published now and signs from {stamp(waiting.signs_at)}; {old} until then."
        yield "Who takes the bundle from now on trusts both. Pods that run must be restarted before then."
        return
    published_at = before.next.published_at if before.next else keeper.now()
    yield f"CA {rotation.signing.id} signs from now on; {old} is trusted until {stamp(rotation.retired[0].until)}."
    yield from _left_behind(keeper, published_at, injected)


def revoke(keeper: Keeper, injected: Injected | None, identity: str | None) -> Iterator[str]:
    """`nezha ca revoke`: does it, and says what it does not do. Raises SettingsError."""
    before = keeper.read().rotation
    identity = identity or before.signing.id
    gone = next((each for each in before.published if id_of(each) == identity), None)
    rotation = keeper.revoke(identity).rotation
    yield f"CA {identity} is in the trust bundle no more; CA {rotation.signing.id} signs."
    who = "The API server goes" if keeper.stem == ADMISSION else "Pods that run go"
    until = "its caBundle is another" if keeper.stem == ADMISSION else "they are restarted"
    yield f"{who} on trusting the key of {identity} until {until}: whoever has that key can pose as"
    yield f"  {', '.join(_hosts(gone)) if gone else 'nobody'}"
    if rotation.signing.id != before.signing.id:
        yield from _left_behind(keeper, before.next.published_at if before.next else keeper.now(), injected)


def stamp(seconds: float) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _left_behind(keeper: Keeper, published_at: float, injected: Injected | None) -> Iterator[str]:
    if keeper.stem == ADMISSION:
        yield "Reviews fail until the API server trusts it: until the webhook's caBundle holds it."
        return
    yield f"Pods injected before {stamp(published_at)} do not trust it: their requests fail until they are restarted."
    if injected is None:
        yield "Which these are, only a cluster knows."
        return
    pods = injected(published_at)
    yield from (f"  {pod}" for pod in pods)
    yield f"{len(pods)} such pods run now."


def _line(role: str, certificate: x509.Certificate, more: str) -> str:
    return f"  {role:<8} {id_of(certificate)}  expires {stamp(certificate.not_valid_after_utc.timestamp())}  {more}"


def _described(rotation: Rotation) -> dict[str, Any]:
    waiting = rotation.next
    return {
        "signing": _certificate(rotation.signing.certificate),
        "next": waiting
        and {
            **_certificate(waiting.authority.certificate),
            "published_at": waiting.published_at,
            "signs_at": waiting.signs_at,
        },
        "retired": [{**_certificate(old.certificate), "until": old.until} for old in rotation.retired],
    }


def _certificate(certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "id": id_of(certificate),
        "subject": certificate.subject.rfc4514_string(),
        "expires_at": certificate.not_valid_after_utc.timestamp(),
        "hosts": _hosts(certificate),
    }


def _hosts(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that it may sign for, as they are written in it."""
    limits = extension(certificate, x509.NameConstraints)
    permitted: Collection[x509.GeneralName] = (limits and limits.permitted_subtrees) or ()
    return [
        str(name.value).removesuffix("/32").removesuffix("/128")
        for name in permitted
        if isinstance(name, x509.DNSName | x509.IPAddress)
    ]
