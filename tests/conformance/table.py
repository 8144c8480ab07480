"""Writes the cases into the documentation: `python -m tests.conformance.table`.

docs/http.md gets a line for each section, between two marks; docs/conformance.md a line for each case.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.case import MAY, MUST, SHOULD, Case
from tests.conformance.cases import CASES

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
BEGIN, END = "<!-- cases: begin -->", "<!-- cases: end -->"
_LEVELS = (MUST, SHOULD, MAY)

SECTIONS = {
    "9110 4.2.3": "equal and different URIs",
    "9110 5": "fields: order, combination, unknown ones",
    "9110 6": "content, trailers, Date",
    "9110 7": "routing: hosts, hop-by-hop fields, Max-Forwards, Via",
    "9110 8.4": "content codings",
    "9110 9": "methods",
    "9110 10": "Expect, TE",
    "9110 13": "conditional requests",
    "9110 14": "ranges",
    "9110 15": "status codes, interim answers",
    "9111 3": "storing",
    "9111 3.1": "storing fields",
    "9111 3.2": "updating stored fields",
    "9111 3.3": "incomplete answers",
    "9111 3.4": "combining parts",
    "9111 3.5": "answers to a credential",
    "9111 4": "constructing answers",
    "9111 4.1": "Vary",
    "9111 4.2": "freshness",
    "9111 4.2.1": "its lifetime",
    "9111 4.2.2": "heuristics",
    "9111 4.2.3": "age",
    "9111 4.2.4": "stale answers",
    "9111 4.3": "validation",
    "9111 4.3.5": "what a HEAD says",
    "9111 4.4": "invalidation",
    "9111 5.1": "Age",
    "9111 5.2.1": "directives of requests",
    "9111 5.2.2": "directives of responses",
    "9111 5.3": "Expires",
    "9111 5.4": "Pragma",
    "9111 5.5": "Warning",
    "9111 7.3": "cookies",
    "9112 3.2": "targets",
    "9211 2": "Cache-Status",
    "9213 2": "targeted fields",
    "9213 3.1": "CDN-Cache-Control",
    "5861 3": "stale-while-revalidate",
    "5861 4": "stale-if-error",
    "8246 2": "immutable",
}


def heading(section: str) -> str:
    """The line of the table that a section belongs to: its own, or that of the nearest section above it."""
    while section not in SECTIONS:
        section, dot, _ = section.rpartition(".")
        if not dot:
            raise KeyError("a case of a section without a heading")
    return section


def summary() -> str:
    """The table of docs/http.md."""
    counts = Counter((heading(case.section), case.level) for case in CASES)
    lines = ["| RFC | about | MUST | SHOULD | MAY |", "|---|---|--:|--:|--:|"]
    for section, about in SECTIONS.items():
        found = " | ".join(str(counts[section, level] or "") for level in _LEVELS)
        lines.append(f"| {section} | {about} | {found} |")
    totals = Counter(case.level for case in CASES)
    lines.append(f"| | all | {' | '.join(str(totals[level]) for level in _LEVELS)} |")
    return "\n".join(lines)


def every_case() -> str:
    """All of docs/conformance.md."""
    lines = [
        "# The conformance cases",
        "",
        f"{len(CASES)} cases, written by `python -m tests.conformance.table` from `tests/conformance/cases/`. They are",
        "played by `tests/conformance/test_cases.py` against a running Nezha. [HTTP](http.md) says what does not",
        "apply, and why.",
    ]
    for section, about in SECTIONS.items():
        lines += ["", f"## RFC {section}: {about}", "", "| case | section | level | rule |", "|---|---|---|---|"]
        lines += _rows(section)
    return "\n".join([*lines, ""])


def _rows(section: str) -> Iterator[str]:
    for case in CASES:
        if heading(case.section) == section:
            yield f"| {case.id} | {case.section.partition(' ')[2]} | {case.level} | {_text(case)} |"


def _text(case: Case) -> str:
    return case.rule.replace("|", "\\|").replace("*", "\\*")


def with_summary(page: str) -> str:
    """A page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{summary()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    page = DOCS / "http.md"
    page.write_text(with_summary(page.read_text()))
    (DOCS / "conformance.md").write_text(every_case())
