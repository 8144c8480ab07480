"""What is to be published of Nezha's certificates, and whether a bundle that was found serves."""

import re
from dataclasses import dataclass
from functools import lru_cache

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Publication:
    """All texts are PEM."""

    bundle: str
    """What pods are to trust: the public roots and Nezha's CAs."""
    signing: str
    """The CA certificate whose leaves are served now: a bundle without it is of no use to a pod."""
    webhook: str
    """What the API server is to trust when it calls the webhook."""


@lru_cache(maxsize=16)  # hundreds of namespaces hold the same text
def certificates(bundle: str) -> frozenset[str]:
    """The certificates in a bundle, whatever stands between them."""
    return frozenset("".join(body.split()) for body in _CERTIFICATE.findall(bundle))


def serves(found: frozenset[str], publication: Publication) -> bool:
    """Whether a pod that trusts these certificates accepts the leaves that are served now."""
    return certificates(publication.signing) <= found
