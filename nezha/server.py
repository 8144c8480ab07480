"""The composition root: builds every part, opens two ports, and ends in order. No request logic.

SIGTERM -> readiness goes false -> running responses end within `cache.drain` -> fills end or are abandoned
        -> the store is closed -> the last spans are sent
"""

import asyncio
import math
import os
import signal
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web

from nezha import log
from nezha.admission.handler import Webhook
from nezha.admission.rulebook import Rulebook
from nezha.admission.target import Aim, Standing, Surroundings
from nezha.control import status
from nezha.control.service import Control
from nezha.errors import SettingsError, StoreError
from nezha.kube.actor import Cluster, is_in_cluster
from nezha.kube.publication import Published
from nezha.kube.shelves import server_shelf
from nezha.metrics import Metrics
from nezha.pki.admission import Admission
from nezha.pki.certificates import LOOK_SECONDS, SECRET_LOOK_SECONDS, Certificates, open_certificates
from nezha.pki.leaves import Leaves
from nezha.proxy import trust
from nezha.proxy.authorize import Authorizer
from nezha.proxy.buffers import Buffers
from nezha.proxy.checks import Checks
from nezha.proxy.delivery import Delivery
from nezha.proxy.fetch import Fetcher
from nezha.proxy.fills import Fills
from nezha.proxy.grants import Grants
from nezha.proxy.handler import Handler, Steps
from nezha.proxy.history import History
from nezha.proxy.listener import Listener
from nezha.proxy.look import Lookout
from nezha.proxy.origin import Origins
from nezha.proxy.pages import Pages
from nezha.proxy.passthrough import Passthrough, Splicer
from nezha.proxy.pump import Pump
from nezha.proxy.purge import Purger
from nezha.proxy.refresh import Prober, Refresher
from nezha.proxy.rest import Rest
from nezha.proxy.unsafe import Unsafe
from nezha.routes import Routes, make_routes
from nezha.settings import Address, Settings, TracingSettings
from nezha.store.store import Store
from nezha.tasks import Tasks

