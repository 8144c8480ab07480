"""Keys and certificates as PEM. What cannot be used is somebody's: it is reported with its place, never replaced."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from nezha.errors import SettingsError
from nezha.pki.authority import Authority, AuthorityKey, extension

_REMEDY = "remove it and restart, a new one will be made with the same key"


def key_bytes(key: AuthorityKey) -> bytes:
    """PKCS 8, unencrypted."""
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, kind, serialization.NoEncryption())


def read_key(content: bytes, place: str) -> AuthorityKey:
    """The private key of a CA. Raises SettingsError, which names `place`."""
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise SettingsError(
            f"{place}: not an unencrypted PEM private key: restore it, or remove it for a new CA"
        ) from error
    if not isinstance(key, AuthorityKey):
        raise SettingsError(f"{place}: neither an ECDSA nor an RSA key: replace it, or remove it for a new CA")
    return key


def read_authority(content: bytes, key: AuthorityKey, place: str, now: float) -> Authority:
    """The CA of `key`, whose certificate is checked against it and the clock. Raises SettingsError."""
    try:
        certificate = x509.load_pem_x509_certificate(content)
        basic = extension(certificate, x509.BasicConstraints)
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise SettingsError(f"{place}: not a self-signed PEM certificate: {_REMEDY}") from error
    if basic is None or not basic.ca:
        raise SettingsError(f"{place}: not the certificate of a CA: {_REMEDY}")
    if certificate.public_key() != key.public_key():
        raise SettingsError(f"{place}: does not belong to the private key beside it: restore one of them, or {_REMEDY}")
    check_validity(certificate, place, now, _REMEDY)
    return Authority(certificate, key, place)


def read_certificates(content: bytes, place: str) -> list[x509.Certificate]:
    """All certificates in `content`. Raises SettingsError."""
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise SettingsError(f"{place}: not a PEM certificate: restore it") from error


def check_validity(certificate: x509.Certificate, place: str, now: float, remedy: str) -> None:
    """Raises SettingsError where a certificate is not valid now."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= datetime.fromtimestamp(now, UTC) < end:
        raise SettingsError(f"{place}: valid from {start} to {end}, which is not now: set the clock, or {remedy}")
