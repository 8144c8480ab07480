"""Everything that Nezha does in its cluster, as one part with one life: the webhook's surroundings, and what is kept.

Tasks follow and write in the background; whoever asks is answered from memory. While the API server is away, what was
known stays known, and nothing of this stops a request or the process.
"""

import asyncio
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from nezha import log
from nezha.admission.target import Notice, Trust
from nezha.kube import distribution
from nezha.kube.backoff import Backoff
from nezha.kube.caller import Caller
from nezha.kube.client import Client, ClusterError, is_in_cluster
from nezha.kube.keeping import Keeper
from nezha.kube.lease import RENEW_SECONDS, Lease
from nezha.kube.notices import Notices
from nezha.kube.publication import Publication
from nezha.kube.remote import RemoteCache
from nezha.kube.service import ServiceAddresses
from nezha.kube.trust import Distribution
from nezha.settings import AdmissionSettings
from nezha.tasks import Tasks

__all__ = ["Cluster", "is_in_cluster"]

SETTLING_SECONDS = 10.0
"""How long a new process may keep itself out of the Service until it could inject."""

_GOODBYE_SECONDS = 2.0


class Cluster:
    """The `Surroundings` of the webhook in a cluster. Made and used on one event loop, from `open` to `close`."""

    def __init__(
        self,
        settings: AdmissionSettings,
        kubeconfig: Path | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        name, _, namespace = settings.service.partition(".")
        self._settings = settings
        self._now = now
        self._opened_at = now()
        self._publish: Callable[[], Publication] | None = None
        self._client = Client(kubeconfig)
        self._tasks = Tasks()
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lease = Lease(self._client, namespace, identity, self.wake)
        self._service = ServiceAddresses(self._client, namespace, name, self.wake)
        self._remote = RemoteCache(self.addresses, settings.cache_port) if settings.cache_port else None
        self._caller = Caller(self._client, lambda: self._published().webhook, self.wake)
        self._notices = Notices(self._client, identity)
        self._distribution: Distribution | None = None
        self._undecided: str | None = "not decided yet how it is distributed"
        delays = Backoff(first=1.0, longest=RENEW_SECONDS)  # at once again: a Lease runs out
        self._election = Keeper("lease", self._lease.step, every=RENEW_SECONDS, delays=delays)
        self._calls = Keeper("webhook configuration", self._led(self._caller.step))
        self._spread = Keeper("trust bundle", self._led(self._distribute))

    # -- what the webhook asks

    def addresses(self) -> tuple[str, ...]:
        """As `Surroundings.addresses`: those of the Service, unless the settings name one."""
        fixed = self._settings.address
        return self._service.addresses if fixed == "auto" else (fixed,)

    def trust(self, namespace: str) -> Trust | None:
        """As `Surroundings.trust`."""
        return self._distribution.trust(namespace) if self._distribution else None

    def notify(self, notice: Notice) -> None:
        """Has an Event written, later and at most once in ten minutes."""
        self._notices.notify(notice)

    # -- what others ask

    def is_leader(self) -> bool:
        """Whether this replica writes for all."""
        return self._lease.is_leader

    def is_cache_ready(self) -> bool:
        """Whether the cache is, as far as this process does not know it by itself."""
        return self._remote is None or self._remote.problem is None

    def problems(self) -> dict[str, str]:
        """What is not in order, by part; none of it keeps the cache from serving."""
        mirrors = self._distribution.mirrors if self._distribution else ()
        found = {
            "service address": self._service.problem if self._settings.address == "auto" else None,
            "trust bundle": self._undecided or self._spread.problem or _first(each.problem for each in mirrors),
            "webhook configuration": self._calls.problem or self._caller.mirror.problem,
            "lease": self._election.problem,
            "cache": self._remote and self._remote.problem,
        }
        return {part: problem for part, problem in found.items() if problem}

    def is_settled(self) -> bool:
        """Whether all that an injection needs is known, or took too long: the cache does not wait for the API server.

        Without this a rolling update would hand the webhook to a process that lets its first pods pass unchanged.
        """
        trust = not self._settings.trust or (self._distribution is not None and self._distribution.is_known)
        return (bool(self.addresses()) and trust) or self._now() - self._opened_at >= SETTLING_SECONDS

    def wake(self) -> None:
        """Something may have changed: here, in the cluster, or what is published."""
        self._calls.wake()
        self._spread.wake()

    # -- life

    def open(self, publish: Callable[[], Publication]) -> None:
        """Begins to follow, and to write what is published. Nothing is waited for."""
        self._publish = publish
        self._opened_at = self._now()
        self._start(self._election.run(), "lease")
        self._start(self._caller.mirror.run(), "webhook-configuration")
        self._start(self._calls.run(), "webhook-configuration-writer")
        self._start(self._notices.run(), "events")
        if self._settings.address == "auto":
            self._start(self._service.mirror.run(), "service")
        if self._remote is not None:
            self._start(self._remote.run(), "cache")
        if self._settings.trust:
            self._start(self._begin_distribution(), "trust")
        else:
            self._undecided = None

    async def close(self) -> None:
        """Stops all, and lets another replica lead at once."""
        await self._tasks.cancel()
        with suppress(ClusterError, TimeoutError):
            await asyncio.wait_for(self._lease.release(), _GOODBYE_SECONDS)
        await self._client.close()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.start(work, f"kube-{name}")

    async def _begin_distribution(self) -> None:
        delays = Backoff()
        while self._distribution is None:
            try:
                self._distribution = await distribution.choose(self._client, self._published, self.wake)
            except ClusterError as error:
                self._undecided = str(error)
                await asyncio.sleep(delays.next())
        self._undecided = None
        log.event("trust_distribution", kind=type(self._distribution).__name__)
        for mirror in self._distribution.mirrors:
            self._start(mirror.run(), "trust-mirror")
        self._start(self._spread.run(), "trust-writer")

    def _published(self) -> Publication:
        assert self._publish is not None, "not open yet"
        return self._publish()

    async def _distribute(self) -> None:
        if self._distribution is not None:
            await self._distribution.step()

    def _led(self, step: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        async def led() -> None:
            if self._lease.is_leader:
                await step()

        return led


def _first(problems: Any) -> str | None:
    return next((problem for problem in problems if problem), None)
