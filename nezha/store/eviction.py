"""Which objects go when room is needed: those unused the longest."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One stored object: its bytes, and its last use in seconds since the epoch."""

    key: str
    body_bytes: int
    last_use: float


def choose(candidates: Iterable[Candidate], needed_bytes: int) -> list[Candidate]:
    """The fewest candidates, longest unused first, whose bytes add up to what is needed (all, if they do not)."""
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: each.last_use):
        if needed_bytes <= 0:
            break
        chosen.append(candidate)
        needed_bytes -= candidate.body_bytes
    return chosen
