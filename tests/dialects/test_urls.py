"""What several dialects read alike: authorities and names in URLs, and URLs that are signed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.dialects import Kind, Place
from nezha.dialects.urls import (
    SECRET_PARAMETERS,
    bucket_and_name,
    decoded,
    expiry,
    is_address,
    lines,
    parameter_names,
    parameters_of,
    presigned,
    seconds,
)
from nezha.model import Fields, Request


def request(target: str, *items: tuple[str, str]) -> Request:
    return Request("GET", target, Fields(items), "store.test")


@pytest.mark.parametrize("authority", ["10.0.0.1", "10.0.0.1:9000", "[::1]", "[::1]:9000"])
def test_an_address_is_no_name(authority: str) -> None:
    assert is_address(authority)


@pytest.mark.parametrize("authority", ["store.test", "store.test:9000", "a.10.b", "localhost:1"])
def test_a_name_is_no_address(authority: str) -> None:
    assert not is_address(authority)


@pytest.mark.parametrize(
    ("text", "name"),
    [("a%2Fb", "a/b"), ("a%252F", "a%2F"), ("a//b/../c", "a//b/../c"), ("%E4%C3%A4", "\xe4\xc3\xa4"), ("a+b", "a+b")],
)
def test_a_name_is_decoded_once_and_never_normalised(text: str, name: str) -> None:
    assert decoded(text) == name


@given(st.text(st.characters(codec="latin-1")))
def test_decoding_never_fails(text: str) -> None:
    assert all(ord(character) < 256 for character in decoded(text))


@pytest.mark.parametrize(
    ("bucket", "path", "named"),
    [
        ("", "/data/a%2Fb", ("data", "a/b")),
        ("", "/d%61ta/a/b", ("data", "a/b")),
        ("", "/data//a", ("data", "/a")),
        ("", "/data/", ("data", "")),
        ("", "/data", ("data", "")),
        ("", "/", ("", "")),
        ("", "/a%2Fb/c", ("a/b", "c")),
        ("data", "/a%2Fb", ("data", "a/b")),
        ("data", "//a", ("data", "/a")),
        ("da%74a", "/", ("da%74a", "")),
    ],
)
def test_a_path_names_an_object_and_its_bucket_where_the_host_does_not(
    bucket: str, path: str, named: tuple[str, str]
) -> None:
    assert bucket_and_name(Place("store", bucket), path) == named


def test_what_is_secret_is_listed_in_lower_case() -> None:
    assert {name.lower() for name in SECRET_PARAMETERS} == SECRET_PARAMETERS


def test_parameters_keep_their_order_and_their_empty_values() -> None:
    assert parameters_of(request("/a?b=1&a=%2F&c&b=")) == [("b", "1"), ("a", "/"), ("c", ""), ("b", "")]


def test_the_names_of_parameters_are_found_however_they_are_parted_and_written() -> None:
    assert parameter_names(request("/a?b=1&%41=2;C;d=&b")) == {"a", "b", "c", "d"}
    assert parameter_names(request("/a;b=1")) == set()


def test_a_presigned_url_is_a_secret_with_all_that_it_covers() -> None:
    asked = request("/a?sig=1", ("X-B", "2"), ("X-A", "1"))
    found = presigned(asked, {"x-b", "x-a"}, 5.0, frozenset({"host"}))
    assert (found.kind, found.expires_at, found.signed) == (Kind.SECRET, 5.0, frozenset({"host"}))
    assert found.material == "store.test\n/a?sig=1\nx-a: 1\nx-b: 2"
    assert lines(asked, ["x-c"]) == ["x-c: None"]


def test_a_version_4_url_ends_when_it_says() -> None:
    assert expiry("20261123T120000Z", "300") == 1795435500.0


@pytest.mark.parametrize(
    ("date", "lasts"),
    [("", "300"), ("20261123T120000Z", ""), ("20261123T120000Z", "0"), ("20261323T120000Z", "300"), ("x", "-1")],
)
def test_an_end_that_cannot_be_read_was_long_ago(date: str, lasts: str) -> None:
    assert expiry(date, lasts) == 0.0


@pytest.mark.parametrize(("digits", "found"), [("12", 12.0), ("", 0.0), ("-1", 0.0), ("1e9", 0.0), ("\xb2", 0.0)])
def test_seconds_are_digits(digits: str, found: float) -> None:
    assert seconds(digits) == found
