"""Any web server: what is read, what is a credential, what may be added (RFC 9110 and 9111)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Kind, Pass, Place, Read, Write
from nezha.dialects.http import Http
from nezha.model import Fields, Key, Request
from nezha.settings import OriginSettings

HTTP = Http()
PLACE = Place("web", "a.org")
ALL = frozenset({"range", "if-match", "if-none-match", "if-modified-since"})


def classify(*items: tuple[str, str], method: str = "GET", target: str = "/k", place: Place = PLACE) -> object:
    return HTTP.classify(place, Request(method, target, Fields([("Host", "a.org"), *items]), "a.org"))


def credential_of(*items: tuple[str, str], place: Place = PLACE) -> Credential:
    read = classify(*items, place=place)
    assert isinstance(read, Read)
    return read.credential


# Names


def test_a_host_is_a_place_of_its_own() -> None:
    origin = OriginSettings(
        name="web", dialect="http", hosts=("A.org", "b.org:8080", "[::1]"), credential_headers=("X-Key", "x-id")
    )
    named = frozenset({"x-key", "x-id"})
    assert HTTP.places(origin) == {
        host: Place("web", host, credential_headers=named) for host in ("a.org", "b.org:8080", "[::1]")
    }


def test_a_bucket_is_the_host_asked_for() -> None:
    assert HTTP.bucket_of(PLACE, Request("GET", "/b/c", Fields(), "a.org:81")) == "a.org:81"


def test_it_is_no_object_store() -> None:
    assert (HTTP.name, HTTP.is_object_store) == ("http", False)
    assert "content-md5" in HTTP.whole_fields
    assert "etag" not in HTTP.whole_fields | HTTP.exchange_fields


# Reads and writes


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/", "/a?b=c&d", "/a%2fb//../c", "/a?", "/?x=token"])
def test_the_key_is_the_target_as_it_came(method: str, target: str) -> None:
    assert classify(method=method, target=target) == Read(Key("web", "a.org", target), ANONYMOUS, ALL)


@pytest.mark.parametrize(
    "query",
    ["token=x", "a=1&X-Amz-Signature=x", "%74oken=x", "sig", "KEY=", "policy=x", "upload_id=x", "a=1;token=x", "a;sig"],
)
def test_a_secret_in_the_query_passes_for_a_key_is_written_to_the_disk(query: str) -> None:
    assert classify(target=f"/a?{query}") == Pass("credential")


def test_the_key_holds_the_host_asked_for_with_its_port() -> None:
    reads = [HTTP.classify(PLACE, Request("GET", "/k", Fields(), host)) for host in ("a.org", "a.org:81")]
    assert [read.key.bucket for read in reads if isinstance(read, Read)] == ["a.org", "a.org:81"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "PROPFIND", "get"])
def test_an_unsafe_or_unknown_method_changes_its_target(method: str) -> None:
    assert classify(method=method, target="/a?b") == Write((Key("web", "a.org", "/a?b"),), ("web", "a.org"))


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_another_safe_method_passes(method: str) -> None:
    assert classify(method=method) == Pass("method")


@pytest.mark.parametrize(("length", "chunked"), [(5, False), (None, True)])
def test_a_get_with_a_body_passes(length: int | None, chunked: bool) -> None:
    request = Request("GET", "/k", Fields(), "a.org", length=length, chunked=chunked)
    assert HTTP.classify(PLACE, request) == Pass("body")


# Credentials


@pytest.mark.parametrize(
    "name",
    [
        *("Foo", "X-Request-Num", "X-Trace", "X-B3-TraceId", "X-Goog-Api-Client", "X-Requested-With", "HTTP2-Settings"),
        *("X-Amz-User-Agent", "X-Envoy-Attempt-Count", "X-Forwarded-For", "X-Forwarded-Proto", "Via", "From", "Origin"),
        *("X-Side", "X-Passing"),
    ],
)
def test_a_harmless_header_does_not_stop_caching(name: str) -> None:
    assert classify((name, "1")) == Read(Key("web", "a.org", "/k"), ANONYMOUS, ALL)


@pytest.mark.parametrize("name", sorted(HARMLESS_HEADERS - {"if-none-match"}))
def test_no_header_of_the_standards_stops_caching(name: str) -> None:
    assert credential_of((name, "1")) == ANONYMOUS


@pytest.mark.parametrize(
    "name",
    [
        *("Cookie", "COOKIE2", "X-Api-Key", "ApiKey", "X-Auth", "X-Auth-Token", "Proxy-Authorization", "X-Session-Id"),
        *("X-Amz-Security-Token", "X-Goog-IAP-JWT-Assertion", "X-CSRF", "X-XSRF", "X-Signature", "X-Secret", "X-Pwd"),
        *("X-Password", "X-Pass", "X-Passphrase", "X-User", "X-Remote-User", "X-User-Id", "X-Account", "X-Identity"),
        *("X-Forwarded-Email", "X-Forwarded-Client-Cert", "X-Ms-Client-Principal", "X-Tenant", "DPoP", "X-SID"),
        *("CF-Access-Client-Secret", "X-Bearer", "Sec-WebSocket-Key", "X-Credential"),
    ],
)
def test_a_header_that_speaks_of_a_secret_passes(name: str) -> None:
    assert classify((name, "1")) == Pass("credential")


@pytest.mark.parametrize(
    "name",
    [
        *("X-Forwarded-Host", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "X-Host"),
        *("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"),
    ],
)
def test_a_header_by_which_a_request_asks_for_something_else_passes(name: str) -> None:
    # Stored under the key of the target, its answer would be everybody's.
    assert classify((name, "1")) == Pass("rewrite")


@pytest.mark.parametrize("value", ["Bearer a.b", "bearer a.b", "Basic Zm9v", "Token x", "ApiKey x", "Bearer"])
def test_an_authorization_that_shows_the_secret_is_one(value: str) -> None:
    assert credential_of(("Authorization", value)) == Credential(Kind.SECRET, value)


@pytest.mark.parametrize(
    "value",
    [
        *("Digest username=a", "Negotiate x", "NTLM x", "AWS4-HMAC-SHA256 Credential=a", "HOBA x", "Mutual x"),
        *("", "x", "Bearer\ta", "Bearer, Bearer x", "GOOG4-RSA-SHA256 x", "DPoP x", "Hawk id=a"),
    ],
)
def test_an_authorization_of_another_scheme_passes(value: str) -> None:
    assert classify(("Authorization", value)) == Pass("credential")


def test_two_authorizations_are_one_credential() -> None:
    shown = credential_of(("Authorization", "Bearer a"), ("authorization", "Bearer b"))
    assert shown.material == "Bearer a, Bearer b"


@pytest.mark.parametrize("name", ["X-Api-Key", "x-api-key", "Cookie", "Foo", "Accept"])
def test_a_header_that_the_route_names_is_a_credential(name: str) -> None:
    place = Place("web", "a.org", credential_headers=frozenset({"x-api-key", "cookie", "foo", "accept"}))
    assert credential_of((name, "1"), place=place) == Credential(Kind.SECRET, f"{name.lower()}: 1")
    assert credential_of(place=place) == ANONYMOUS


def test_a_credential_is_all_that_is_shown_in_any_order() -> None:
    place = Place("web", "a.org", credential_headers=frozenset({"x-key"}))
    one = credential_of(("X-Key", "1"), ("Authorization", "Bearer a"), place=place)
    other = credential_of(("Authorization", "Bearer a"), ("x-key", "1"), place=place)
    assert one == other == Credential(Kind.SECRET, "Bearer a\nx-key: 1")
    assert credential_of(("X-Key", "2"), ("Authorization", "Bearer a"), place=place) != one
    assert classify(("X-Key", "1"), ("X-Other-Key", "1"), place=place) == Pass("credential")


def test_a_secret_is_not_shown_by_repr() -> None:
    assert "hunter2" not in repr(classify(("Authorization", "Bearer hunter2")))


@given(st.lists(st.tuples(st.sampled_from(["Foo", "Cookie", "Authorization", "Accept", "X-Key"]), st.text("aB: \xe9"))))
def test_nobody_is_anonymous_who_shows_anything_unknown(items: list[tuple[str, str]]) -> None:
    read = classify(*items)
    unknown = {"cookie", "authorization", "x-key"} & {name.lower() for name, _ in items}
    assert bool(unknown) is isinstance(read, Pass)


# What may be added


@pytest.mark.parametrize(
    ("items", "may_set"),
    [
        ([], ALL),
        ([("Range", "bytes=0-1")], ALL),
        ([("If-Modified-Since", "x")], ALL),
        ([("If-None-Match", '"a"')], ALL - {"if-none-match", "if-modified-since"}),
        ([("IF-NONE-MATCH", '"a"'), ("Authorization", "Bearer x")], ALL - {"if-none-match", "if-modified-since"}),
    ],
)
def test_a_clients_own_if_none_match_goes_out_alone(items: list[tuple[str, str]], may_set: frozenset[str]) -> None:
    read = classify(*items)
    assert isinstance(read, Read)
    assert read.may_set == may_set
