"""What the documentation says of the cases is what they are."""

from tests.conformance.cases import CASES
from tests.conformance.table import BEGIN, DOCS, END, SECTIONS, every_case, heading, with_summary


def test_the_table_is_current() -> None:
    page = (DOCS / "http.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == with_summary(page), "run python -m tests.conformance.table"


def test_the_list_is_current() -> None:
    assert (DOCS / "conformance.md").read_text() == every_case(), "run python -m tests.conformance.table"


def test_every_section_has_cases() -> None:
    assert {heading(case.section) for case in CASES} == SECTIONS.keys()
