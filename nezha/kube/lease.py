"""Which of several replicas writes for all: the holder of a Lease.

A holder renews; the others watch the record and take it over when it has not changed for its duration *by their own
clocks*: no two machines' clocks are compared. The holder stops believing in itself before that (`STEADY_SECONDS`).
Two may still write at once after a long pause of a process: every write carries a version or is the same anyway.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nezha.kube.client import Client, ClusterError
from nezha.kube.resources import LEASE, LEASES, Object

DURATION_SECONDS = 15
STEADY_SECONDS = 10.0
RENEW_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The record as it was last seen to change, and when by our clock."""

    record: tuple[str, str]
    at: float


class Lease:
    """One replica's part in the election. `step` is taken every `RENEW_SECONDS`."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        on_change: Callable[[], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._collection = LEASES.path(namespace)
        self._path = LEASES.path(namespace, LEASE)
        self._identity = identity
        self._on_change = on_change
        self._now = now
        self._seen: Seen | None = None
        self._renewed_at: float | None = None
        self._was_leader = False

    @property
    def is_leader(self) -> bool:
        """Whether this replica may write."""
        return self._renewed_at is not None and self._now() - self._renewed_at < STEADY_SECONDS

    async def step(self) -> None:
        """Renews, takes over, or looks on. Raises ClusterError."""
        started = self._now()
        try:
            self._renewed_at = started if await self._hold() else None
        except ClusterError as error:
            if error.code == 409:
                self._renewed_at = None  # another was quicker
            else:
                raise
        finally:
            if self.is_leader != self._was_leader:
                self._was_leader = self.is_leader
                self._on_change()

    async def release(self) -> None:
        """Lets another take over at once. Raises ClusterError."""
        if not self.is_leader:
            return
        self._renewed_at = None
        lease = await self._client.get(self._path)
        if lease["spec"].get("holderIdentity") == self._identity:
            lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self._client.replace(self._path, lease)

    async def _hold(self) -> bool:
        try:
            lease = await self._client.get(self._path)
        except ClusterError as error:
            if error.code != 404:
                raise
            await self._client.create(self._collection, LEASES.new(LEASE, spec=self._spec({})))
            return True
        spec = lease.get("spec") or {}
        if not self._may_take(spec):
            return False
        await self._client.replace(self._path, lease | {"spec": self._spec(spec)})
        return True

    def _may_take(self, spec: Object) -> bool:
        holder = spec.get("holderIdentity") or ""
        record = holder, spec.get("renewTime") or ""
        if self._seen is None or self._seen.record != record:
            self._seen = Seen(record, self._now())
        if holder in ("", self._identity):
            return True
        duration: float = spec.get("leaseDurationSeconds") or DURATION_SECONDS
        return self._now() - self._seen.at >= duration

    def _spec(self, old: Object) -> Object:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_ours = old.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "renewTime": at,
            "acquireTime": old.get("acquireTime", at) if is_ours else at,
            "leaseTransitions": (old.get("leaseTransitions") or 0) + (not is_ours),
        }
