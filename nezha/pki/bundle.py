"""The trust bundle: what injected pods trust instead of their image's list. The public roots, and Nezha's CAs.

Most clients let such a file replace their own list, hence the public roots. Certificates alone, each once and with no
text between them: a ClusterTrustBundle takes nothing else.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def public_roots() -> bytes:
    """PEM: the roots that browsers trust (certifi's). Blocks (a file)."""
    return b"".join(dict.fromkeys(_BLOCK.findall(Path(certifi.where()).read_bytes())))


def pem(authorities: Iterable[x509.Certificate]) -> bytes:
    """PEM: `authorities` in their order."""
    return b"".join(authority.public_bytes(Encoding.PEM) for authority in authorities)
