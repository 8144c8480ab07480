"""A CA on disk, limited to the configured names, and the leaves that it signs.

On disk, in one directory: `<stem>.key` (PKCS 8, 0600) is the identity and is written once, first, and never again;
`<stem>.crt` (0644) is derived from it and from the configured names. Hence three invariants:

- A crash between the two writes heals: a key without a certificate gets one.
- When the names change, a new certificate is made with the same key, subject and key id. A client that trusts the old
  certificate goes on accepting leaves for the names that were in it, and refuses those for new names until it has
  the new one: nobody loses a name, and no rollout has to be simultaneous.
- Whatever cannot be used is somebody's; it is reported, never replaced.

What limits the CA (RFC 5280 4.2.1.10, critical): a kind of name without any constraint is *allowed*, therefore each
kind gets one. Names and addresses: exactly those configured. E-mail and URI: excluding the empty name, the obvious
way, excludes nothing in OpenSSL (its empty constraint matches no name), and Java cannot even read it; permitting only
a name that cannot exist refuses all others in OpenSSL, Go and webpki. `tests/real/test_name_constraints.py` asks each.
GnuTLS leaves URI names unchecked, BoringSSL refuses addresses even where they are permitted, and Java does not apply
the constraints of a trust anchor at all.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nezha.errors import SettingsError

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=30)
BACKDATED = timedelta(days=1)
"""How far a client's clock may be behind ours."""

NOBODY = "nezha.invalid"
"""Permitted where nothing is to be: no host can have it (RFC 6761 6.4)."""

AuthorityKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign: its certificate, its key, and where the certificate was read from (for messages)."""

    certificate: x509.Certificate
    key: AuthorityKey = field(repr=False)
    path: Path

    @property
    def certificate_pem(self) -> bytes:
        """What a client needs in order to trust this CA."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def expires_at(self) -> float:
        """The end of the certificate, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()


def normalize(name: str) -> str:
    """The one spelling of a host: lower case, no trailing dot, IP literals in their canonical form."""
    name = name.lower().removesuffix(".")
    return str(as_address(name) or name)


def as_address(name: str) -> IPv4Address | IPv6Address | None:
    """`name` as an IP literal, or None where it is a DNS name."""
    try:
        return ip_address(name)
    except ValueError:
        return None


def load_or_create(
    directory: Path, names: Collection[str], stem: str = "ca", now: Callable[[], float] = time.time
) -> Authority:
    """The CA in `directory`, limited to `names` (DNS names, which includes their subdomains, and IP literals).

    Blocks (files, fsync, key generation): for a thread, or before the loop. Two processes may call it at once.

    Raises SettingsError, with the file and what to do about it, when the files cannot be read or written, do not
    belong together, are not a self-signed CA, or are not valid now.
    """
    constraints = _constraints(names)
    at = datetime.fromtimestamp(now(), UTC)
    crt, key_path = directory / f"{stem}.crt", directory / f"{stem}.key"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory):
            key = _read_key(key_path) if key_path.exists() else _create_key(key_path, crt)
            old = _read_certificate(crt, key, at) if crt.exists() else None
            if old is not None and _extension(old, x509.NameConstraints) == constraints:
                return Authority(old, key, crt)
            authority = Authority(_self_signed(key, old, constraints, at), key, crt)
            _write(crt, authority.certificate_pem, 0o644)
            return authority
    except OSError as error:
        place = Path(os.fsdecode(error.filename or directory))
        reason = f"{error.strerror}: the directory must be readable, and writable when a CA is made or its names change"
        raise _unusable(place, reason) from error


def issue(
    authority: Authority,
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    lifetime: timedelta = LEAF_LIFETIME,
    *,
    now: float,
) -> x509.Certificate:
    """A server certificate for `names` (DNS names and IP literals), which never outlives its CA.

    The subject has no common name: where a leaf holds only addresses, OpenSSL and GnuTLS take it for a DNS name and
    hold it against the CA's constraints.

    Raises SettingsError when the CA has expired.
    """
    at = datetime.fromtimestamp(now, UTC)
    end = min(at + lifetime, authority.certificate.not_valid_after_utc)
    if end <= at:
        raise _unusable(authority.path, "the CA has expired: remove this file and restart, the key will be kept")
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Nezha")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # The key id alone: with issuer and serial, a re-issued CA certificate would no longer fit (RFC 5280 4.2.1.1).
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                _key_id(authority.certificate, authority.key)
            ),
            critical=False,
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def _constraints(names: Collection[str]) -> x509.NameConstraints:
    """What the CA may sign for; in one order, so that equal names give equal constraints."""
    hosts = sorted({normalize(name) for name in names})
    addresses = [address for address in map(as_address, hosts) if address is not None]
    dns = [_general_name(host) for host in hosts if as_address(host) is None]
    permitted: list[x509.GeneralName] = [
        *(dns or [x509.DNSName(NOBODY)]),
        *(x509.IPAddress(ip_network(address)) for address in addresses),
        x509.RFC822Name(NOBODY),
        x509.UniformResourceIdentifier(NOBODY),
    ]
    everywhere = [x509.IPAddress(ip_network(network)) for network in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted, None if addresses else everywhere)


def _general_name(name: str) -> x509.GeneralName:
    name = normalize(name)
    address = as_address(name)
    if address is not None:
        return x509.IPAddress(address)
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise SettingsError(f"origins: {name!r} is no name for a certificate: write it in its ASCII form") from error


def _self_signed(
    key: AuthorityKey, old: x509.Certificate | None, constraints: x509.NameConstraints, at: datetime
) -> x509.Certificate:
    """A CA certificate for `key`; subject and key id are those of `old`, by which clients connect leaf and CA."""
    key_id = _key_id(old, key)
    common_name = f"Nezha CA {key_id.digest.hex()[:8]}"
    subject = old.subject if old else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # keyCertSign and cRLSign
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATED)
        .not_valid_after(at + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(constraints, critical=True)
    )
    return builder.sign(key, hashes.SHA256())


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_id(certificate: x509.Certificate | None, key: AuthorityKey) -> x509.SubjectKeyIdentifier:
    """The id that `certificate` gives its key (a CA made elsewhere may compute it otherwise), else the usual one."""
    found = _extension(certificate, x509.SubjectKeyIdentifier) if certificate else None
    return found or x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _create_key(path: Path, certificate_path: Path) -> AuthorityKey:
    if certificate_path.exists():
        raise _unusable(path, f"missing, though {certificate_path} is there: restore it, or remove both for a new CA")
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(encoding, kind, serialization.NoEncryption()), 0o600)
    return key


def _read_key(path: Path) -> AuthorityKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise _unusable(path, "not an unencrypted PEM private key: restore it, or remove it for a new CA") from error
    if not isinstance(key, AuthorityKey):
        raise _unusable(path, "neither an ECDSA nor an RSA key: replace it, or remove it for a new CA")
    return key


def _read_certificate(path: Path, key: AuthorityKey, at: datetime) -> x509.Certificate:
    """The CA certificate at `path`, checked against its key and the clock."""
    remedy = "remove this file and restart, a new one will be made with the same key"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        basic = _extension(certificate, x509.BasicConstraints)
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _unusable(path, f"not a self-signed PEM certificate: {remedy}") from error
    if basic is None or not basic.ca:
        raise _unusable(path, f"not the certificate of a CA: {remedy}")
    if certificate.public_key() != key.public_key():
        raise _unusable(path, f"does not belong to the private key beside it: restore one of them, or {remedy}")
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= at < end:
        raise _unusable(path, f"valid from {start} to {end}, which is not now: set the clock, or {remedy}")
    return certificate


def _unusable(path: Path, reason: str) -> SettingsError:
    return SettingsError(f"tls.directory: {path}: {reason}")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keeps two processes that start together from each making a key of its own."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces `path` in one step that survives a crash: a reader sees all of the old file or all of the new."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)  # the rename itself
    finally:
        os.close(parent)
