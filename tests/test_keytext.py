"""Keys as operators read and write them: one line, which names the same object when it is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.keytext import Named, beginning, meant, shown

KEYS = st.text(st.characters(max_codepoint=255), max_size=40)


@given(KEYS)
def test_what_is_shown_is_one_printable_line_and_names_that_object_again(text: str) -> None:
    key = f"web/web.test/{text}"
    line = shown(key)
    assert line.isprintable()
    named = meant(line)
    assert (named.text, named.is_prefix) == (key, False)
    assert named.covers(key)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("web/web.test//a%20b?x=1", "web/web.test//a%20b?x=1"),
        ("s3/models/g\xc3\xbcte", "s3/models/güte"),
        ("s3/models/g\xfcte", r"s3/models/g\xfcte"),
        ("s3/models/a\r\nb\x1b[2J", r"s3/models/a\x0d\x0ab\x1b[2J"),
        ("s3/models/a\\b", r"s3/models/a\x5cb"),
        ("s3/models/docs/", r"s3/models/docs\x2f"),
        ("s3/models/a*", r"s3/models/a\x2a"),
        ("s3/models/a ", r"s3/models/a\x20"),
        ("s3/models/a\xe2\x80\xaeb", r"s3/models/a\xe2\x80\xaeb"),  # U+202E turns a terminal's text around
        ("s3/models/a#1#", "s3/models/a#1#"),
    ],
)
def test_bytes_that_cannot_be_seen_or_mean_something_are_escaped(key: str, line: str) -> None:
    assert shown(key) == line


@pytest.mark.parametrize(
    ("written", "named", "others"),
    [
        ("s3/m/a", ["s3/m/a", "s3/m/a#v1", "s3/m/a#"], ["s3/m/a#b#", "s3/m/ab", "s3/m/a/b", "s3/m"]),
        ("s3/m/a/", ["s3/m/a/", "s3/m/a/b", "s3/m/a/b#v"], ["s3/m/a", "s3/m/ab"]),
        ("s3/m/a*", ["s3/m/a", "s3/m/ab", "s3/m/a/b"], ["s3/m/b"]),
        ("s3/", ["s3/m/a", "s3/n/b"], ["s30/m/a"]),
        ("*", ["s3/m/a", "web/w//"], []),
        (r"s3/m/a\x2f", ["s3/m/a/"], ["s3/m/a/b"]),
    ],
)
def test_a_name_is_an_object_with_its_versions_or_ends_in_a_slash_or_a_star(
    written: str, named: list[str], others: list[str]
) -> None:
    found = meant(written)
    assert [key for key in (*named, *others) if found.covers(key)] == named
    assert all(any(start <= key < stop for start, stop in found.spans()) for key in named)


def test_a_beginning_needs_no_star() -> None:
    assert beginning("web/w") == beginning("web/w*") == Named("web/w", is_prefix=True)
    assert beginning("").covers("anything")


@pytest.mark.parametrize("written", ["", "web", "web/web.test"])
def test_what_can_be_no_key_is_refused_with_the_remedy(written: str) -> None:
    with pytest.raises(ValueError, match=r"ORIGIN/BUCKET/OBJECT .* end with / or \*"):
        meant(written)


@pytest.mark.parametrize("written", ["a/b/c\\", r"a/b/\n", r"a/b/\x1", r"a/b/\xg0"])
def test_a_backslash_is_written_as_its_byte(written: str) -> None:
    with pytest.raises(ValueError, match=r"\\x5c"):
        meant(written)


def test_an_argument_that_is_not_utf8_means_its_bytes() -> None:
    assert meant("s3/m/\udcfc").text == "s3/m/\xfc"  # as sys.argv holds it
