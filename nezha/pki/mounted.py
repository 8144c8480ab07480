"""Certificates that are made elsewhere (cert-manager) and mounted as it writes them: tls.crt, tls.key, ca.crt.

    TLS_DIRECTORY/tls.crt, tls.key              a CA for the cache port, in place of ca.crt and ca.key
    TLS_DIRECTORY/admission/tls.crt, tls.key    the certificate of the admission port itself, with its chain

Both are read again when they change, and never written. The kubelet swaps a mounted directory as a whole, but two
files are read one after the other: a pair that does not match is a moment, and the last good one stays meanwhile.
"""

import hashlib
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from cryptography import x509

from nezha.errors import SettingsError
from nezha.pki.authority import Authority, extension, limit
from nezha.pki.pem import check_validity, read_certificates, read_key
from nezha.pki.record import Names
from nezha.pki.shelf import Shelved

CERTIFICATE, KEY, ISSUER = "tls.crt", "tls.key", "ca.crt"
ADMISSION = "admission"
RENEW = "renew it where it is made"


def is_authority(directory: Path) -> bool:
    """Whether the CA of the cache port is one that was mounted."""
    return (directory / KEY).exists() and not (directory / "ca.key").exists()


def is_admission(directory: Path) -> bool:
    """Whether the certificate of the admission port is one that was mounted."""
    return (directory / ADMISSION / KEY).exists()


class MountedAuthority:
    """A shelf with a CA that is made elsewhere, which signs for `hosts` only.

    Its own certificate need not be limited: clients are given one for the same key and subject that is. It exists in
    memory, and is a new one in each process; that is no matter, for a leaf names the key only.
    """

    def __init__(
        self, directory: Path, names: Names, hosts: Collection[str], now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._names = names
        self._hosts = hosts
        self._now = now
        self._made: tuple[str, Authority] | None = None

    def place(self, name: str) -> str:
        """As `Shelf.place`."""
        mounted = {self._names.key: KEY, self._names.certificate: CERTIFICATE}.get(name, name)
        return f"tls.directory: {self._directory / mounted}"

    def load(self, names: Collection[str]) -> Shelved:
        """As `Shelf.load`: the mounted key, and the certificate that is made for it."""
        del names
        key, certificate = read_mounted(self._directory, KEY), read_mounted(self._directory, CERTIFICATE)
        version = hashlib.sha256(key + certificate).hexdigest()
        if self._made is None or self._made[0] != version:
            self._made = version, self._limited(key, certificate)
        return Shelved({self._names.key: key, self._names.certificate: self._made[1].certificate_pem}, version)

    def save(self, files: object, expected: str) -> str:
        """As `Shelf.save`, which is not for Nezha to do here."""
        raise SettingsError(
            f"tls.directory: {self._directory}: its CA is made elsewhere ({KEY}): rotate and revoke it there"
        )

    def _limited(self, key: bytes, certificate: bytes) -> Authority:
        place = self.place(self._names.certificate)
        loaded = read_key(key, self.place(self._names.key))
        found = next(iter(read_certificates(certificate, place)))
        basic = extension(found, x509.BasicConstraints)
        if basic is None or not basic.ca:
            raise SettingsError(f"{place}: not the certificate of a CA: in cert-manager it needs `isCA: true`")
        if found.public_key() != loaded.public_key():
            raise SettingsError(f"{place}: does not belong to the private key beside it: {RENEW}")
        check_validity(found, place, self._now(), RENEW)
        return limit(Authority(found, loaded, place), self._hosts, found.not_valid_before_utc.timestamp())


def read_mounted(directory: Path, name: str) -> bytes:
    """A mounted file. Raises SettingsError, which names it."""
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"tls.directory: {directory / name}: {reason}: mount the whole Secret") from error
