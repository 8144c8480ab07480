"""Amazon S3: the names of a bucket, the one key of an object, what a signature covers, and when it ends."""

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Kind, Pass, Place, Read, Write
from nezha.dialects.s3 import S3
from nezha.model import Fields, Key, Request
from nezha.settings import OriginSettings

STORE = S3()
PATH_HOST, BUCKET_HOST = "s3.us-east-1.amazonaws.com", "models.s3.us-east-1.amazonaws.com"
PATH_STYLE = Place("s3", "", frozenset({"models", "data"}))
BUCKET_STYLE = Place("s3", "models", frozenset({"models", "data"}))
OPEN = Place("s3")  # whose buckets are not named
ALL = frozenset({"range", "if-match", "if-none-match"})
LATIN_1 = st.characters(codec="latin-1")

SCOPE = "Credential=AKIA1/20261123/us-east-1/s3/aws4_request"
V4_DATE, V4_START = "20261123T120000Z", 1795435200.0
V4 = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA1%2F20261123&X-Amz-Date={V4_DATE}&X-Amz-Expires=300"
V4_URL = f"{V4}&X-Amz-SignedHeaders=host&X-Amz-Signature=abc"
V2_URL = "AWSAccessKeyId=AKIA1&Signature=abc%3D&Expires=1795435500"


def request(target: str, *items: tuple[str, str], method: str = "GET", host: str = PATH_HOST) -> Request:
    return Request(method, target, Fields([("Host", host), *items]), host)


def classify(target: str, *items: tuple[str, str], method: str = "GET", place: Place = PATH_STYLE) -> object:
    return STORE.classify(place, request(target, *items, method=method))


def read(target: str, *items: tuple[str, str], place: Place = PATH_STYLE) -> Read:
    found = classify(target, *items, place=place)
    assert isinstance(found, Read), found
    return found


def signed(names: str = "host;x-amz-content-sha256;x-amz-date", signature: str = "abc") -> tuple[str, str]:
    return "Authorization", f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders={names}, Signature={signature}"


# Names


def names(**fields: object) -> dict[str, str]:
    """The hosts of an origin, each with the bucket it stands for."""
    origin = OriginSettings.model_validate({"name": "s3", "dialect": "s3", **fields})
    return {host: place.bucket for host, place in STORE.places(origin).items()}


def test_a_bucket_has_two_names_and_two_more_in_each_region() -> None:
    assert names(buckets=["models"], regions=["us-east-1", "eu-west-1"], endpoints=["standard"]) == {
        "s3.amazonaws.com": "",
        "s3.us-east-1.amazonaws.com": "",
        "s3.eu-west-1.amazonaws.com": "",
        "models.s3.amazonaws.com": "models",
        "models.s3.us-east-1.amazonaws.com": "models",
        "models.s3.eu-west-1.amazonaws.com": "models",
    }


def test_amazon_gives_it_more_names_which_are_served_where_nothing_else_is_said() -> None:
    more = {
        "s3-us-east-1.amazonaws.com": "",
        "s3-external-1.amazonaws.com": "",
        "s3.dualstack.us-east-1.amazonaws.com": "",
        "models.s3-us-east-1.amazonaws.com": "models",
        "models.s3-external-1.amazonaws.com": "models",
        "models.s3.dualstack.us-east-1.amazonaws.com": "models",
        "models.s3-accelerate.amazonaws.com": "models",
        "models.s3-accelerate.dualstack.amazonaws.com": "models",
    }
    usual = names(buckets=["models"], regions=["us-east-1"], endpoints=["standard"])
    assert names(buckets=["models"], regions=["us-east-1"]) == usual | more
    assert names(buckets=["models"], regions=["us-east-1"], endpoints=["dualstack"]) == {
        host: bucket for host, bucket in more.items() if ".dualstack.us" in host
    }


def test_in_china_there_are_only_regions() -> None:
    assert names(buckets=["models"], regions=["cn-north-1"], endpoints=["legacy", "dualstack"]) == {
        "s3-cn-north-1.amazonaws.com.cn": "",
        "models.s3-cn-north-1.amazonaws.com.cn": "models",
        "s3.dualstack.cn-north-1.amazonaws.com.cn": "",
        "models.s3.dualstack.cn-north-1.amazonaws.com.cn": "models",
    }