if TYPE_CHECKING:
    from nezha.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is made before the event loop runs, because it blocks."""

    settings: Settings
    routes: Routes
    certificates: Certificates
    contexts: dict[Path | None, ssl.SSLContext]
    cluster: Cluster | None
    tracing: "Tracing | None"


def prepare(settings: Settings) -> Prepared:
    """Reads and makes keys, certificates and routes. Raises SettingsError."""
    routes = make_routes(settings)
    cluster = Cluster(settings.admission) if settings.admission.enabled and is_in_cluster() else None
    leads = {"leads": cluster.is_leader} if cluster and settings.tls.secret else {}  # else each has a CA of its own
    certificates = open_certificates(settings, routes.names, server_shelf(settings), **leads)
    contexts = trust.contexts(settings.origins)
    return Prepared(settings, routes, certificates, contexts, cluster, _tracing(settings.tracing))


def _tracing(settings: TracingSettings) -> "Tracing | None":
    if settings.endpoint is None:
        return None
    try:
        from nezha.tracing import Tracing  # noqa: PLC0415  # nobody else needs the library, nor loads it
    except ImportError as error:
        raise SettingsError(f"tracing.endpoint: {error}; leave it out, or pip install 'nezha[tracing]'") from error
    return Tracing(settings.endpoint, settings.sample)


class Server:
    """Both ports of one process, from open to drained. `now` is the clock by which responses age."""

    def __init__(self, prepared: Prepared, now: Callable[[], float] = time.time) -> None:
        self._prepared = prepared
        self._settings = prepared.settings
        self.metrics = Metrics()
        self.metrics.begin(origin.name for origin in prepared.settings.origins)
        self._history = History(self.metrics)
        self._rulebook = Rulebook(prepared.settings.admission.rules_file, self.metrics)
        self.is_draining = False
        self.cache_port = 0
        self.admission_port = 0
        self._closing = AsyncExitStack()
        self._now = now
        self._started_at = time.monotonic()
        self._drained_at = 0.0

    async def open(self) -> None:
        """Opens the store and both ports. Raises SettingsError where the directory or a port cannot be had."""
        settings, metrics = self._settings, self.metrics
        async with AsyncExitStack() as stack:
            if (tracing := self._prepared.tracing) is not None:
                stack.push_async_callback(tracing.close)
            try:
                store = await Store.open(settings.cache, metrics, self._now)
            except StoreError as error:
                raise SettingsError(str(error)) from error
            stack.push_async_callback(store.close)
            fills = Fills(store, Buffers(settings.cache.buffers, settings.cache.slice), metrics)
            stack.push_async_callback(self._end_fills, fills)
            pump = Pump()
            stack.push_async_callback(pump.aclose)
            origins = Origins(self._prepared.contexts, metrics, self._is_own, tracing)
            stack.push_async_callback(origins.close)
            grants = Grants()
            listener = self._listener(store, fills, pump, Authorizer(grants, origins, store, self._now), origins)
            stack.push_async_callback(self._drain, listener)
            control = Control(settings.cache.directory, self._status, store, Purger(store, fills, grants, metrics))
            stack.push_async_callback(control.close)
            await control.open()
            metrics.watch("grants", lambda: len(grants))
            keeping = Tasks()
            stack.push_async_callback(keeping.cancel)
            seconds = SECRET_LOOK_SECONDS if settings.tls.secret else LOOK_SECONDS
            keeping.start(self._prepared.certificates.keep(seconds), "certificates")
            keeping.start(self._history.keep(), "history")
            self._open_cluster(stack)
            with _port("cache", settings.cache.listen):
                self.cache_port = await listener.open(settings.cache.listen.host, settings.cache.listen.port)
            if (admission := self._prepared.certificates.admission) is not None:
                with _port("admission", settings.admission.listen):
                    await self._open_admission(stack, admission)
            self._closing = stack.pop_all()
        log.event(
            "ready",
            cache=str(replace(settings.cache.listen, port=self.cache_port)),
            admission=str(replace(settings.admission.listen, port=self.admission_port)) if admission else None,
            cache_port=self.cache_port,
            admission_port=self.admission_port,
            hosts=len(self._prepared.routes.hosts),
        )
        if admission is not None:
            self._rulebook.follow()

    def _open_cluster(self, stack: AsyncExitStack) -> None:
        cluster = self._prepared.cluster
        if cluster is None:
            return
        published = Published(self._prepared.certificates)
        published.subscribe(cluster.wake)
        cluster.open(published)
        self.metrics.watch("cluster_problems", lambda: len(cluster.problems()))
        stack.push_async_callback(cluster.close)

    def _listener(self, store: Store, fills: Fills, pump: Pump, authorizer: Authorizer, origins: Origins) -> Listener:
        routes, metrics = self._prepared.routes, self.metrics
        certificates = self._prepared.certificates
        leaves = Leaves(certificates.pods.rotation.signing, routes.names)
        certificates.pods.subscribe(lambda rotation: leaves.adopt(rotation.signing))
        rest = Rest(origins, fills, authorizer, Checks(store, self._now))
        fetcher = Fetcher(origins, store, fills, authorizer, rest, self._now)
        delivery = Delivery(store, rest, metrics, self._now)
        lookout = Lookout(store, fills, self._now)
        passthrough = Passthrough(origins, metrics)
        unsafe, refresher = Unsafe(store, fills, passthrough), Refresher(authorizer, fetcher, store, fills)
        prober = Prober(origins, store, self._now)
        steps = Steps(lookout, authorizer, fetcher, delivery, passthrough, unsafe, refresher, prober)
        pages = Pages(metrics, self._history, certificates.published, self._readiness)
        handler = Handler(routes, store, steps, pages.answer, metrics, self._prepared.tracing)
        metrics.watch("ready", self._is_ready)
        certificates.measure(metrics)
        metrics.watch("certificate_expiry_timestamp_seconds", lambda: leaves.expires_at() or math.nan, "leaf")
        splicer = Splicer(routes, origins, metrics)
        return Listener(leaves, pump, handler.handle, splicer.splice, metrics, self._settings.cache.connections)

    async def _open_admission(self, stack: AsyncExitStack, admission: Admission) -> None:
        cluster = self._prepared.cluster
        surroundings = cluster or self._surroundings()
        aim = Aim.of(self._settings, self._prepared.routes.names, surroundings, self._is_cache_ready)
        await self._rulebook.read()
        stack.push_async_callback(self._rulebook.close)
        self.metrics.watch("injection_ready", lambda: aim.obstacle() is None)
        webhook = Webhook(
            lambda: self._rulebook.rules, aim.at, self.metrics, cluster.notify if cluster else lambda _: None
        )
        runner = web.AppRunner(webhook.application(), access_log=None, shutdown_timeout=5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listen = self._settings.admission.listen
        site = web.TCPSite(runner, listen.host, listen.port, ssl_context=admission.context)
        await site.start()
        self.admission_port = runner.addresses[0][1]

    def _surroundings(self) -> Surroundings:
        """What is known without a cluster: the settings' own address, and that the bundle is there."""
        address = self._settings.admission.address
        return Standing(() if address == "auto" else (address,))

    async def _drain(self, listener: Listener) -> None:
        await listener.drain(self._left())

    async def _end_fills(self, fills: Fills) -> None:
        await fills.close(self._left())

    def _left(self) -> float:
        """Seconds of the grace time that are left: one for responses and fills together."""
        return max(0.0, self._drained_at - time.monotonic())

    def _is_ready(self) -> bool:
        return False not in self._readiness().values()

    def _is_cache_ready(self) -> bool:
        """Whether pods may be pointed at the cache: this one, or that of other pods."""
        cluster = self._prepared.cluster
        return self._is_ready() and (cluster is None or cluster.is_cache_ready())

    def _readiness(self) -> dict[str, bool | str]:
        facts: dict[str, bool | str] = {"not draining": not self.is_draining, "listening": self.cache_port != 0}
        notes = {"rules kept as they were": self._rulebook.problem} if self._rulebook.problem else {}
        if (cluster := self._prepared.cluster) is not None:
            facts["knows its cluster, or waited long enough"] = cluster.is_settled()
            notes |= cluster.problems()
        return {**facts, **notes}

    def _status(self) -> dict[str, object]:
        return {
            "ready": self._is_ready(),
            "draining": self.is_draining,
            "cache_port": self.cache_port,
            "admission_port": self.admission_port,
            "up_seconds": round(time.monotonic() - self._started_at, 3),
            **status.counted(self.metrics, self._settings.cache.size),
        }

    def _is_own(self, peer: str, port: int, own: str) -> bool:
        """Whether a connection that was just made leads to this very process, or to Nezha's Service."""
        cluster = self._prepared.cluster
        if peer == self._settings.admission.address or (cluster and peer in cluster.addresses()):
            return True
        return peer == own and port in {self.cache_port, self.admission_port}

    async def close(self) -> None:
        """Drains and closes everything, in the order that the module's docstring gives."""
        self.is_draining = True
        started = time.monotonic()
        self._drained_at = started + self._settings.cache.drain
        log.event("draining", seconds=self._settings.cache.drain)
        await self._closing.aclose()
        log.event("stopped", seconds=round(time.monotonic() - started, 3))


@contextmanager
def _port(section: str, address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(
            f"{section}.listen: {address}: {reason.lower()}; choose an address that is this machine's and free"
        ) from error


async def serve(prepared: Prepared) -> None:
    """Runs both ports until SIGTERM or SIGINT. Raises SettingsError where a port or the directory cannot be used."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = Server(prepared)
    await server.open()
    await stopped.wait()
    await server.close()


RUNNERS: Mapping[str, Callable[..., None]] = {"uvloop": uvloop.run, "asyncio": asyncio.run}
