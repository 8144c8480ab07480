"""Which of several stored variants a request selects (RFC 9111 4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Fields
from nezha.semantics.keys import Variant, Vary, matches, variant, vary_of

GZIP = (("accept-encoding", "gzip"),)
NO_ENCODING = (("accept-encoding", None),)
ETAG = '"v1"'


def fields(*items: tuple[str, str]) -> Fields:
    return Fields(items)


def entry(vary: Vary, answered_at: float = 0.0, etag: str | None = None) -> Entry:
    stored = fields(("ETag", etag)) if etag else Fields()
    return Entry("k", "v", 200, stored, 5, answered_at, answered_at, is_open=True, vary=vary)


@pytest.mark.parametrize(
    ("response", "request_fields", "vary"),
    [
        (fields(), fields(("A", "1")), ()),
        (fields(("Vary", "")), fields(("A", "1")), ()),
        (fields(("Vary", "Accept-Encoding")), fields(("accept-encoding", "gzip")), GZIP),
        (fields(("Vary", "Accept-Encoding")), fields(), NO_ENCODING),
        (fields(("Vary", "B, a ,, b")), fields(("A", "1"), ("B", "2")), (("a", "1"), ("b", "2"))),
        (fields(("Vary", "b"), ("Vary", "a")), fields(("A", "1")), (("a", "1"), ("b", None))),
        (fields(("Vary", "a")), fields(("A", "1"), ("A", "2")), (("a", "1, 2"),)),
        (fields(("Vary", "a")), fields(("A", "")), (("a", ""),)),
    ],
)
def test_a_variant_is_made_by_what_vary_names(response: Fields, request_fields: Fields, vary: Vary) -> None:
    assert vary_of(response, request_fields) == vary


@pytest.mark.parametrize(
    ("vary", "request_fields", "selected"),
    [
        ((), fields(), True),
        ((), fields(("Accept-Encoding", "gzip")), True),
        (GZIP, fields(("Accept-Encoding", "gzip")), True),
        (GZIP, fields(("ACCEPT-ENCODING", " gzip ")), True),
        (GZIP, fields(("Accept-Encoding", "br")), False),
        (GZIP, fields(("Accept-Encoding", "GZIP;q=1.0")), True),
        (GZIP, fields(("Accept-Encoding", "gzip;q=0.5")), False),
        (GZIP, fields(("Accept-Encoding", "gzip, br")), False),
        (GZIP, fields(), False),
        (NO_ENCODING, fields(), True),
        (NO_ENCODING, fields(("Accept-Encoding", "gzip")), False),
        (NO_ENCODING, fields(("Accept-Encoding", "")), False),  # absent matches only absent
        ((("a", "1, 2"),), fields(("A", "1"), ("A", "2")), True),
        ((("a", "1, 2"),), fields(("A", "1,2")), True),
        ((("a", "1, 2"),), fields(("A", "2, 1")), False),
        # choices have weights, and no order or case
        ((("accept-language", "de;q=0.5, en"),), fields(("Accept-Language", "eN , DE; q=0.50")), True),
        ((("accept-language", "de;q=0.5, en"),), fields(("Accept-Language", "en;q=0.5, de")), False),
        ((("accept", 'a/b;x="C"'),), fields(("Accept", 'a/b;x="C";q=1')), True),
        ((("accept", 'a/b;x="C"'),), fields(("Accept", 'a/b;x="c"')), False),
        ((("a", "fr"),), fields(("A", "fr\xa0")), False),  # no white space of HTTP: another value to the origin
        ((("a", "1"), ("b", "2")), fields(("A", "1")), False),
        ((("a", "1"), ("b", "2")), fields(("B", "2"), ("A", "1")), True),
    ],
)
def test_a_request_selects_a_variant_by_all_that_vary_names(vary: Vary, request_fields: Fields, selected: bool) -> None:
    assert matches(vary, request_fields) is selected


NAMES = st.sampled_from(["A", "b", "C"])
REQUESTS = st.lists(st.tuples(NAMES, st.text('xy, \t"', max_size=6)), max_size=5).map(Fields)


@given(st.lists(NAMES).map(", ".join), REQUESTS)
def test_a_request_selects_the_variant_that_it_made(names: str, request_fields: Fields) -> None:
    assert matches(vary_of(fields(("Vary", names)), request_fields), request_fields)


def test_of_nothing_nothing_is_selected() -> None:
    assert variant([], fields()) is None


def test_of_what_matches_the_newest_is_selected() -> None:
    old, new, other = entry(GZIP, 1.0), entry((), 2.0), entry(NO_ENCODING, 3.0, ETAG)
    asked = fields(("Accept-Encoding", "gzip"))
    assert variant([new, old, other], asked) == Variant(new, is_exact=True)
    assert variant([old, other], asked) == Variant(old, is_exact=True)


def test_the_date_of_an_answer_says_how_new_it_is() -> None:
    dated = Entry("k", "v", 200, fields(("Date", "Thu, 01 Jan 2026 00:00:00 GMT")), 5, 1.0, 1.0, is_open=True)
    assert variant([entry((), 2.0), dated], fields()) == Variant(dated, is_exact=True)


def test_where_nothing_matches_the_newest_that_a_304_can_select_is_offered() -> None:
    old, new, weak = entry(GZIP, 1.0, ETAG), entry(GZIP, 2.0, '"v2"'), entry(GZIP, 3.0, 'W/"v3"')
    assert variant([old, new, weak, entry(GZIP, 4.0)], fields()) == Variant(new, False, (old,))


def test_a_variant_without_a_strong_validator_is_no_one_elses() -> None:
    assert variant([entry(GZIP, 1.0, 'W/"v1"'), entry(GZIP, 2.0)], fields()) is None