def test_a_bucket_with_dots_has_names_that_are_reached_at_the_store() -> None:
    origin = OriginSettings(name="s3", dialect="s3", buckets=("a.b", "models"), regions=("us-east-1",))
    places = STORE.places(origin)
    assert places["a.b.s3.us-east-1.amazonaws.com"].reached_at == "s3.us-east-1.amazonaws.com"
    assert places["a.b.s3.amazonaws.com"].reached_at == "s3.amazonaws.com"
    assert {host for host, place in places.items() if place.bucket == "models" and place.reached_at} == set()
    assert [host for host in places if host.startswith("a.b.") and "accelerate" in host] == []


def test_an_endpoint_serves_paths_and_a_name_for_each_bucket_under_its_own() -> None:
    assert names(endpoint="Minio.corp:9000", buckets=["models", "a.b"], regions=["us-east-1"]) == {
        "minio.corp:9000": "",
        "models.minio.corp:9000": "models",
        "a.b.minio.corp:9000": "a.b",
    }


@pytest.mark.parametrize("endpoint", ["10.0.0.1:9000", "10.0.0.1", "[::1]:9000", "[::1]"])
def test_an_address_has_no_names_under_it(endpoint: str) -> None:
    assert names(endpoint=endpoint, buckets=["models"]) == {endpoint: ""}


def test_an_endpoint_or_hosts_without_buckets_serve_every_bucket_by_path() -> None:
    assert names(endpoint="minio") == {"minio": ""}
    assert names(hosts=["a.org", "b.org:81"]) == {"a.org": "", "b.org:81": ""}


def test_each_place_knows_the_configured_buckets() -> None:
    origin = OriginSettings(name="s3", dialect="s3", buckets=("models", "data"), hosts=("a.org",))
    assert {place.buckets for place in STORE.places(origin).values()} == {frozenset({"models", "data"})}
    assert {place.route for place in STORE.places(origin).values()} == {"s3"}


@pytest.mark.parametrize(
    ("place", "target", "bucket"),
    [
        (PATH_STYLE, "/models/a/b", "models"),
        (PATH_STYLE, "/models", "models"),
        (PATH_STYLE, "/%6Dodels/a", "models"),
        (PATH_STYLE, "/?x=/models/a", ""),
        (PATH_STYLE, "//models/a", ""),
        (BUCKET_STYLE, "/data/a", "models"),
    ],
)
def test_the_bucket_is_the_hosts_or_the_first_of_the_path(place: Place, target: str, bucket: str) -> None:
    assert STORE.bucket_of(place, request(target)) == bucket


# Keys


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.bin", "a/b.bin"),
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%61", "a"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%252F", "%2F"),  # decoded once
        ("a%25252F", "a%252F"),
        ("a%zz%", "a%zz%"),
        ("a//b", "a//b"),
        ("/a", "/a"),
        ("a/", "a/"),
        ("a/./b", "a/./b"),
        ("a/../b", "a/../b"),
        ("../data/a", "../data/a"),
        ("a%2F..%2Fb", "a/../b"),
        ("%C3%A9", "\xc3\xa9"),
        ("\xc3\xa9", "\xc3\xa9"),
        ("a;b=c", "a;b=c"),
        ("a#b", "a#b"),
        ("A", "A"),
    ],
)
def test_a_name_is_decoded_once_and_never_normalised(path: str, name: str) -> None:
    key = Key("s3", "models", name)
    assert read(f"/models/{path}").key == key
    assert read(f"/{path}", place=BUCKET_STYLE).key == key


@given(st.binary(min_size=1), st.sampled_from(["", "/"]))
def test_both_styles_and_every_encoding_of_a_name_give_its_one_key(name: bytes, unescaped: str) -> None:
    path = quote_from_bytes(name, safe=unescaped)
    key = Key("s3", "models", name.decode("latin-1"))
    assert read(f"/models/{path}").key == key
    assert read(f"/{path}", place=BUCKET_STYLE).key == key
    everything = "".join(f"%{byte:02x}" for byte in name)
    assert read(f"/models/{everything}").key == key


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("", ""),
        ("versionId=v1", "v1"),
        ("versionId=a%2Fb", "a/b"),
        ("versionId=null", "null"),
        ("x-id=GetObject", ""),
        ("x-id=GetObject&versionId=v1", "v1"),
        (f"versionId=v1&{V4_URL}", "v1"),
    ],
)
def test_a_version_is_in_the_key_where_it_is_named(query: str, version: str) -> None:
    assert read(f"/models/k?{query}").key == Key("s3", "models", "k", version)


