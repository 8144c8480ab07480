"""Byte ranges and extents: what is asked for, what is there, what is missing (RFC 9110 14)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Extent
from nezha.semantics.ranges import (
    WHOLE,
    ContentRange,
    Span,
    gaps,
    is_several,
    parse_content_range,
    parse_range,
    parse_ranges,
    parts_of,
)

SMALL = st.integers(0, 30)
SPANS = st.builds(Span, SMALL, st.none()) | st.builds(lambda a, b: Span(a, a + b + 1), SMALL, SMALL)
SPANS_AND_SUFFIXES = SPANS | st.builds(Span, st.none(), SMALL)
EXTENTS = st.builds(lambda start, length: Extent(start, start + length), SMALL, SMALL)
SYNTAX = st.text("bytesBYTES=-,0123456789 \t*/\xa0\xb2x", max_size=24)


def positions(extents: list[Extent]) -> set[int]:
    return {position for extent in extents for position in range(*extent)}


# Range


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-", Span(500, None)),
        ("bytes=-500", Span(None, 500)),
        ("bytes=-0", Span(None, 0)),
        ("BYTES=1-2", Span(1, 3)),
        (" bytes=1-2\t", Span(1, 3)),
        ("bytes=007-08", Span(7, 9)),
        ("bytes=0-" + "9" * 30, Span(0, 2**63 + 1)),
        ("bytes=" + "0" * 5000 + "1-" + "0" * 5000 + "2", Span(1, 3)),
        ("bytes=" + "9" * 5000 + "-", Span(2**63, None)),
        ("bytes=-" + "9" * 5000, Span(None, 2**63)),
    ],
)
def test_one_byte_range_is_read(value: str, span: Span) -> None:
    assert parse_range(value) == span


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=1", "bytes 0-1", "lines=0-1"),
        *("bytes=0-1,3-4", "bytes=0-1,", "bytes= 0-1", "bytes=0 -1", "bytes=--1", "bytes=+1-2", "bytes=0x1-2"),
        *("bytes=1-2-3", "bytes=\xb2-3", "bytes=٣-٤", "byte\u017f=0-1", "bytes=0-1\n2"),
    ],
)
def test_what_is_not_one_byte_range_is_none(value: str | None) -> None:
    assert parse_range(value) is None


@pytest.mark.parametrize(
    ("value", "several"),
    [
        (None, False),
        ("", False),
        ("bytes=0-1", False),
        ("bytes=0-1,3-4", True),
        (" Bytes=0-1, -5 ", True),
        ("bytes=,", True),
        ("bytes=a,b", True),
        ("lines=0-1,3-4", False),
        ("a,b", False),
    ],
)
def test_several_byte_ranges_are_told_by_the_comma(value: str | None, several: bool) -> None:
    assert is_several(value) is several


@pytest.mark.parametrize(
    "value", ["bytes=" + "," * 60_000 + "x", "bytes=" + "1" * 60_000 + "x", "bytes=" + "0-1," * 15_000, " " * 60_000]
)
@pytest.mark.timeout(10)
def test_a_range_of_64_kib_is_read_in_no_time(value: str) -> None:
    assert parse_range(value) is None
    is_several(value)
    parse_content_range(value.replace("=", " "))


@given(st.text() | SYNTAX)
def test_no_text_is_too_odd_for_a_range(value: str) -> None:
    span = parse_range(value)
    assert span is None or not is_several(value)
    parse_content_range(value)


@given(SPANS_AND_SUFFIXES)
def test_a_range_that_was_written_is_read_again(span: Span) -> None:
    if span.start is None:
        assert parse_range(f"bytes=-{span.stop}") == span
    else:
        assert parse_range(f"bytes={span.start}-{'' if span.stop is None else span.stop - 1}") == span


# The bytes asked for


@pytest.mark.parametrize(
    ("span", "size", "extent"),
    [
        (Span(0, 5), 10, Extent(0, 5)),
        (Span(0, 500), 10, Extent(0, 10)),
        (Span(9, None), 10, Extent(9, 10)),
        (Span(10, None), 10, None),
        (Span(10, 20), 10, None),
        (Span(None, 3), 10, Extent(7, 10)),
        (Span(None, 30), 10, Extent(0, 10)),
        (Span(None, 0), 10, None),
        (Span(None, 5), 0, None),
        (Span(0, None), 0, None),
        (WHOLE, 10, Extent(0, 10)),
    ],
)
def test_a_span_is_cut_to_the_object_or_asks_for_nothing_of_it(span: Span, size: int, extent: Extent | None) -> None:
    assert span.within(size) == extent


@given(SPANS_AND_SUFFIXES, SMALL)
def test_the_bytes_asked_for_are_bytes_of_the_object(span: Span, size: int) -> None:
    extent = span.within(size)
    if extent is not None:
        assert 0 <= extent.start < extent.stop <= size


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        (WHOLE, WHOLE, True),
        (WHOLE, Span(3, 5), True),
        (WHOLE, Span(None, 5), True),
        (Span(3, 5), WHOLE, False),
        (Span(3, 9), Span(4, 9), True),
        (Span(3, 9), Span(4, 10), False),
        (Span(3, 9), Span(4, None), False),
        (Span(3, None), Span(2, 5), False),
        (Span(None, 5), Span(None, 5), True),
        (Span(None, 5), Span(None, 4), False),  # it does, but who asks that at once?
        (Span(None, 5), Span(0, 5), False),
        (Span(1, None), Span(None, 5), False),
    ],
)
def test_a_span_covers_another_whatever_the_size(one: Span, other: Span, covers: bool) -> None:
    assert one.covers(other) is covers


@given(SPANS_AND_SUFFIXES, SPANS_AND_SUFFIXES, SMALL)
def test_a_span_that_covers_another_has_all_its_bytes(one: Span, other: Span, size: int) -> None:
    if one.covers(other) and (wanted := other.within(size)) is not None:
        had = one.within(size)
        assert had is not None
        assert had.start <= wanted.start <= wanted.stop <= had.stop


# Content-Range


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bytes 0-4/10", ContentRange(Extent(0, 5), 10)),
        ("bytes 0-9/10", ContentRange(Extent(0, 10), 10)),
        ("bytes 3-3/*", ContentRange(Extent(3, 4), None)),
        (" BYTES  3-4/10 ", ContentRange(Extent(3, 5), 10)),
    ],
)
def test_a_content_range_is_read(value: str, found: ContentRange) -> None:
    assert parse_content_range(value) == found


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "bytes */10", "bytes 4-3/10", "bytes 0-10/10", "bytes 0-4/4", "bytes 0-4", "bytes=0-4/10"),
        *("items 0-4/10", "bytes -4/10", "bytes 0-/10", "bytes 0-4/10, bytes 0-4/10", "bytes 0-4/-1", "0-4/10"),
        *("bytes 0-" + "9" * 20 + "/*", "bytes 0-4/" + "9" * 5000, "bytes \xb2-4/10"),
    ],
)
def test_a_content_range_that_contradicts_itself_is_none(value: str | None) -> None:
    assert parse_content_range(value) is None


@given(SMALL, SMALL, st.none() | SMALL)
def test_the_bytes_of_a_content_range_lie_within_its_size(first: int, last: int, size: int | None) -> None:
    found = parse_content_range(f"bytes {first}-{last}/{'*' if size is None else size}")
    assert (found is not None) is (first <= last and (size is None or last < size))
    if found is not None:
        assert found == ContentRange(Extent(first, last + 1), size)


# Gaps


@pytest.mark.parametrize(
    ("have", "missing"),
    [
        ([], [Extent(10, 20)]),
        ([Extent(10, 20)], []),
        ([Extent(0, 100)], []),
        ([Extent(0, 10), Extent(20, 30)], [Extent(10, 20)]),
        ([Extent(12, 14)], [Extent(10, 12), Extent(14, 20)]),
        ([Extent(0, 12), Extent(15, 16), Extent(18, 99)], [Extent(12, 15), Extent(16, 18)]),
        ([Extent(10, 15), Extent(15, 20)], []),
        ([Extent(10, 18), Extent(11, 12), Extent(17, 19)], [Extent(19, 20)]),
    ],
)
def test_gaps_are_what_no_extent_covers(have: list[Extent], missing: list[Extent]) -> None:
    assert gaps(Extent(10, 20), have) == missing


def test_of_no_bytes_none_are_missing() -> None:
    assert gaps(Extent(5, 5), []) == []


@given(EXTENTS, st.lists(EXTENTS, max_size=8).map(sorted))
def test_gaps_and_what_is_there_make_up_what_is_wanted_and_share_no_byte(wanted: Extent, have: list[Extent]) -> None:
    missing = gaps(wanted, have)
    assert positions(missing) == positions([wanted]) - positions(have)
    assert all(gap.length > 0 for gap in missing)
    assert all(one.stop < other.start for one, other in pairwise(missing))


# Several ranges


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        ("bytes=0-1,4-5", [Span(0, 2), Span(4, 6)]),
        ("BYTES= 0-1 ,, -5,7-", [Span(0, 2), Span(None, 5), Span(7, None)]),
        *((value, None) for value in (None, "", "bytes=", "bytes=,", "bytes=0-1,x", "bytes=0-1,4-3", "lines=0-1,2-3")),
        (f"bytes={','.join(['0-1'] * 257)}", None),
    ],
)
def test_several_ranges_are_all_read_or_none(value: str | None, spans: list[Span] | None) -> None:
    assert parse_ranges(value) == spans


@pytest.mark.parametrize(
    ("spans", "extents"),
    [
        ([Span(0, 10), Span(500, 510)], [Extent(0, 10), Extent(500, 510)]),
        ([Span(500, 510), Span(0, 10)], [Extent(500, 510), Extent(0, 10)]),
        ([Span(0, 10), Span(5, 20)], [Extent(0, 20)]),
        ([Span(0, 20), Span(5, 10)], [Extent(0, 20)]),
        ([Span(0, 10), Span(90, 100)], [Extent(0, 100)]),
        ([Span(0, 10), Span(91, 100)], [Extent(0, 10), Extent(91, 100)]),
        ([Span(300, 310), Span(0, 10), Span(305, 320)], [Extent(300, 320), Extent(0, 10)]),
        ([Span(0, 10), Span(None, 10), Span(5000, None)], [Extent(0, 10), Extent(990, 1000)]),
        ([Span(1000, None), Span(None, 0)], []),
    ],
)
def test_parts_are_what_there_is_of_several_ranges(spans: list[Span], extents: list[Extent]) -> None:
    assert parts_of(spans, 1000) == extents


@given(st.lists(SPANS_AND_SUFFIXES, max_size=6), st.integers(0, 40))
def test_parts_hold_every_byte_that_is_asked_for_once(spans: list[Span], size: int) -> None:
    parts = parts_of(spans, size)
    asked = positions([extent for span in spans if (extent := span.within(size)) is not None])
    assert asked <= positions(parts) <= set(range(size))
    assert sum(part.length for part in parts) == len(positions(parts))
