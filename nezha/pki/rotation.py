"""How one CA gives way to the next: frozen states and what leads from one to another, with `now` as an argument.

    signing ──publish──> signing + next ──(overlap has passed, or --now)──> next signs, the old one is retired
                                                                              └─(its last leaf has expired)─> gone

Trust first, signatures later: whoever took the bundle since the publishing verifies both before and after the change.
All three kinds are in the bundle. A retired CA has no key any more: its key is not kept a moment longer than it signs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography import x509

from nezha.errors import SettingsError
from nezha.pki.authority import LEAF_LIFETIME, Authority, id_of


@dataclass(frozen=True, slots=True)
class Next:
    """A CA that pods are made to trust, and that will sign. Times in seconds since the epoch."""

    authority: Authority
    published_at: float
    signs_at: float


@dataclass(frozen=True, slots=True)
class Retired:
    """A CA that signs no more; leaves of it may be in use until `until`."""

    certificate: x509.Certificate
    until: float

    @property
    def id(self) -> str:
        """As `Authority.id`."""
        return id_of(self.certificate)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The CAs of one purpose: the one that signs, perhaps the one that will, and those that did."""

    signing: Authority
    next: Next | None = None
    retired: tuple[Retired, ...] = ()

    @property
    def published(self) -> tuple[x509.Certificate, ...]:
        """What has to be trusted, the signing CA first."""
        upcoming = (self.next.authority.certificate,) if self.next else ()
        return self.signing.certificate, *upcoming, *(old.certificate for old in self.retired)


def publish(rotation: Rotation, fresh: Authority, now: float, overlap: float) -> Rotation:
    """`fresh` is to be trusted from now on, and to sign after `overlap` seconds.

    Raises SettingsError while another one waits already.
    """
    if rotation.next is not None:
        raise SettingsError(
            f"CA {rotation.next.authority.id} is published already and waits to sign: "
            "let it sign at once (rotate --now), or withdraw it (revoke --id)"
        )
    return replace(rotation, next=Next(fresh, now, now + overlap))


def sign(rotation: Rotation, now: float) -> Rotation:
    """The next CA signs from now on; the old one is trusted until its last leaf has expired."""
    assert rotation.next is not None, "there is nothing to sign with"
    old = rotation.signing
    until = min(now + LEAF_LIFETIME.total_seconds(), old.expires_at)
    return Rotation(rotation.next.authority, None, (Retired(old.certificate, until), *rotation.retired))


def advance(rotation: Rotation, now: float) -> Rotation:
    """What time has made of it: the very same value where that is nothing."""
    if rotation.next is not None and rotation.next.signs_at <= now:
        rotation = sign(rotation, now)
    kept = tuple(old for old in rotation.retired if now < old.until)
    return rotation if len(kept) == len(rotation.retired) else replace(rotation, retired=kept)


def revoke(rotation: Rotation, identity: str, fresh: Authority, now: float) -> Rotation:
    """CA `identity` is published no more. Where it is the signing one, the next (else `fresh`) signs at once.

    Raises SettingsError where no CA is called that.
    """
    if identity == rotation.signing.id:
        waiting = rotation.next or Next(fresh, now, now)
        return replace(rotation, signing=waiting.authority, next=None)
    if rotation.next is not None and identity == rotation.next.authority.id:
        return replace(rotation, next=None)
    kept = tuple(old for old in rotation.retired if old.id != identity)
    if len(kept) == len(rotation.retired):
        known = ", ".join(id_of(certificate) for certificate in rotation.published)
        raise SettingsError(f"no CA is called {identity!r}; there are {known}")
    return replace(rotation, retired=kept)


def mapped(rotation: Rotation, change: Callable[[Authority], Authority]) -> Rotation:
    """The same with each CA that has a key changed (a retired one keeps the names that it had)."""
    waiting = rotation.next and replace(rotation.next, authority=change(rotation.next.authority))
    return Rotation(change(rotation.signing), waiting, rotation.retired)


def is_ending(rotation: Rotation, now: float, overlap: float) -> bool:
    """Whether the signing CA expires so soon that the next one has to be published now.

    Twice the overlap, because pods that started on the last day before the change keep the old bundle.
    """
    end = rotation.signing.expires_at - LEAF_LIFETIME.total_seconds() - 2 * overlap
    return rotation.next is None and end <= now