@pytest.mark.parametrize(
    "query",
    [
        *("partNumber=1", "response-content-type=a", "response-cache-control=no-store", "acl", "tagging", "attributes"),
        *("torrent", "uploadId=x", "foo", "foo=bar", "prefix=a", "X-Amz-Foo=1", "token=abc", "versionid=v1"),
        *("versionId=v1&partNumber=2", "versionId=", "versionId", "versionId=a&versionId=b", "x-id=a&x-id=b"),
        *("VersionId=a&versionId=b", "%70artNumber=1"),
    ],
)
@pytest.mark.parametrize("items", [[], [signed()], [("Authorization", "Bearer x")]])
def test_a_parameter_that_is_not_listed_or_not_clear_passes(query: str, items: list[tuple[str, str]]) -> None:
    assert classify(f"/models/k?{query}", *items) == Pass("parameters")


# What passes


@pytest.mark.parametrize(
    "target", ["/other/k", "/other", "/", "//models/k", "/models%2Fa/k", "/Models/k", "/models%00/k"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_a_bucket_that_is_not_configured_passes(target: str, method: str) -> None:
    assert classify(target, method=method) == Pass("bucket")


@pytest.mark.parametrize("target", ["/", "//models/k", "/models%2Fa/k"])
def test_no_bucket_is_no_key_even_where_all_are_served(target: str) -> None:
    assert classify(target, place=OPEN) == Pass("bucket")
    assert read("/other/k", place=OPEN).key == Key("s3", "other", "k")


@pytest.mark.parametrize("target", ["/models", "/models/", "/models?list-type=2&prefix=a", "/models/?location"])
def test_a_list_passes(target: str) -> None:
    assert classify(target, signed()) == Pass("list")
    assert classify("/?list-type=2", place=BUCKET_STYLE) == Pass("list")


def test_a_get_with_a_body_passes() -> None:
    assert STORE.classify(PATH_STYLE, Request("GET", "/models/k", Fields(), PATH_HOST, length=1)) == Pass("body")


@pytest.mark.parametrize("end", ["algorithm", "key", "key-MD5"])
def test_an_object_under_the_callers_own_key_passes(end: str) -> None:
    sse = (f"X-Amz-Server-Side-Encryption-Customer-{end}", "x")
    for shown in ([], [signed()], [signed(f"host;{sse[0].lower()}")]):
        assert classify("/models/k", sse, *shown) == Pass("sse-c")
    assert classify(f"/models/k?{V4_URL}", sse) == Pass("sse-c")


# Writes


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("query", ["", "?partNumber=1&uploadId=x", "?uploads", "?tagging", f"?{V4_URL}"])
def test_a_write_changes_the_object_it_names(method: str, query: str) -> None:
    written = Write((Key("s3", "models", "a/b"), Key("s3", "models", "a/b", "null")), ("s3", "models"))
    assert classify(f"/models/a%2Fb{query}", method=method) == written
    assert classify(f"/a/b{query}", method=method, place=BUCKET_STYLE) == written


def test_a_write_to_a_version_changes_it_and_what_is_current() -> None:
    keys = tuple(Key("s3", "models", "k", version) for version in ("", "null", "v1"))
    assert classify("/models/k?versionId=v1", method="DELETE") == Write(keys, ("s3", "models"))


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/models?delete", "POST"),
        ("/models/?delete", "POST"),
        ("/models/k?delete", "POST"),
        ("/models", "POST"),
        ("/models", "PUT"),
        ("/models?policy", "DELETE"),
        ("/models/k", "PATCH"),
        ("/models/k", "FOO"),
        ("/models/new?renameObject", "PUT"),  # the old name stands in a header
    ],
)
def test_a_write_that_names_no_object_changes_the_bucket(target: str, method: str) -> None:
    assert classify(target, method=method) == Write((), ("s3", "models"))


@pytest.mark.parametrize("target", ["/models", "/models/", "/models/k"])
def test_a_form_names_its_object_inside(target: str) -> None:
    form = ("Content-Type", "Multipart/Form-Data; boundary=x")
    assert classify(target, form, method="POST") == Write((), ("s3", "models"))


def test_options_passes() -> None:
    assert classify("/models/k", method="OPTIONS") == Pass("method")


# Anonymous


