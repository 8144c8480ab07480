"""Field syntax: lists, quoted strings, directives, and which fields travel end to end (RFC 9110 5.6 and 7.6.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Fields
from nezha.semantics.headers import HOP_BY_HOP, directives, end_to_end, members, nominated, unquoted

LATIN_1 = st.characters(codec="latin-1")
SYNTAX = st.text('aA0 \t,;="\\/W-\xa0\xe9', max_size=20)
ALWAYS_DROPPED = [
    *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info"),
    *("Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade"),
]


# Lists


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, []),
        ("", []),
        (" , ,, ", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a\t ,, b c ,", ["a", "b c"]),
        ('"a,b", W/"c"', ['"a,b"', 'W/"c"']),
        (r'"a\",b",c', [r'"a\",b"', "c"]),
        ('a="b,c";d, e', ['a="b,c";d', "e"]),
        ('a, "b, c', ["a", '"b, c']),
        ('a, "b\\', ["a", '"b\\']),
        ("\xa0a\xa0, b", ["\xa0a\xa0", "b"]),
    ],
)
def test_a_list_is_divided_at_the_commas_outside_quotes(value: str | None, found: list[str]) -> None:
    assert members(value) == found


@given(st.lists(st.text("ab=/;", min_size=1), max_size=6))
def test_what_was_joined_is_divided_again(items: list[str]) -> None:
    assert members(", ".join(items)) == items


@given(st.text(LATIN_1))
def test_members_are_never_empty_and_never_padded(value: str) -> None:
    assert all(member and member == member.strip(" \t") for member in members(value))


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("a", "a"),
        ("", ""),
        ('""', ""),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ('"', '"'),
        ('"a', '"a'),
        ('a"', 'a"'),
    ],
)
def test_a_quoted_string_means_its_content(value: str, content: str) -> None:
    assert unquoted(value) == content


# Directives


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, {}),
        ("", {}),
        ("no-store", {"no-store": None}),
        ("No-Store, PRIVATE", {"no-store": None, "private": None}),
        ("max-age=60", {"max-age": "60"}),
        ('max-age="60"', {"max-age": "60"}),
        # what stands behind an argument spoils it, and is said as well
        ("max-age = 60", {"max-age": None, "60": None}),
        ("max-age= 60", {"max-age": None, "60": None}),
        ("max-age=60; no-store", {"max-age": None, "no-store": None}),
        ('private="a', {"private": None, "a": None}),
        ("max-age=", {"max-age": ""}),
        ("max-age=-1", {"max-age": "-1"}),
        ('private="a, b", max-age=5', {"private": "a, b", "max-age": "5"}),
        (r'ext="a\"b", no-store', {"ext": 'a"b', "no-store": None}),
        ("max-age=1, max-age=2", {"max-age": "1"}),
        ("public, max-age=60 , must-revalidate", {"public": None, "max-age": "60", "must-revalidate": None}),
        ('=5, ;a, "b", no-cache', {"no-cache": None}),
        ("max-age=60;x=1", {"max-age": None, "x": None, "1": None}),
        ("x-no-store, no-storex", {"x-no-store": None, "no-storex": None}),
    ],
)
def test_directives_are_found_by_lower_case_name(value: str | None, found: dict[str, str | None]) -> None:
    assert directives(value) == found


@given(st.text() | SYNTAX)
def test_no_text_is_too_odd_for_directives(value: str) -> None:
    for name, argument in directives(value).items():
        assert name == name.lower() != ""
        assert argument is None or isinstance(argument, str)


@given(st.dictionaries(st.text("abc-", min_size=1), st.none() | st.text('abc ,;="\\', max_size=6), max_size=5))
def test_directives_that_were_written_are_read_again(written: dict[str, str | None]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    value = ", ".join(name if argument is None else f"{name}={quoted(argument)}" for name, argument in written.items())
    assert directives(value) == written


@pytest.mark.parametrize("value", ['"' * 60_000, '\\"' * 30_000, "a=" * 30_000, "," * 60_000, "a" + " " * 60_000 + "x"])
@pytest.mark.timeout(10)
def test_a_header_of_64_kib_is_read_in_no_time(value: str) -> None:
    members(value)
    directives(value)


# End to end


@pytest.mark.parametrize("name", ALWAYS_DROPPED)
def test_a_hop_by_hop_field_is_not_forwarded(name: str) -> None:
    fields = Fields([("Host", "a"), (name, "x"), (name.upper(), "y"), ("Accept", "b")])
    assert list(end_to_end(fields)) == [("Host", "a"), ("Accept", "b")]


def test_every_other_field_is_forwarded_as_it_came() -> None:
    fields = Fields([("host", "a"), ("X-B", "1"), ("Trailer", "X-Sum"), ("Expect", "100-continue"), ("x-b", "2")])
    assert end_to_end(fields) == fields


@pytest.mark.parametrize(
    ("connection", "named"),
    [
        (["close"], set()),
        (["keep-alive, TE"], set()),
        (["X-Here"], {"x-here"}),
        (["close, x-here ,, X-There"], {"x-here", "x-there"}),
        (["close", "x-HERE"], {"x-here"}),
        (["x-absent"], set()),
    ],
)
def test_connection_names_further_fields(connection: list[str], named: set[str]) -> None:
    fields = Fields([*(("Connection", value) for value in connection), ("X-Here", "1"), ("TE", "a"), ("x-there", "2")])
    assert nominated(fields) == named
    assert set(end_to_end(fields).names()) == {"x-here", "x-there"} - named


def test_without_connection_nothing_is_named() -> None:
    assert nominated(Fields([("X-Here", "1")])) == set()


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Authorization", "Range", "If-Match", "If-None-Match", "Cache-Control"]
)
def test_a_client_cannot_take_out_by_connection_what_a_request_stands_on(name: str) -> None:
    fields = Fields([("Connection", f"close, {name}"), (name, "x")])
    assert list(end_to_end(fields)) == [(name, "x")]
    assert nominated(fields) == set()


FIELD_NAMES = st.sampled_from([*ALWAYS_DROPPED, "X-A", "X-B", "Host", "Accept"])


@given(
    st.lists(st.tuples(FIELD_NAMES, st.sampled_from(["", "close", "x-a", "X-B, close", "host", '"x-a"'])), max_size=8)
)
def test_no_hop_by_hop_field_ever_leaks_and_the_rest_keeps_its_order(items: list[tuple[str, str]]) -> None:
    fields = Fields(items)
    forwarded = end_to_end(fields)
    dropped = HOP_BY_HOP | nominated(fields)
    assert dropped.isdisjoint(forwarded.names())
    assert list(forwarded) == [item for item in items if item[0].lower() not in dropped]
    assert end_to_end(forwarded) == forwarded
