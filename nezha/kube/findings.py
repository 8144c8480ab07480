"""What `nezha doctor` finds: one value per look, and how a list of them is told."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["ok", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One look: at what, how it is, what was seen, and what to do where it is wrong."""

    what: str
    verdict: Verdict
    seen: str
    remedy: str = ""


def ok(what: str, seen: str) -> Finding:
    """In order."""
    return Finding(what, "ok", seen)


def wrong(what: str, seen: str, remedy: str) -> Finding:
    """Not in order, and what to do."""
    return Finding(what, "wrong", seen, remedy)


def unknown(what: str, why: str, remedy: str = "") -> Finding:
    """Could not be looked at."""
    return Finding(what, "unknown", why, remedy)


def has_trouble(findings: Iterable[Finding]) -> bool:
    """Whether anything is wrong."""
    return any(each.verdict == "wrong" for each in findings)


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """For people: a line each, and the remedy below it."""
    marks = {"ok": "ok     ", "wrong": "WRONG  ", "unknown": "?      "}
    for each in findings:
        yield f"{marks[each.verdict]}{each.what}: {each.seen}"
        if each.remedy:
            yield f"       -> {each.remedy}"


def document(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(each) for each in findings]