def test_who_shows_nothing_is_anonymous() -> None:
    assert read("/models/k") == Read(Key("s3", "models", "k"), ANONYMOUS, ALL)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(HARMLESS_HEADERS - {"if-match", "if-none-match"}),
        *("Amz-Sdk-Invocation-Id", "amz-sdk-request", "X-Amz-Checksum-Mode", "x-amz-content-sha256", "x-amz-date"),
        *("x-amz-user-agent", "X-Amzn-Trace-Id", "x-amz-api-version", "x-amz-te"),
    ],
)
def test_a_listed_header_does_not_stop_caching(name: str) -> None:
    assert read("/models/k", (name, "x")) == Read(Key("s3", "models", "k"), ANONYMOUS, ALL)


@pytest.mark.parametrize(
    "name",
    [
        *("x-amz-request-payer", "x-amz-expected-bucket-owner", "x-amz-new", "X-Amz-Security-Token", "Cookie"),
        *("X-Api-Key", "Foo", "X-Forwarded-Host"),
    ],
)
def test_any_other_header_of_an_anonymous_request_passes(name: str) -> None:
    assert classify("/models/k", (name, "x")) == Pass("credential")


# Signed headers


@pytest.mark.parametrize(
    ("names", "items", "may_set"),
    [
        ("host;x-amz-date", [], ALL),
        ("host;x-amz-date", [("Range", "bytes=0-1")], ALL),
        ("host;range;x-amz-date", [("Range", "bytes=0-1")], ALL - {"range"}),
        ("host;range", [], ALL - {"range"}),
        ("host;if-match;range", [("If-Match", '"a"'), ("Range", "bytes=0-1")], {"if-none-match"}),
        ("host;if-none-match", [("If-None-Match", '"a"')], ALL - {"if-none-match"}),
        ("HOST;Range;If-None-Match", [], {"if-match"}),
        # a condition of the client's own goes out alone, signed or not
        ("host", [("If-None-Match", '"a"')], ALL - {"if-none-match"}),
        ("host", [("If-Match", '"a"')], ALL - {"if-match"}),
        ("host;range", [("IF-MATCH", '"a"'), ("if-none-match", '"b"'), ("Range", "bytes=0-1")], set()),
    ],
)
def test_only_what_a_signature_does_not_cover_may_be_set(
    names: str, items: list[tuple[str, str]], may_set: set[str]
) -> None:
    found = read("/models/k", signed(names), *items)
    assert found.may_set == may_set
    assert found.credential.signed == frozenset(names.lower().split(";"))
    presigned = f"{V4}&X-Amz-SignedHeaders={names.replace(';', '%3B')}&X-Amz-Signature=abc"
    assert read(f"/models/k?{presigned}", *items).may_set == may_set


def test_an_anonymous_callers_own_condition_goes_out_alone() -> None:
    assert read("/models/k", ("If-None-Match", '"a"')).may_set == ALL - {"if-none-match"}
    assert read("/models/k", ("If-Match", '"a"')).may_set == ALL - {"if-match"}


@pytest.mark.parametrize("scheme", ["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"])
@pytest.mark.parametrize("separator", [", ", ","])
def test_a_signature_is_a_proof_by_the_holder_of_a_key(scheme: str, separator: str) -> None:
    value = f"{scheme} {separator.join((SCOPE, 'SignedHeaders=host;x-amz-date', 'Signature=abc'))}"
    credential = read("/models/k", ("Authorization", value)).credential
    assert credential == Credential(Kind.PROOF, value, "AKIA1", signed=frozenset({"host", "x-amz-date"}))


def test_a_session_token_tells_holders_apart_signed_or_not() -> None:
    identities = {
        read("/models/k", signed(names), *items).credential.identity
        for names in ("host", "host;x-amz-security-token")
        for items in ([], [("X-Amz-Security-Token", "one")], [("x-amz-security-token", "two")])
    }
    assert identities == {"AKIA1", "AKIA1\nx-amz-security-token: one", "AKIA1\nx-amz-security-token: two"}


@pytest.mark.parametrize("authorization", [signed(), ("Authorization", "AWS AKIA1:abc=")])
@pytest.mark.parametrize("name", ["x-amz-s3session-token", "x-amz-request-payer", "x-amz-expected-bucket-owner", "foo"])
def test_whatever_else_may_decide_who_reads_belongs_to_the_holder(name: str, authorization: tuple[str, str]) -> None:
    shown = [
        read("/models/k", authorization, *items).credential.identity for items in ([], [(name, "a")], [(name, "b")])
    ]
    assert len(set(shown)) == 3


def test_a_session_token_alone_is_no_secret() -> None:
    token = ("X-Amz-Security-Token", "one")
    assert classify("/models/k", token) == Pass("credential")
    assert read("/models/k", signed(), token).credential.kind is Kind.PROOF
    assert classify("/models/k?X-Amz-Security-Token=one") == Pass("parameters")


