"""The values that every layer speaks of: what they keep as it came, and what they find in it."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Extent, Fields, Head, Key, Request

ITEMS = [("Host", "a.org"), ("Accept", "a"), ("X-Id", "1"), ("accept", "b"), ("X-Empty", "")]
LATIN_1 = st.characters(codec="latin-1")
NAMES = st.text("aAbB-", min_size=1, max_size=3)
LISTS_OF_ITEMS = st.lists(st.tuples(NAMES, st.text(LATIN_1, max_size=5)), max_size=8)


# Fields


def test_fields_keep_the_case_and_the_order_in_which_they_came() -> None:
    assert list(Fields(ITEMS)) == ITEMS
    assert Fields(iter(ITEMS)).items == tuple(ITEMS)


@pytest.mark.parametrize(
    ("name", "values", "joined"),
    [
        ("host", ["a.org"], "a.org"),
        ("accept", ["a", "b"], "a, b"),
        ("x-empty", [""], ""),
        ("cookie", [], None),
        ("Host", [], None),
    ],
)
def test_a_field_is_found_by_its_lower_case_name_and_its_lines_are_joined(
    name: str, values: list[str], joined: str | None
) -> None:
    fields = Fields(ITEMS)
    assert fields.all(name) == values
    assert fields.get(name) == joined
    assert (name in fields) is bool(values)


def test_each_name_is_told_once_in_lower_case() -> None:
    assert list(Fields(ITEMS).names()) == ["host", "accept", "x-id", "x-empty"]
    assert list(Fields().names()) == []


def test_fields_are_equal_where_every_line_is() -> None:
    assert Fields(ITEMS) == Fields(ITEMS)
    assert hash(Fields(ITEMS)) == hash(Fields(ITEMS))
    assert Fields(ITEMS) != Fields(ITEMS[::-1])
    assert Fields([("A", "b")]) != Fields([("a", "b")])
    assert Fields() != ()


def test_values_which_may_be_credentials_are_not_shown() -> None:
    shown = repr(Fields([("Authorization", "Bearer hunter2"), ("Host", "a.org")]))
    assert shown == "Fields(['Authorization', 'Host'])"


def test_every_line_of_a_field_is_left_out() -> None:
    assert Fields(ITEMS).without(["accept", "cookie"]) == Fields([ITEMS[0], ITEMS[2], ITEMS[4]])
    assert Fields(ITEMS).without(()) == Fields(ITEMS)


@pytest.mark.parametrize(
    ("items", "result"),
    [
        ([], [("Range", "new")]),
        ([("A", "1")], [("A", "1"), ("Range", "new")]),
        ([("A", "1"), ("RANGE", "old"), ("B", "2")], [("A", "1"), ("RANGE", "new"), ("B", "2")]),
        ([("range", "old"), ("A", "1"), ("Range", "older"), ("B", "2")], [("range", "new"), ("A", "1"), ("B", "2")]),
    ],
)
def test_a_field_is_set_in_its_place_and_stands_once(
    items: list[tuple[str, str]], result: list[tuple[str, str]]
) -> None:
    fields = Fields(items)
    assert list(fields.with_field("Range", "new")) == result
    assert list(fields) == items


@given(LISTS_OF_ITEMS, NAMES, st.text(LATIN_1, max_size=5))
def test_to_set_a_field_touches_no_other(items: list[tuple[str, str]], name: str, value: str) -> None:
    fields, lower = Fields(items), name.lower()
    changed = fields.with_field(name, value)
    assert changed.all(lower) == [value]
    assert changed.without([lower]) == fields.without([lower])
    assert lower not in fields.without([lower])


@given(LISTS_OF_ITEMS)
def test_what_is_found_is_what_came(items: list[tuple[str, str]]) -> None:
    fields = Fields(items)
    for name in fields.names():
        assert fields.all(name) == [value for given, value in items if given.lower() == name]
    assert sum(len(fields.all(name)) for name in fields.names()) == len(items)


# Extents


def test_an_extent_is_half_open() -> None:
    extent = Extent(3, 10)
    assert (extent.start, extent.stop, extent.length) == (3, 10, 7)
    assert Extent(5, 5).length == 0
    assert sorted([Extent(4, 5), Extent(0, 9), Extent(0, 3)]) == [Extent(0, 3), Extent(0, 9), Extent(4, 5)]


# Requests and answers


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b%2Fc", "/a/b%2Fc", ""),
        ("/a?", "/a", ""),
        ("/a?b=c&d", "/a", "b=c&d"),
        ("/a?b?c", "/a", "b?c"),
        ("?a", "", "a"),
        ("*", "*", ""),
        ("/\xe9?\xff", "/\xe9", "\xff"),
    ],
)
def test_a_target_is_a_path_and_a_query_and_neither_is_decoded(target: str, path: str, query: str) -> None:
    request = Request("GET", target, Fields(), "a.org")
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize(
    ("length", "chunked", "has_body"),
    [(None, False, False), (0, False, False), (1, False, True), (None, True, True)],
)
def test_a_request_has_a_body_where_its_framing_announces_one(
    length: int | None, chunked: bool, has_body: bool
) -> None:
    assert Request("GET", "/", Fields(), "a.org", length=length, chunked=chunked).has_body is has_body


def test_a_request_is_plain_and_of_http_1_1_unless_it_says_otherwise() -> None:
    request = Request("GET", "/", Fields(), "a.org")
    assert (request.client, request.tls, request.version) == ("", False, (1, 1))


def test_values_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Head(200, Fields()).status = 404  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Key("a", "b", "c").version = "d"  # type: ignore[misc]


def test_an_entry_varies_by_nothing_unless_it_says_so() -> None:
    assert Entry("k", "v", 200, Fields(), 5, 1.0, 2.0, is_open=True).vary == ()


# Keys


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (Key("minio", "models", "a/b.bin"), "minio/models/a/b.bin"),
        (Key("minio", "models", "a//b/../c"), "minio/models/a//b/../c"),
        (Key("minio", "models", "a", "v1"), "minio/models/a#v1"),
        (Key("minio", "models", "a#v1"), "minio/models/a#v1#"),
        (Key("minio", "models", "a", "v#1%"), "minio/models/a#v%231%25"),
        (Key("web", "a.org", "/b?c=%20d"), "web/a.org//b?c=%20d"),
    ],
)
def test_a_key_is_readable_text(key: Key, text: str) -> None:
    assert str(key) == text


KEYS = st.builds(Key, st.just("r"), st.sampled_from("ab"), st.text("a/#%23", max_size=5), st.text("a/#%23", max_size=5))


@given(KEYS, KEYS)
def test_two_keys_never_share_a_text(one: Key, other: Key) -> None:
    assert (str(one) == str(other)) is (one == other)
