"""What is to be published of Nezha's certificates, and whether a bundle that was found serves."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from nezha.pki.bundle import pem
from nezha.pki.certificates import Certificates

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Publication:
    """All texts are PEM."""

    bundle: str
    """What pods are to trust: the public roots and Nezha's CAs."""
    signing: str
    """The CA certificate whose leaves are served now: a bundle without it is of no use to a pod."""
    webhook: str
    """What the API server is to trust when it calls the webhook; empty where somebody else tells it."""


@lru_cache(maxsize=16)  # hundreds of namespaces hold the same text
def certificates(bundle: str) -> frozenset[str]:
    """The certificates in a bundle, whatever stands between them."""
    return frozenset("".join(body.split()) for body in _CERTIFICATE.findall(bundle))


def serves(found: frozenset[str], publication: Publication) -> bool:
    """Whether a pod that trusts these certificates accepts the leaves that are served now."""
    return certificates(publication.signing) <= found


class Published:
    """What this process publishes now; made once per change, for every review asks."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._made: tuple[object, Publication] | None = None

    def __call__(self) -> Publication:
        """The publication of the moment."""
        held = self._certificates
        own = held.admission_authority
        mounted = held.admission.trust if held.admission and not own else b""
        source = held.pods.rotation, own.rotation if own else mounted
        if self._made is None or self._made[0] != source:
            webhook = pem(own.rotation.published) if own else mounted
            signing = pem([held.pods.rotation.signing.certificate])
            self._made = source, Publication(held.bundle().decode(), signing.decode(), webhook.decode())
        return self._made[1]

    def subscribe(self, tell: Callable[[], None]) -> None:
        """Has every change of a CA told, on the event loop."""
        for live in (self._certificates.pods, self._certificates.admission_authority):
            if live is not None:
                live.subscribe(lambda _: tell())