def test_any_header_may_come_with_a_signature() -> None:
    items = [("x-amz-request-payer", "requester"), ("Cookie", "a"), ("Foo", "1")]
    assert read("/models/k", signed("host;x-amz-request-payer"), *items).credential.kind is Kind.PROOF


def test_a_signature_of_version_2_covers_no_range() -> None:
    found = read("/models/k", ("Authorization", "AWS AKIA1:abc="), ("X-Amz-Security-Token", "t"))
    assert found.credential == Credential(Kind.PROOF, "AWS AKIA1:abc=", "AKIA1\nx-amz-security-token: t")
    assert found.may_set == ALL


def test_a_bearer_shows_its_secret() -> None:
    found = read("/models/k", ("Authorization", "Bearer abc"))
    assert found.credential == Credential(Kind.SECRET, "Bearer abc")
    more = read("/models/k", ("Authorization", "Bearer abc"), ("x-amz-security-token", "t"), ("Foo", "1"))
    assert more.credential.material == "foo: 1\nx-amz-security-token: t\nBearer abc"


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "Basic Zm9v", "Digest a", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Signature=abc", "aws AKIA1:abc"),
        *(f"AWS4-HMAC-SHA256 {SCOPE}, Signature=abc", "AWS4-HMAC-SHA256 SignedHeaders=host", "AWS4-NEW x"),
        "GOOG4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
    ],
)
def test_an_authorization_that_is_not_understood_passes(value: str) -> None:
    assert classify("/models/k", ("Authorization", value)) == Pass("credential")


@pytest.mark.parametrize("query", [V4_URL, V2_URL])
def test_a_presigned_url_with_an_authorization_passes(query: str) -> None:
    assert classify(f"/models/k?{query}", signed()) == Pass("parameters")


# Presigned URLs, version 4


@pytest.mark.parametrize(
    ("date", "expires", "end"),
    [
        (V4_DATE, "300", V4_START + 300),
        (V4_DATE, "604800", V4_START + 604800),
        (V4_DATE, "0", 0),
        (V4_DATE, "-1", 0),
        (V4_DATE, "1.5", 0),
        (V4_DATE, "%B2", 0),
        (V4_DATE, "", 0),
        (V4_DATE, "9" * 400, float("inf")),
        ("20261323T120000Z", "300", 0),
        ("20260023T120000Z", "300", 0),
        ("00001123T120000Z", "300", 0),
        ("20261123T120000", "300", 0),
        ("2026-11-23T12:00:00Z", "300", 0),
        ("", "300", 0),
    ],
)
def test_a_presigned_url_is_a_secret_until_it_ends(date: str, expires: str, end: float) -> None:
    query = f"X-Amz-Date={date}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=abc"
    found = read(f"/models/k?{query}")
    assert (found.credential.kind, found.credential.expires_at) == (Kind.SECRET, end)


def test_a_presigned_url_that_does_not_say_when_it_ends_has_ended() -> None:
    assert read("/models/k?X-Amz-Signature=abc").credential.expires_at == 0


def material(target: str, *items: tuple[str, str], host: str = PATH_HOST) -> str:
    found = STORE.classify(OPEN, request(target, *items, host=host))
    assert isinstance(found, Read), found
    return found.credential.material


@pytest.mark.parametrize(
    ("target", "items", "host"),
    [
        (f"/models/k?{V4_URL}d", [], PATH_HOST),
        (f"/models/l?{V4_URL}", [], PATH_HOST),
        (f"/models/k?versionId=v1&{V4_URL}", [], PATH_HOST),
        (f"/models/k?{V4_URL}&X-Amz-Security-Token=t", [], PATH_HOST),
        (f"/models/k?{V4_URL}", [], "minio"),
        (f"/models/k?{V4_URL}", [("x-amz-request-payer", "requester")], PATH_HOST),
        (f"/models/k?{V4_URL}", [("x-amz-security-token", "t")], PATH_HOST),
        (f"/models/k?{V4_URL}", [("Cookie", "a")], PATH_HOST),
    ],
)
def test_a_presigned_url_is_one_credential_only_where_all_it_may_cover_is_the_same(
    target: str, items: list[tuple[str, str]], host: str
) -> None:
    assert material(target, *items, host=host) != material(f"/models/k?{V4_URL}")


