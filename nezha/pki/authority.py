"""A CA that can sign, limited to the configured names, and the leaves that it signs. Values only; nothing is stored.

The key is the identity; the certificate is derived from it and from the names. When the names change, a new
certificate is made with the same key, subject and key id: a client that trusts the old one goes on accepting leaves
for the names that were in it, and refuses those for new names until it has the new one. Nobody loses a name, and no
rollout has to be simultaneous.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nezha.errors import SettingsError
from nezha.pki.names import constraints, general_name

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=30)
BACKDATED = timedelta(days=1)
"""How far a client's clock may be behind ours."""

AuthorityKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign: its certificate, its key, and where they are kept (for messages)."""

    certificate: x509.Certificate
    key: AuthorityKey = field(repr=False)
    place: str

    @property
    def id(self) -> str:
        """What people call this CA: the first digits of its key id, the same in each certificate for its key."""
        return id_of(self.certificate)

    @property
    def certificate_pem(self) -> bytes:
        """What a client needs in order to trust this CA."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def expires_at(self) -> float:
        """The end of the certificate, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()

    def is_limited_to(self, names: Collection[str]) -> bool:
        """Whether exactly `names` (DNS names, which includes their subdomains, and IP literals) may be signed for."""
        return extension(self.certificate, x509.NameConstraints) == constraints(names)


def create(names: Collection[str], place: str, now: float) -> Authority:
    """A CA with a new key, limited to `names`."""
    return certify(ec.generate_private_key(ec.SECP256R1()), names, place, now)


def certify(key: AuthorityKey, names: Collection[str], place: str, now: float) -> Authority:
    """A CA whose key there is, and no certificate yet."""
    return Authority(_self_signed(key, None, constraints(names), now), key, place)


def limit(authority: Authority, names: Collection[str], now: float) -> Authority:
    """The same CA limited to `names`: itself where it is, else with a new certificate for the same key."""
    if authority.is_limited_to(names):
        return authority
    certificate = _self_signed(authority.key, authority.certificate, constraints(names), now)
    return Authority(certificate, authority.key, authority.place)


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
        raise SettingsError(
            f"{authority.place}: the CA has expired: remove this file and restart, the key will be kept"
        )
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
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # The key id alone: with issuer and serial, a re-issued CA certificate would no longer fit (RFC 5280 4.2.1.1).
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(authority.certificate)),
            critical=False,
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """The extension of that kind, if the certificate has one."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def id_of(certificate: x509.Certificate) -> str:
    """As `Authority.id`, for a CA whose key is not here."""
    return _key_id(certificate).digest.hex()[:8]


def _key_id(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """The id that `certificate` gives its key (a CA made elsewhere may compute it otherwise), else the usual one."""
    found = extension(certificate, x509.SubjectKeyIdentifier)
    return found or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())


def _self_signed(
    key: AuthorityKey, old: x509.Certificate | None, limits: x509.NameConstraints, now: float
) -> x509.Certificate:
    """A CA certificate for `key`; subject and key id are those of `old`, by which clients connect leaf and CA."""
    at = datetime.fromtimestamp(now, UTC)
    key_id = _key_id(old) if old else x509.SubjectKeyIdentifier.from_public_key(key.public_key())
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
        .add_extension(limits, critical=True)
    )
    return builder.sign(key, hashes.SHA256())
