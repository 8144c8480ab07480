"""All certificates of one process, and the task that keeps them up to date.

Nothing here ends a connection: a rotation, whoever begins it, is noticed within `LOOK_SECONDS` and meant for new ones.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nezha import log
from nezha.errors import SettingsError
from nezha.metrics import Metrics
from nezha.pki import mounted
from nezha.pki.admission import Admission, MountedCertificate, OwnCertificate
from nezha.pki.bundle import pem, public_roots
from nezha.pki.keeper import ADMISSION, PODS, Keeper, Kept
from nezha.pki.live import Live
from nezha.pki.record import Names
from nezha.pki.shelf import Shelf
from nezha.settings import Settings

LOOK_SECONDS = 1.0
SECRET_LOOK_SECONDS = 5.0
"""Where each look is two requests to the API server."""
FOLLOW_SECONDS = 240.0
"""How long a start waits for a CA that another process makes: the kubelet may take a minute to bring a Secret."""


def keepers(settings: Settings, hosts: Collection[str], shelf: Shelf) -> dict[str, Keeper | None]:
    """The keepers by use; None where the certificate is made elsewhere."""
    return {"pods": pods_keeper(settings, hosts, shelf), "admission": admission_keeper(settings, shelf)}


def pods_keeper(settings: Settings, hosts: Collection[str], shelf: Shelf) -> Keeper:
    """The keeper of the CA that pods trust, for the configured `hosts`."""
    directory = settings.tls.directory
    if settings.tls.secret is None and mounted.is_authority(directory):
        shelf = mounted.MountedAuthority(directory, Names(PODS), hosts)
    return Keeper(shelf, hosts, settings.tls.overlap)


def admission_keeper(settings: Settings, shelf: Shelf) -> Keeper | None:
    """The keeper of the admission port's CA; None where its certificate is mounted."""
    if mounted.is_admission(settings.tls.directory):
        return None
    called = settings.admission.webhook_service or settings.admission.service
    return Keeper(shelf, service_names(called), settings.tls.overlap, ADMISSION)


def service_names(service: str) -> list[str]:
    """What the API server may call the Service `name.namespace`, and what this machine calls itself."""
    name, _, namespace = service.partition(".")
    full = f"{name}.{namespace}.svc"
    return [name, f"{name}.{namespace}", full, f"{full}.cluster.local", "localhost", "127.0.0.1"]


@dataclass(frozen=True, slots=True)
class Certificates:
    """The public roots (PEM), the pods' CA, and the admission port's certificate with its CA (None: it is mounted).

    Without an admission port both are None.
    """

    roots: bytes
    pods: Live
    admission: Admission | None = None
    admission_authority: Live | None = None

    def published(self) -> bytes:
        """Every CA that pods have to trust, PEM; the signing one first."""
        return pem(self.pods.rotation.published)

    def bundle(self) -> bytes:
        """The trust bundle: what injected pods trust instead of their image's list."""
        return self.roots + self.published()

    async def look(self) -> None:
        """Takes over what has changed, each by itself."""
        await self.pods.look()
        if self.admission_authority is not None:
            await self.admission_authority.look()
        if self.admission is not None:
            await self.admission.look()

    async def keep(self, seconds: float) -> None:
        """Looks for ever, that often."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    def measure(self, metrics: Metrics) -> None:
        """Shows when each certificate ends; one that does not exist never does."""
        expiry = "certificate_expiry_timestamp_seconds"
        metrics.watch(expiry, lambda: self.pods.rotation.signing.expires_at, "ca")
        metrics.watch(expiry, self._next_expires_at, "next-ca")
        if (admission := self.admission) is not None:
            metrics.watch(expiry, lambda: admission.expires_at, "admission")

    def _next_expires_at(self) -> float:
        waiting = self.pods.rotation.next
        return waiting.authority.expires_at if waiting else math.nan


def open_certificates(
    settings: Settings, hosts: Collection[str], shelf: Shelf, leads: Callable[[], bool] = lambda: True
) -> Certificates:
    """Reads, and makes where they are missing, the CAs and the admission certificate. Blocks; raises SettingsError.

    `leads`: whether this replica is the one that lets time pass for all.
    """
    pods = pods_keeper(settings, hosts, shelf)
    live = Live(pods, _followed(pods), lambda: False) if settings.tls.follow else Live(pods, pods.open(), leads)
    roots = public_roots()
    if not settings.admission.enabled:
        return Certificates(roots, live)
    own = admission_keeper(settings, shelf)
    if own is None:
        return Certificates(
            roots, live, Admission(MountedCertificate(settings.tls.directory / mounted.ADMISSION)), None
        )
    authority = Live(own, own.open(), leads)
    return Certificates(roots, live, Admission(OwnCertificate(authority, own.hosts)), authority)


def _followed(keeper: Keeper) -> Kept:
    """The CA of another process, once it is there. Raises SettingsError where that takes too long."""
    deadline = time.monotonic() + FOLLOW_SECONDS
    while True:
        try:
            return keeper.find()
        except SettingsError as error:
            if time.monotonic() >= deadline:
                raise
            log.event("waiting_for_ca", message=str(error))
        time.sleep(LOOK_SECONDS)
