"""How sizes, times, shares, addresses, hosts and names are written, and what these become."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha import units
from nezha.units import Address

PARSERS: tuple[Callable[[object], object], ...] = (
    *(units.parse_size, units.parse_seconds, units.parse_share, units.parse_address, units.parse_host),
    *(units.parse_fraction, units.parse_url, units.parse_user_free_url, units.parse_alias_address, units.parse_bucket),
    *(units.parse_origin_name, units.parse_header_name, units.parse_service, units.check_path),
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("7B", 7),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1GB", 10**9),
        ("1TB", 10**12),
        ("1PB", 10**15),
        ("512KiB", 2**19),
        ("4MiB", 2**22),
        ("4 MiB", 2**22),
        ("1.5GiB", 3 * 2**29),
        ("0.3KiB", 307),
        ("100GiB", 100 * 2**30),
        ("1TiB", 2**40),
        ("1PiB", 2**50),
        (8, 8),
    ],
)
def test_a_size_is_bytes(text: object, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "1.5", "1.5B", "-1", "1e9", "4mib", "4Mi", "1 2", "٣", "1_000", "4MiB ", None, [], 2.5]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size: write bytes"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("30s", 30),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        (3, 3),
        (0.1, 0.1),
    ],
)
def test_a_time_is_seconds(text: object, seconds: float) -> None:
    assert units.parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "-1s", "1w", "1h30m", "s", "1e3s", "inf", "nan", None, {}])
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a time: write a number with ms"):
        units.parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "total", "part", "shown"),
    [
        ("5%", 1000, 50, "5%"),
        ("2.5 %", 1001, 25, "2.5%"),
        ("0%", 1000, 0, "0%"),
        ("100%", 2**63 - 1, 2**63 - 1, "100%"),
        ("1KiB", 10, 1024, "1024"),
        (7, 10, 7, "7"),
        (units.parse_share("5%"), 1000, 50, "5%"),
    ],
)
def test_a_share_is_a_size_or_a_percentage_of_a_whole(text: object, total: int, part: int, shown: str) -> None:
    share = units.parse_share(text)
    assert (share.of(total), str(share)) == (part, shown)


@pytest.mark.parametrize("text", ["", "%", "-1%", "five", "1XB", None])
def test_what_is_neither_a_size_nor_a_percentage_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is neither a size nor a percentage"):
        units.parse_share(text)


def test_a_share_is_at_most_the_whole() -> None:
    with pytest.raises(ValueError, match=r"'100\.1%' is more than the whole"):
        units.parse_share("100.1%")


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("0.01", 0.01), ("0.5", 0.5), ("1", 1), ("1.0", 1), (0.25, 0.25)]
)
def test_a_fraction_is_a_number_from_0_to_1(text: object, number: float) -> None:
    assert units.parse_fraction(text) == number


@pytest.mark.parametrize("text", ["", "1.01", "2", "-0.1", ".5", "1%", "1e-2", "nan", "true", "0_1", "३", None, [], {}])
def test_what_is_no_fraction_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a number from 0 to 1"):
        units.parse_fraction(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8080", Address("0.0.0.0", 8080)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::]:8080", Address("::", 8080)),
        ("localhost:80", Address("localhost", 80)),
        (Address("::", 1), Address("::", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: object, address: Address) -> None:
    assert units.parse_address(text) == address
    assert units.parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "0.0.0.0", "::", "[::]", "0.0.0.0:65536", "*:80", "a:b", None, []]
)
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not an address: write host:port"):
        units.parse_address(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("www.cs.toronto.edu", "www.cs.toronto.edu"),
        ("Data.Example.ORG:9000", "data.example.org:9000"),
        ("minio", "minio"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("::1", "[::1]"),
        ("[0:0::1]", "[::1]"),
        ("[FE80::1]:9000", "[fe80::1]:9000"),
        ("a" * 63 + ".b", "a" * 63 + ".b"),
        ("1.example", "1.example"),
    ],
)
def test_a_host_is_written_as_a_request_writes_it(text: str, host: str) -> None:
    assert units.parse_host(text) == host
    assert units.parse_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a.", "-a", "a_b", "a b", "a:0", "a:65536", "a:", "a:b", "1:2:3", "[a]", "[10.0.0.1]", "[::1"),
        *("[g::1]", "10.0.0.256", "1.2.3", "fe80::1%eth0", "münchen.de", "a" * 64, "a." * 127 + "ab", "a\n", None, 5),
    ],
)
def test_what_is_no_host_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a host: write a name or an IP address"):
        units.parse_host(text)


def test_a_host_with_a_wildcard_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"'\*\.a\.org' has a wildcard, which a pod's hostAliases cannot hold"):
        units.parse_host("*.a.org")


def test_a_url_in_place_of_a_host_is_refused_without_its_user() -> None:
    with pytest.raises(ValueError, match=r"'http://\*\*\*@a\.org' is more than a host: write no scheme"):
        units.parse_host("http://me:hunter2@a.org")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("HTTPS://A.org", "https://a.org"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://Me:p@ss@egress:3128", "http://Me:p@ss@egress:3128"),
    ],
)
def test_a_url_is_a_scheme_and_a_host(text: str, url: str) -> None:
    assert units.parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "a.org", "//a.org", "ftp://a.org", "http\u017f://a.org", "http://", "http://a.org/", "http://a.org?x"),
        *("http://a:0", "http://*.org", "http://a b@c", "http://a:99999", None, []),
    ],
)
def test_what_is_no_url_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a URL: write http://"):
        units.parse_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "me:hunter2@egress:3128",
        "http://me:hunter2@egress/",
        "http://me:hunter2\n@x",
        "http//me:hunter2@e",
        "me:hunter2@",
    ],
)
def test_a_wrong_url_is_shown_without_its_user(text: str) -> None:
    with pytest.raises(ValueError, match=r"\*\*\*@") as raised:
        units.parse_url(text)
    assert "hunter2" not in str(raised.value)


def test_a_url_to_connect_to_names_no_user() -> None:
    assert units.parse_user_free_url("HTTP://A.org:80") == "http://a.org:80"
    with pytest.raises(
        ValueError, match=r"'http://\*\*\*@a\.org' names a user, but Nezha has no credentials"
    ) as raised:
        units.parse_user_free_url("http://me:hunter2@a.org")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("value", ["/var/cache", "a b", "~", 5, None])
def test_a_path_is_taken_as_it_is(value: object) -> None:
    assert units.check_path(value) is value


@pytest.mark.parametrize("text", ["", "/a\0b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        units.check_path(text)


@pytest.mark.parametrize(("text", "address"), [("auto", "auto"), ("10.0.0.1", "10.0.0.1"), ("0::1", "::1")])
def test_aliases_point_at_an_ip_address_or_what_is_found(text: str, address: str) -> None:
    assert units.parse_alias_address(text) == address


@pytest.mark.parametrize("text", ["", "a.org", "10.0.0.1:80", "fe80::1%eth0", "[::1]", None])
def test_aliases_point_at_nothing_else(text: object) -> None:
    with pytest.raises(ValueError, match="is neither auto nor an IP address"):
        units.parse_alias_address(text)


@pytest.mark.parametrize("text", ["abc", "a.b-c", "0" * 63])
def test_a_bucket_is_named_as_a_host_can_be(text: str) -> None:
    assert units.parse_bucket(text) == text


@pytest.mark.parametrize("text", ["ab", "a" * 64, "a..b", "a-.b", "Abc", "a_b", "abc-", "*", "abc\n", None, []])
def test_another_bucket_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a bucket's name: 3 to 63"):
        units.parse_bucket(text)


@pytest.mark.parametrize("text", ["a", "0", "-", "a-b", "x" * 63])
def test_an_origin_is_named_by_a_label(text: str) -> None:
    assert units.parse_origin_name(text) == text


@pytest.mark.parametrize("text", ["", "x" * 64, "A", "a.b", "a b", None])
def test_another_origin_name_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not an origin's name: 1 to 63"):
        units.parse_origin_name(text)


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (units.parse_region, ["us-east-1", "a"]),
        (units.parse_account, ["abc", "0" * 24]),
        (units.parse_header_name, ["X-Key", "x_key", "!#$%&'+.^_`|~-9"]),
        (units.parse_service, ["proxy-cache.nezha"]),
        (units.parse_secret, ["nezha-ca", "a.b.c", "a" * 63]),
    ],
)
def test_other_names_are_taken_as_they_are(parse: Callable[[object], str], texts: list[str]) -> None:
    assert [parse(text) for text in texts] == texts


@pytest.mark.parametrize(
    ("parse", "texts", "problem"),
    [
        (units.parse_region, ["", "us.east", "US", "*", "a" * 64, None], "is not a region's name, like us-east-1"),
        (units.parse_account, ["ab", "a" * 25, "a-b", "A", "*", None], "is not an account's name: 3 to 24"),
        (units.parse_header_name, ["", "X Key", "X:", "clé", "a\n", None, 5], "is not a header's name"),
        (units.parse_service, ["proxy-cache", "a.b.c", ".b", "a.", "A.b", None], "is not a Service: write name"),
        (units.parse_secret, ["", "a_b", "a.", "a" * 254, None], "is not the name of a Secret"),
    ],
)
def test_another_name_is_refused(parse: Callable[[object], str], texts: list[object], problem: str) -> None:
    for text in texts:
        with pytest.raises(ValueError, match=problem):
            parse(text)


@given(st.text() | st.none() | st.lists(st.text(), max_size=1), st.sampled_from(PARSERS))
def test_nothing_but_a_value_error_says_no(value: object, parse: Callable[[object], object]) -> None:
    with suppress(ValueError):
        parse(value)


@given(st.integers(0, 2**23), st.sampled_from(["", "B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert units.parse_size(f"{number}{unit}") == number * units.parse_size(f"1{unit}")


@given(st.decimals(0, 100, places=3), st.integers(0, 2**63))
def test_a_percentage_of_a_whole_is_never_more_than_it(percentage: Decimal, total: int) -> None:
    assert 0 <= units.parse_share(f"{percentage}%").of(total) <= total


def test_any_other_value_is_shown_as_it_is() -> None:
    assert [*map(units.show, (None, 1.5, (), {}, "a\nb"))] == [
        "None",
        "1.5",
        "a list",
        "a mapping",
        r"'a\nb'",
    ]
