"""Events for pods that passed unchanged: what the webhook noticed reaches the pod's owner, in the API server's time.

The queue is bounded and the same notice is not repeated for ten minutes: a Job that fails to be injected a
thousand times makes one Event. An Event that cannot be written is dropped; the metric and the log have counted it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from nezha import log
from nezha.admission.target import Notice
from nezha.kube.client import Client, ClusterError
from nezha.kube.resources import EVENT, Object

WAITING = 256
QUIET_SECONDS = 600.0
REMEMBERED = 4096
_PAUSE_SECONDS = 0.1


class Notices:
    """Takes notices at once and writes Events, at most ten a second."""

    def __init__(self, client: Client, instance: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._instance = instance
        self._now = now
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(WAITING)
        self._told: OrderedDict[Notice, float] = OrderedDict()

    def notify(self, notice: Notice) -> None:
        """Takes a notice to be written. Never waits: past the queue's bound it is dropped."""
        now = self._now()
        if now - self._told.get(notice, -QUIET_SECONDS) < QUIET_SECONDS or self._queue.full():
            return
        self._told[notice] = now
        self._told.move_to_end(notice)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._queue.put_nowait(notice)

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            notice = await self._queue.get()
            try:
                await self._client.create(
                    EVENT.path(notice.namespace), event(notice, self._instance, datetime.now(UTC))
                )
            except ClusterError as error:
                log.warn("event_not_written", namespace=notice.namespace, about=notice.name, message=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)


def event(notice: Notice, instance: str, at: datetime) -> Object:
    """A notice as a v1 Event."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    concerned = {"apiVersion": notice.api_version, "kind": notice.kind, "namespace": notice.namespace}
    named = {field: value for field, value in (("name", notice.name), ("uid", notice.uid)) if value}
    return {
        "apiVersion": EVENT.api,
        "kind": EVENT.kind,
        "metadata": {"generateName": "nezha-", "namespace": notice.namespace},
        "involvedObject": concerned | named,
        "type": "Warning",
        "reason": notice.reason,
        "action": "Inject",
        "message": notice.message[:1024],
        "source": {"component": "nezha"},
        "reportingComponent": "nezha.io/admission",
        "reportingInstance": instance,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