def test_headers_that_a_presigned_url_signs_belong_to_the_credential() -> None:
    url = f"/models/k?{V4}&X-Amz-SignedHeaders=accept%3Bhost%3Brange&X-Amz-Signature=abc"
    shown = [material(url, *items) for items in ([], [("Range", "bytes=0-1")], [("Range", "bytes=0-2")])]
    assert len({*shown, material(url, ("Accept", "*/*"))}) == 4
    assert material(url, ("User-Agent", "a")) == material(url)
    assert read(url).credential.signed == {"accept", "host", "range"}


def test_headers_that_a_presigned_url_does_not_sign_are_free() -> None:
    url = f"/models/k?{V4_URL}"
    assert material(url, ("Range", "bytes=0-1"), ("User-Agent", "a")) == material(url)
    assert read(url, ("Range", "bytes=0-1")).may_set == ALL


def test_the_secret_of_a_presigned_url_is_not_shown_by_repr() -> None:
    assert "X-Amz-Signature" not in repr(read(f"/models/k?{V4_URL}").credential)


@pytest.mark.parametrize(
    "more",
    ["&partNumber=1", "&response-content-type=a", "&foo", "&X-Amz-Signature=b", "&x-amz-expires=9", "&Expires=1"],
)
def test_a_presigned_url_with_another_parameter_passes(more: str) -> None:
    assert classify(f"/models/k?{V4_URL}{more}") == Pass("parameters")


# Presigned URLs, version 2


@pytest.mark.parametrize(
    ("expires", "end"),
    [("1795435500", 1795435500), ("", 0), ("-5", 0), ("1e3", 0), ("%B2", 0), ("x", 0), ("9" * 400, float("inf"))],
)
def test_a_presigned_url_of_version_2_ends_when_it_says(expires: str, end: float) -> None:
    found = read(f"/models/k?AWSAccessKeyId=AKIA1&Signature=abc%3D&Expires={expires}")
    assert (found.credential.kind, found.credential.expires_at) == (Kind.SECRET, end)
    assert found.may_set == ALL


@pytest.mark.parametrize("name", ["Content-Type", "x-amz-date", "x-amz-foo", "x-amz-security-token", "Content-MD5"])
def test_what_version_2_signs_without_saying_so_belongs_to_the_credential(name: str) -> None:
    url = f"/models/k?{V2_URL}"
    assert len({material(url), material(url, (name, "1")), material(url, (name, "2"))}) == 3
    assert material(url, ("Range", "bytes=0-1"), ("User-Agent", "a")) == material(url)


def test_version_2_may_carry_a_session_token() -> None:
    url = f"/models/k?{V2_URL}&x-amz-security-token=t"
    assert read(url).credential.kind is Kind.SECRET
    assert classify(f"{url}&response-content-type=a") == Pass("parameters")
    assert classify("/models/k?AWSAccessKeyId=AKIA1&Expires=5") == Pass("parameters")


# Whatever comes


@given(
    st.text(LATIN_1, max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from(["versionId", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "Expires", "Signature"]),
            st.text(LATIN_1.filter(lambda character: character not in "&#"), max_size=8) | st.just(V4_DATE),
        ),
        max_size=4,
    ),
    st.text(LATIN_1, max_size=12) | st.none(),
)
def test_no_request_is_too_odd(name: str, parameters: list[tuple[str, str]], authorization: str | None) -> None:
    query = "&".join("=".join(parameter) for parameter in parameters)
    items = [("Authorization", authorization)] if authorization is not None else []
    for place in (PATH_STYLE, BUCKET_STYLE, OPEN):
        found = classify(f"/models/{name}?{query}", *items, place=place)
        assert isinstance(found, Read | Pass)
        if isinstance(found, Read) and authorization is not None:
            assert found.credential.kind is not Kind.NONE


def test_a_presigned_url_may_ask_for_the_checksum_too() -> None:
    assert read(f"/models/k?x-amz-checksum-mode=ENABLED&{V4_URL}").credential.kind is Kind.SECRET
    assert classify("/models/k?x-amz-checksum-mode=ENABLED") == Pass("parameters")


def test_fields_of_one_exchange_and_of_the_whole_object_are_known() -> None:
    assert STORE.is_object_store
    assert {"date", "x-amz-request-id", "x-amz-id-2", "x-amz-tagging-count"} <= STORE.exchange_fields
    assert {"content-md5", "x-amz-checksum-crc64nvme", "x-amz-checksum-crc32c"} <= STORE.whole_fields
    assert "etag" not in STORE.whole_fields | STORE.exchange_fields
