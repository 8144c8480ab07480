"""What the tests of the CA share: a handshake in memory, and certificates that nobody should have signed."""

import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from nezha.pki.authority import Authority, issue
from nezha.pki.contexts import server_context
from nezha.pki.keeper import load_or_create
from nezha.pki.rotation import Rotation


def serving(directory: Path, names: Sequence[str]) -> ssl.SSLContext:
    """A server's context with one leaf for all `names`, by a CA that is made in `directory` (ca.crt)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return server_context(issue(load_or_create(directory, names), names, key, now=time.time()), key)


def trusting(pem: bytes) -> ssl.SSLContext:
    """A client that trusts this CA and nothing else, as strict as Python 3.13 is by default."""
    client = ssl.create_default_context(cadata=pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.set_alpn_protocols(["http/1.1"])
    return client


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """The client's end after a handshake; raises what the client raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):  # two flights of TLS 1.3, or three of TLS 1.2
        for end in (theirs, ours):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert theirs.version() is not None is not ours.version(), "the handshake does not end"
    return theirs


def forge(
    authority: Authority,
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    subject: x509.Name | None = None,
) -> x509.Certificate:
    """A leaf as good as any but for its names: what a thief of the CA's key could sign."""
    like = issue(authority, ["replaced"], key, now=time.time())
    builder = x509.CertificateBuilder(
        issuer_name=like.issuer,
        subject_name=subject or like.subject,
        public_key=like.public_key(),
        serial_number=like.serial_number,
        not_valid_before=like.not_valid_before_utc,
        not_valid_after=like.not_valid_after_utc,
    )
    for extension in like.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def ids(rotation: Rotation) -> tuple[str, str | None, list[str]]:
    """The CA that signs, the one that waits, and those that signed."""
    waiting = rotation.next
    return rotation.signing.id, waiting.authority.id if waiting else None, [old.id for old in rotation.retired]
