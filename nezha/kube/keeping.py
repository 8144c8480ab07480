"""Keeping something in the cluster as it should be: a step that is taken again whenever it may be needed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from nezha import log
from nezha.kube.backoff import Backoff
from nezha.kube.client import ClusterError

AGAIN_SECONDS = 300.0
"""How often a step is taken although nothing is known to have changed."""


class Keeper:
    """Takes `step` when woken, and again after it failed. A step compares and writes the difference, if any."""

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[None]],
        *,
        every: float = AGAIN_SECONDS,
        delays: Backoff | None = None,
    ) -> None:
        self.name = name
        self.problem: str | None = None
        """Why the last step failed; None where it did not."""
        self._step = step
        self._every = every
        self._delays = delays or Backoff()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may have changed."""
        self._woken.set()

    async def run(self) -> None:
        """Takes the step until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self._step()
            except ClusterError as error:
                self._tell(str(error))
                await asyncio.sleep(self._delays.next())  # woken or not: a server that refuses is not pressed
                continue
            self._tell(None)
            self._delays.reset()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._every)

    def _tell(self, problem: str | None) -> None:
        if problem and problem != self.problem:
            log.warn("cluster_step_failed", step=self.name, message=problem)
        self.problem = problem
