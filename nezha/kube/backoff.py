"""How long to wait before asking again: exponential, with jitter, so that replicas do not ask in step."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays in seconds, from about `first` to about `longest`; `reset` after a success."""

    first: float = 0.25
    longest: float = 30.0
    failures: int = 0

    def next(self) -> float:
        """The next delay: half of it is chance."""
        delay = min(self.longest, self.first * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return delay * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The next delay is a first one again."""
        self.failures = 0
