"""What else a request speaks of: resources that its answer names, and how far it may still go."""

import pytest

from nezha.model import Fields, Request
from nezha.semantics.locations import hops_left, named_targets, reflection


def request(method: str = "POST", target: str = "/a/b?c", host: str = "web.test", *items: tuple[str, str]) -> Request:
    return Request(method, target, Fields(items), host)


@pytest.mark.parametrize(
    ("value", "targets"),
    [
        ("/x", ["/x"]),
        ("x", ["/a/x"]),
        ("../x?y=1", ["/x?y=1"]),
        ("?d", ["/a/b?d"]),
        ("", ["/a/b?c"]),
        ("#part", ["/a/b?c"]),
        ("//web.test/x", ["/x"]),
        ("http://web.test", ["/"]),
        ("HTTPS://WEB.test:443/x", ["/x"]),
        ("http://web.test:80/x", ["/x"]),
        # another origin is not believed, and no URL names nothing
        ("http://web.test:8080/x", []),
        ("http://other.test/x", []),
        ("//other.test/x", []),
        ("ftp://web.test/x", []),
        ("mailto:a@web.test", []),
        ("http://[", []),
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_an_answer_names_targets_of_its_own_origin(name: str, value: str, targets: list[str]) -> None:
    assert list(named_targets(request(), Fields([(name, value)]))) == targets


def test_a_port_is_part_of_an_origin() -> None:
    answer = Fields([("Location", "http://web.test:8080/x"), ("Content-Location", "http://web.test/y")])
    assert list(named_targets(request(host="web.test:8080"), answer)) == ["/x"]


def test_an_answer_may_name_nothing() -> None:
    assert list(named_targets(request(), Fields())) == []


@pytest.mark.parametrize(
    ("method", "value", "hops"),
    [
        ("TRACE", "0", 0), ("OPTIONS", "5", 5), ("OPTIONS", "005", 5), ("TRACE", "9" * 30, 999999999),
        ("GET", "0", None), ("TRACE", "", None), ("TRACE", "-1", None), ("TRACE", "\xb2", None), ("TRACE", None, None),
    ],
)  # fmt: skip
def test_hops_are_counted_where_they_bind(method: str, value: str | None, hops: int | None) -> None:
    items = [] if value is None else [("Max-Forwards", value)]
    assert hops_left(request(method, "/", "a", *items)) == hops


def test_a_reflection_shows_no_secret() -> None:
    asked = request("TRACE", "/a", "a", ("Host", "a"), ("Authorization", "x"), ("Cookie", "y"), ("X-A", "1"))
    assert reflection(asked) == "TRACE /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
