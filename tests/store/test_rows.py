"""The index's rows as text: what is written is read again, and anything else is not there."""

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Extent, Fields
from nezha.store import rows
from nezha.store.bodies import StoredExtent

LATIN_1 = st.text(st.characters(max_codepoint=255))
ENTRIES = st.lists(
    st.builds(
        Entry,
        key=st.just("web//a"),
        version=st.uuids().map(lambda each: each.hex),
        status=st.sampled_from([200, 206]),
        fields=st.lists(st.tuples(LATIN_1, LATIN_1), max_size=4).map(Fields),
        size=st.integers(0, 1 << 60),
        requested_at=st.floats(0, 1e11),
        answered_at=st.floats(0, 1e11),
        is_open=st.booleans(),
        vary=st.lists(st.tuples(LATIN_1, st.none() | LATIN_1), max_size=2).map(tuple),
        mark=LATIN_1,
        form=LATIN_1,
    ),
    max_size=3,
)
VERSION = "ab" + 30 * "0"
ENTRY = Entry("web//a", VERSION, 200, Fields([("ETag", '"1"')]), 5, 1.5, 2.5, True)
ROW, LATER, OTHER = (rows.extent_row(*each) for each in [(VERSION, 0), (VERSION, 1 << 20), ("ac" + 30 * "0", 0)])
TAG = rows.format_tag(ROW, 5, [7])
NAME = f"ab/{VERSION}-0000000000000000-0a1b2c3d.x"  # made by chance, but the same in each run
INDEX = Path("/index")


@given(ENTRIES)
def test_entries_are_read_as_they_were_written(entries: list[Entry]) -> None:
    assert rows.parse_entries("web//a", rows.format_entries("web//a", entries)) == entries


def test_whatever_byte_of_an_entry_changes_it_is_not_there_or_the_same() -> None:
    text = rows.format_entries("web//a", [ENTRY])
    for at in range(len(text)):
        for changed in {chr(ord(text[at]) ^ bit) for bit in (1, 2, 4, 64)}:
            damaged = text[:at] + changed + text[at + 1 :]
            assert rows.parse_entries("web//a", damaged) in (None, [ENTRY])


def planted(**changes: object) -> str:
    """A row that is right but for what it says."""
    row = {
        "version": VERSION, "status": 200, "fields": [], "size": 5, "requested_at": 1.0, "answered_at": 2.0,
        "is_open": True, "vary": [],
    }  # fmt: skip
    text = json.dumps([row | changes], separators=(",", ":"))
    return f'{{"schema":1,"crc":{zlib.crc32(text.encode(), zlib.crc32(b"k"))},"entries":{text}}}'


def test_the_row_of_another_key_is_not_there() -> None:
    assert rows.parse_entries("web//b", rows.format_entries("web//a", [ENTRY])) is None


def test_a_row_made_by_hand_is_read() -> None:
    assert rows.parse_entries("k", planted()) is not None


@pytest.mark.parametrize(
    "content",
    [
        planted().replace('"schema":1', '"schema":2'),
        planted().replace('"schema":1', '"schema":"1"'),
        planted().replace('"crc":', '"crc":1'),
        planted(version="../../etc/passwd"),
        planted(version=""),
        planted(size="many"),
        planted(fields=[["only a name"]]),
        planted(vary=None),
        planted()[:-1],
        "",
        "null",
        "[]",
        "{}",
        '{"schema":1}',
        "not JSON",
        "[" * 100_000,
        b"\x80\x04]\x94.",
        b'{"schema":1,"entries":[]}',
        None,
        7,
        1.5,
    ],
)
def test_a_row_that_nezha_did_not_write_is_not_there(content: object) -> None:
    assert rows.parse_entries("k", content) is None


@pytest.mark.parametrize("is_open", ["yes", 1, None])
def test_an_entry_is_open_only_where_it_says_so(is_open: object) -> None:
    entries = rows.parse_entries("k", planted(is_open=is_open))
    assert entries is not None
    assert entries[0].is_open is False


def test_an_extent_is_read_as_it_was_written() -> None:
    assert rows.parse_extent(INDEX, ROW, TAG, NAME, None) == StoredExtent(Extent(0, 5), (7,), f"/index/{NAME}")
    assert rows.parse_extent(INDEX, ROW, TAG, None, b"12345") == StoredExtent(Extent(0, 5), (7,), "", b"12345")


@pytest.mark.parametrize(
    ("row", "tag", "filename", "inline"),
    [
        (ROW, TAG.replace('"schema":1', '"schema":2'), NAME, None),
        (ROW, TAG.replace('"stop":5', '"stop":6'), NAME, None),
        (ROW, TAG.replace('"crc":', '"crc":1'), NAME, None),
        (ROW, TAG.replace("[7]", "[8]"), NAME, None),
        (ROW, rows.format_tag(ROW, 0, []), NAME, None),  # ends where it starts
        (ROW, rows.format_tag(ROW, 1 << 21, [7]), NAME, None),  # two MiB with one checksum
        (ROW, rows.format_tag(ROW, 5, [7, 8]), NAME, None),
        (ROW, rows.format_tag(ROW, 5, []), NAME, None),
        (ROW, TAG.replace("[7]", "7"), NAME, None),
        (ROW, TAG.replace('"stop":5', '"stop":"5"'), NAME, None),
        (ROW, rows.format_tag(OTHER, 5, [7]), NAME, None),  # the tag of another extent
        (OTHER, rows.format_tag(OTHER, 5, [7]), NAME, None),  # the file of another extent
        (LATER, rows.format_tag(LATER, 1 << 21, [7]), NAME, None),
        (ROW, b"\x80\x04]\x94.", NAME, None),
        (ROW, None, NAME, None),
        (ROW, "[" * 100_000, NAME, None),
        ("x/no/number", TAG, NAME, None),
        (ROW, TAG, f"cd{NAME[2:]}", None),  # in another folder
        (ROW, TAG, "../../../etc/passwd", None),
        (ROW, TAG, f"ab/../{NAME}", None),
        (ROW, TAG, f"/{NAME}", None),
        (ROW, TAG, "", None),
        (ROW, TAG, b"ab", None),
        (ROW, TAG, None, None),
        (ROW, TAG, None, "12345"),
        (ROW, TAG, None, 5),
    ],
)
def test_an_extent_that_nezha_did_not_write_is_not_there(
    row: str, tag: object, filename: object, inline: object
) -> None:
    assert rows.parse_extent(INDEX, row, tag, filename, inline) is None


@given(st.uuids().map(lambda each: each.hex), st.integers(0, 1 << 60))
def test_a_file_is_named_after_its_row(version: str, start: int) -> None:
    row = rows.extent_row(version, start)
    folder, name = rows.checked_name(rows.file_name(row))
    assert rows.row_of_file(name) == row
    assert folder == version[:2]


@given(st.lists(st.integers(0, 1 << 60), min_size=2))
def test_the_rows_of_a_version_sort_by_start_and_lie_between_its_bounds(starts: list[int]) -> None:
    names = [rows.extent_row(VERSION, start) for start in starts]
    assert sorted(names) == [rows.extent_row(VERSION, start) for start in sorted(starts)]
    first, behind = rows.extents_of(VERSION)
    assert all(first <= name < behind for name in names)
