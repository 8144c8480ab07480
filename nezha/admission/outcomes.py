"""What becomes of a review: one type for each outcome. The words are those of `nezha_reviews_total{outcome}`."""

from dataclasses import dataclass
from typing import Literal

from nezha.admission.review import Operation


@dataclass(frozen=True, slots=True)
class Injected:
    """The pod is pointed at the cache, by these operations."""

    rule: str
    operations: tuple[Operation, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamped:
    """The pods that this workload makes will be asked about under `rule`."""

    rule: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Untouched:
    """There is nothing to do, and nobody to tell."""

    reason: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Somebody asked for the redirect and does not get it: the object is unchanged, and its owner is told why."""

    word: Literal["unsuitable", "unready"]
    """Whether it lies with the object, or with us: the next one may be injected."""
    rule: str
    warnings: tuple[str, ...]


Outcome = Injected | Stamped | Untouched | Passed
