"""Dates, entity tags, preconditions and their precedence (RFC 9110 5.6.7, 8.8 and 13)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Fields
from nezha.semantics.validators import (
    Verdict,
    evaluate,
    is_joinable,
    is_strong,
    parse_date,
    range_applies,
    same_strong,
    same_weak,
)

EARLY = "Thu, 01 Jan 2026 00:00:00 GMT"
MIDDLE = "Thu, 01 Jan 2026 00:00:01 GMT"
LATE = "Thu, 01 Jan 2026 00:00:02 GMT"
NOT_A_DATE = "2026-01-01"
FAILED, NOT_MODIFIED, PROCEED = Verdict.FAILED, Verdict.NOT_MODIFIED, Verdict.PROCEED


# Dates


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "  Sun, 06 Nov 1994 08:49:37 GMT ",
    ],
)
def test_a_date_is_read_in_each_of_its_formats(value: str) -> None:
    assert parse_date(value) == 784111777


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),  # a leap second
        ("Mon, 01 Jan 0001 00:00:00 GMT", -62135596800),
        ("Mon, 01 Jan 0099 00:00:00 GMT", -59042995200),
        ("Friday, 31-Dec-99 23:59:59 GMT", 946684799),
        ("Saturday, 01-Jan-00 00:00:00 GMT", 946684800),
        ("Tuesday, 31-Dec-69 23:59:59 GMT", 3155759999),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
    ],
)
def test_a_date_is_seconds_since_the_epoch(value: str, seconds: int) -> None:
    assert parse_date(value) == seconds


@pytest.mark.parametrize(
    "value", ["thu, 01 JAN 2026 00:00:00 gmt", "THURSDAY, 01-jan-26 00:00:00 GMT", "thu jan  1 00:00:00 2026"]
)
def test_a_date_is_read_in_any_case_of_letters(value: str) -> None:
    assert parse_date(value) == 1767225600


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "0", "-1", NOT_A_DATE, f"{EARLY}, {LATE}", "Thu, 01 Jan 2026 00:00:00", "01 Jan 2026 00:00:00 GMT"),
        *("Thu, 01 Jan 2026 00:00:00 UTC", "Thu, 01 Jan 2026 00:00:00 +0000", "Thu, 01 Jan 2026 00.00.00 GMT"),
        *("Thu, 1 Jan 2026 00:00:00 GMT", "Thu, 01 Foo 2026 00:00:00 GMT", "Thu, 01 Jan 26 00:00:00 GMT"),
        *("Thu, 00 Jan 2026 00:00:00 GMT", "Thu, 32 Jan 2026 00:00:00 GMT", "Mon, 30 Feb 2026 00:00:00 GMT"),
        *("Thu, 01 Jan 2026 24:00:00 GMT", "Thu, 01 Jan 2026 00:60:00 GMT", "Thu, 01 Jan 2026 00:00:61 GMT"),
        *("Sat, 01 Jan 0000 00:00:00 GMT", "Thu, 01-Jan-26 00:00:00 GMT", "Sun Nov 06 08:49:37 94"),
    ],
)
def test_what_is_no_date_is_none(value: str | None) -> None:
    assert parse_date(value) is None


@pytest.mark.parametrize(
    ("form", "last_year"),
    [("%a, %d %b %Y %H:%M:%S GMT", 9999), ("%A, %d-%b-%y %H:%M:%S GMT", 2069), ("%a %b %e %H:%M:%S %Y", 9999)],
)
@given(st.data())
def test_a_date_that_was_written_is_read_again(form: str, last_year: int, data: st.DataObject) -> None:
    last = int(datetime(last_year, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
    seconds = data.draw(st.integers(0, last))
    assert parse_date(datetime.fromtimestamp(seconds, UTC).strftime(form)) == seconds


@given(
    st.text() | st.from_regex(r"(Mon|Sunday),? [0-9]{2}[ -](Jan|Feb|Xyz)[ -][0-9]{2,4} [0-9:]{8} GMT", fullmatch=True)
)
def test_no_text_is_too_odd_for_a_date(value: str) -> None:
    assert isinstance(parse_date(value), float | None)


# Entity tags


@pytest.mark.parametrize(
    ("etag", "strong"),
    [
        ('"a"', True),
        ('""', True),
        ('"a-1/!#\xff"', True),
        ('W/"a"', False),
        ('w/"a"', False),
        ("a", False),
        ('"a', False),
        ('"a b"', False),
        ('"a"b"', False),
        ('"a", "b"', False),
        ("*", False),
        ("", False),
        (None, False),
    ],
)
def test_an_etag_is_strong_where_it_is_well_formed_and_not_weak(etag: str | None, strong: bool) -> None:
    assert is_strong(etag) is strong
    assert same_strong(etag, etag) is strong


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [  # RFC 9110 8.8.3.2, the table
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
        ('"1"', '"2"', False, False),
    ],
)
def test_etags_are_compared_strongly_or_weakly(one: str, other: str, strong: bool, weak: bool) -> None:
    assert same_strong(one, other) is same_strong(other, one) is strong
    assert same_weak(one, other) is same_weak(other, one) is weak


# Preconditions


@pytest.mark.parametrize(
    ("request_fields", "verdict"),
    [
        ({}, PROCEED),
        # If-Match: strong comparison
        ({"If-Match": '"v1"'}, PROCEED),
        ({"If-Match": '"v0", "v1"'}, PROCEED),
        ({"If-Match": "*"}, PROCEED),
        ({"If-Match": '"v0"'}, FAILED),
        ({"If-Match": 'W/"v1"'}, FAILED),
        ({"If-Match": ""}, FAILED),
        # If-Unmodified-Since, only without If-Match
        ({"If-Unmodified-Since": MIDDLE}, PROCEED),
        ({"If-Unmodified-Since": LATE}, PROCEED),
        ({"If-Unmodified-Since": EARLY}, FAILED),
        ({"If-Unmodified-Since": NOT_A_DATE}, PROCEED),
        ({"If-Match": '"v1"', "If-Unmodified-Since": EARLY}, PROCEED),
        ({"If-Match": '"v0"', "If-Unmodified-Since": LATE}, FAILED),
        # If-None-Match: weak comparison
        ({"If-None-Match": '"v1"'}, NOT_MODIFIED),
        ({"If-None-Match": 'W/"v1"'}, NOT_MODIFIED),
        ({"If-None-Match": '"v0", W/"v1"'}, NOT_MODIFIED),
        ({"If-None-Match": "*"}, NOT_MODIFIED),
        ({"If-None-Match": " * "}, NOT_MODIFIED),
        ({"If-None-Match": '"v0"'}, PROCEED),
        # If-Modified-Since, only without If-None-Match
        ({"If-Modified-Since": MIDDLE}, NOT_MODIFIED),
        ({"If-Modified-Since": LATE}, NOT_MODIFIED),
        ({"If-Modified-Since": EARLY}, PROCEED),
        ({"If-Modified-Since": NOT_A_DATE}, PROCEED),
        ({"If-Modified-Since": f"{MIDDLE}, {LATE}"}, PROCEED),
        ({"If-None-Match": '"v0"', "If-Modified-Since": LATE}, PROCEED),
        ({"If-None-Match": '"v1"', "If-Modified-Since": EARLY}, NOT_MODIFIED),
        # the first pair comes before the second
        ({"If-Match": '"v0"', "If-None-Match": '"v1"'}, FAILED),
        ({"If-Match": '"v1"', "If-None-Match": '"v1"'}, NOT_MODIFIED),
        ({"If-Unmodified-Since": EARLY, "If-Modified-Since": LATE}, FAILED),
        ({"If-Unmodified-Since": LATE, "If-Modified-Since": LATE}, NOT_MODIFIED),
    ],
)
def test_preconditions_are_evaluated_in_the_order_of_the_standard(
    request_fields: dict[str, str], verdict: Verdict
) -> None:
    stored = Fields([("ETag", '"v1"'), ("Last-Modified", MIDDLE)])
    assert evaluate(Fields(request_fields.items()), stored) is verdict


@pytest.mark.parametrize(
    ("request_fields", "verdict"),
    [
        ({"If-Match": "*"}, PROCEED),
        ({"If-Match": '"v1"'}, FAILED),
        ({"If-Unmodified-Since": EARLY}, PROCEED),  # 13.1.4: ignored where there is no date
        ({"If-None-Match": "*"}, NOT_MODIFIED),
        ({"If-None-Match": '"v1"'}, PROCEED),
        ({"If-Modified-Since": LATE}, PROCEED),  # 13.1.3: likewise
    ],
)
def test_a_response_without_validators_matches_nothing_but_the_asterisk(
    request_fields: dict[str, str], verdict: Verdict
) -> None:
    assert evaluate(Fields(request_fields.items()), Fields()) is verdict


def test_a_weak_stored_etag_never_satisfies_if_match() -> None:
    stored = Fields([("ETag", 'W/"v1"')])
    assert evaluate(Fields([("If-Match", 'W/"v1"')]), stored) is FAILED
    assert evaluate(Fields([("If-None-Match", '"v1"')]), stored) is NOT_MODIFIED


@given(st.text(st.characters(codec="latin-1")), st.sampled_from(["If-Match", "If-None-Match", "If-Range"]))
def test_no_text_is_too_odd_for_a_precondition(value: str, name: str) -> None:
    stored = Fields([("ETag", '"v1"'), ("Last-Modified", MIDDLE)])
    request = Fields([(name, value)])
    assert evaluate(request, stored) in Verdict
    assert range_applies(request, stored) in {True, False}


# If-Range


@pytest.mark.parametrize(
    ("condition", "stored", "applies"),
    [
        (None, {}, True),
        ('"v1"', {"ETag": '"v1"'}, True),
        (' "v1" ', {"ETag": '"v1"'}, True),
        ('"v0"', {"ETag": '"v1"'}, False),
        ('"v1"', {}, False),
        ('W/"v1"', {"ETag": 'W/"v1"'}, False),  # strong comparison
        ('W/"v1"', {"ETag": '"v1"'}, False),
        ('"v1"', {"ETag": 'W/"v1"'}, False),
        (EARLY, {"Last-Modified": EARLY, "Date": MIDDLE}, True),
        (EARLY, {"Last-Modified": EARLY, "Date": EARLY}, False),  # weak: it may have changed in that second
        (EARLY, {"Last-Modified": EARLY}, False),
        (EARLY, {"Last-Modified": EARLY, "Date": NOT_A_DATE}, False),
        (MIDDLE, {"Last-Modified": EARLY, "Date": LATE}, False),  # an exact match, not a comparison
        (EARLY, {"Last-Modified": MIDDLE, "Date": LATE}, False),
        (EARLY, {"Date": LATE}, False),
        (NOT_A_DATE, {"Date": LATE}, False),
        ("v1", {"ETag": "v1", "Last-Modified": "v1"}, False),
    ],
)
def test_a_range_applies_where_if_range_names_the_stored_version(
    condition: str | None, stored: dict[str, str], applies: bool
) -> None:
    request = Fields([("Range", "bytes=0-1"), *([("If-Range", condition)] if condition is not None else [])])
    assert range_applies(request, Fields(stored.items())) is applies


def test_answers_join_a_200_with_a_strong_etag_only() -> None:
    def entry(status: int, etag: str) -> Entry:
        return Entry("k", "v", status, Fields([("ETag", etag)]), 5, 0.0, 0.0, is_open=True)

    assert is_joinable(entry(200, '"a"'))
    assert not is_joinable(entry(200, 'W/"a"'))
    assert is_joinable(replace(entry(200, 'W/"a"'), mark="7"))
    assert not is_joinable(entry(404, '"a"'))


def test_where_nothing_was_modified_the_date_of_the_answer_counts() -> None:
    stored = Fields([("Date", "Thu, 01 Jan 2026 00:00:00 GMT")])
    for since, verdict in (
        (NOT_A_DATE, Verdict.PROCEED),
        ("Wed, 31 Dec 2025 00:00:00 GMT", Verdict.PROCEED),
        (LATE, Verdict.NOT_MODIFIED),
    ):
        assert evaluate(Fields([("If-Modified-Since", since)]), stored) is verdict
    odd = Fields([("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("Last-Modified", "x")])
    assert evaluate(Fields([("If-Modified-Since", LATE)]), odd) is Verdict.PROCEED
