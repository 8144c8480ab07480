"""The last minutes of the metrics, so that the status page can say what is now and not only what ever was."""

import asyncio
import time
from collections import deque

from nezha.metrics import Metrics
from nezha.proxy.figures import COUNTERS, GAUGES, Sample

LOOK_SECONDS = 5.0
_KEPT = 60  # five minutes


class History:
    """Samples of the metrics, a few seconds apart, the oldest first."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._samples: deque[Sample] = deque(maxlen=_KEPT)
        self._started = time.monotonic()
        self.look()

    def look(self) -> None:
        """Takes a sample."""
        self._samples.append(self._now())

    async def keep(self) -> None:
        """Takes samples for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def until_now(self) -> list[Sample]:
        """What is kept, and a sample of this moment: at least two."""
        return [*self._samples, self._now()]

    def uptime(self) -> float:
        """Seconds since this began."""
        return time.monotonic() - self._started

    def _now(self) -> Sample:
        return Sample.of(time.monotonic(), self._metrics.values((*COUNTERS, *GAUGES)))
