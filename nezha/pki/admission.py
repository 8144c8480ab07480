"""The certificate of the admission port, live: from a CA of its own, or mounted.

Its CA is another one than the pods': theirs must not be able to sign for a Service, nor this one for an origin.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from nezha import log
from nezha.errors import NezhaError, SettingsError
from nezha.pki.authority import LEAF_LIFETIME, issue
from nezha.pki.bundle import pem
from nezha.pki.contexts import Front, context_of, server_context
from nezha.pki.leaves import renewal
from nezha.pki.live import Live
from nezha.pki.mounted import CERTIFICATE, ISSUER, KEY, RENEW, read_mounted
from nezha.pki.pem import check_validity, read_certificates


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate in use. Times in seconds since the epoch.

    `trust` is what the API server has to trust for it (`caBundle`), PEM; empty where somebody else tells it.
    """

    context: ssl.SSLContext
    expires_at: float
    renew_at: float
    trust: bytes
    source: object


class Source(Protocol):
    """Where the certificate comes from."""

    def look(self, known: Served | None) -> Served:
        """The certificate as it should be now: `known` itself where that still is. Blocks; raises NezhaError."""
        ...


class OwnCertificate:
    """A leaf of Nezha's own CA for the Service's DNS names and this machine; its key lives in this process only."""

    def __init__(
        self,
        live: Live,
        names: Collection[str],
        *,
        lifetime: timedelta = LEAF_LIFETIME,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._names = tuple(names)
        self._lifetime = lifetime
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())

    def look(self, known: Served | None) -> Served:
        """As `Source.look`."""
        rotation, now = self._live.rotation, self._now()
        if known is not None and known.source is rotation and now < known.renew_at:
            return known
        certificate = issue(rotation.signing, self._names, self._key, self._lifetime, now=now)
        expires_at = certificate.not_valid_after_utc.timestamp()
        context = server_context(certificate, self._key)
        return Served(context, expires_at, renewal(now, expires_at), pem(rotation.published), rotation)


class MountedCertificate:
    """A certificate that is made elsewhere, in a directory as cert-manager's Secrets are mounted."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now

    def look(self, known: Served | None) -> Served:
        """As `Source.look`."""
        chain, key = read_mounted(self._directory, CERTIFICATE), read_mounted(self._directory, KEY)
        trust = read_mounted(self._directory, ISSUER) if (self._directory / ISSUER).exists() else b""
        content = (chain, key, trust)
        if known is not None and known.source == content:
            return known
        place = f"tls.directory: {self._directory / CERTIFICATE}"
        leaf = read_certificates(chain, place)[0]
        check_validity(leaf, place, self._now(), RENEW)
        try:
            context = context_of(key + b"\n" + chain)
        except ssl.SSLError as error:
            raise SettingsError(f"{place}: does not belong to the private key beside it: {RENEW}") from error
        expires_at = leaf.not_valid_after_utc.timestamp()
        return Served(context, expires_at, expires_at, trust, content)


class Admission:
    """What the admission port serves with. Used from one event loop, but made before it, because that blocks."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._served = source.look(None)
        self._front = Front(self._served.context)
        self._trouble = ""

    @property
    def context(self) -> ssl.SSLContext:
        """For the server, once: the certificate in it changes by itself."""
        return self._front.context

    @property
    def expires_at(self) -> float:
        """When the certificate in use ends, in seconds since the epoch."""
        return self._served.expires_at

    @property
    def trust(self) -> bytes:
        """As `Served.trust`."""
        return self._served.trust

    async def look(self) -> None:
        """Renews, or takes over what has changed. What cannot be used is reported once, and the last good one stays."""
        try:
            served = await asyncio.to_thread(self._source.look, self._served)
        except NezhaError as error:
            if str(error) != self._trouble:
                log.warn("admission_certificate_unusable", message=str(error))
            self._trouble = str(error)
            return
        self._trouble = ""
        if served is not self._served:
            self._served = served
            self._front.replace(served.context)
            log.event("admission_certificate_changed", expires_at=served.expires_at)
