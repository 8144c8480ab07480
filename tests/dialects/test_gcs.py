"""Google Cloud Storage: the forms of a URL, the generation as the version, what a signature covers, and what writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.dialects import ANONYMOUS, Credential, Kind, Pass, Place, Read, Write
from nezha.dialects.gcs import Gcs
from nezha.model import Fields, Key, Request
from nezha.settings import OriginSettings

STORE = Gcs()
HOST = "storage.googleapis.com"
PATH_STYLE = Place("gcs")
BUCKET_STYLE = Place("gcs", "data", frozenset({"data"}))
NAMED = Place("gcs", "", frozenset({"data"}))
MEDIA = "/download/storage/v1/b/data/o/a%2Fb?alt=media"
JSON = "/storage/v1/b/data/o/a%2Fb?alt=media"
XML = "/data/a/b"
BEARER = ("Authorization", "Bearer token")
V4 = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=me&X-Goog-Date=20261123T120000Z&X-Goog-Expires=300"
V4_URL = f"{XML}?{V4}&X-Goog-SignedHeaders=host&X-Goog-Signature=abc"
V2_URL = f"{XML}?GoogleAccessId=me&Expires=1795435500&Signature=abc%3D"


def request(target: str, *items: tuple[str, str], method: str = "GET", length: int | None = None) -> Request:
    return Request(method, target, Fields([("Host", HOST), *items]), HOST, length=length)


def classify(target: str, *items: tuple[str, str], method: str = "GET", place: Place = PATH_STYLE) -> object:
    return STORE.classify(place, request(target, *items, method=method))


def read(target: str, *items: tuple[str, str], place: Place = PATH_STYLE) -> Read:
    found = classify(target, *items, place=place)
    assert isinstance(found, Read), found
    return found


def key(version: str, name: str = "a/b", bucket: str = "data") -> Key:
    return Key("gcs", bucket, name, version)


def hmac(names: str = "host;x-goog-date") -> tuple[str, str]:
    return "Authorization", f"GOOG4-HMAC-SHA256 Credential=GOOG1/20261123, SignedHeaders={names}, Signature=abc"


# Names


def test_the_store_has_a_name_and_each_bucket_one_under_it() -> None:
    origin = OriginSettings.model_validate(
        {"name": "gcs", "dialect": "gcs", "buckets": ["data"], "hosts": ["GCS.corp"]}
    )
    places = STORE.places(origin)
    assert {host: place.bucket for host, place in places.items()} == {
        "storage.googleapis.com": "",
        "gcs.corp": "",
        "data.storage.googleapis.com": "data",
    }
    assert all(place.buckets == {"data"} for place in places.values())


@pytest.mark.parametrize(
    ("method", "target", "bucket"),
    [
        ("GET", MEDIA, "data"),
        ("GET", JSON, "data"),
        ("GET", XML, "data"),
        ("GET", "/", ""),
        ("GET", "/a%2Fb/c", ""),
        ("POST", "/batch/storage/v1", ""),
        # a copy belongs to whom it is written for
        ("POST", "/storage/v1/b/data/o/a/rewriteTo/b/other/o/c", "other"),
        ("POST", "/upload/storage/v1/b/data/o?uploadType=media&name=a", "data"),
        ("DELETE", XML, "data"),
    ],
)
def test_the_bucket_is_what_the_url_says(method: str, target: str, bucket: str) -> None:
    assert STORE.bucket_of(PATH_STYLE, request(target, method=method)) == bucket


# Reads


@pytest.mark.parametrize(
    ("target", "place", "form", "version"),
    [
        (MEDIA, PATH_STYLE, "media", ""),
        (JSON, PATH_STYLE, "json", ""),
        (XML, PATH_STYLE, "xml", ""),
        ("/data/a%2Fb", PATH_STYLE, "xml", ""),
        ("/d%61ta/%61/b", PATH_STYLE, "xml", ""),
        ("/a%2Fb", BUCKET_STYLE, "xml", ""),
        (f"{MEDIA}&generation=7", PATH_STYLE, "media", "7"),
        (f"{XML}?generation=7", PATH_STYLE, "xml", "7"),
    ],
)
def test_the_forms_of_an_object_share_its_key(target: str, place: Place, form: str, version: str) -> None:
    found = read(target, place=place)
    assert (found.key, found.form) == (key(version), form)


@pytest.mark.parametrize(
    ("accepted", "form"),
    [("gzip", "xml+gzip"), ("gzip, deflate", "xml+gzip"), ("br, GZIP", "xml+gzip"), ("br", "xml"), ("identity", "xml")],
)
def test_who_accepts_gzip_has_a_form_of_its_own(accepted: str, form: str) -> None:
    found = read(XML, ("Accept-Encoding", accepted))
    assert (found.key, found.form) == (key(""), form)


@pytest.mark.parametrize("accepted", ["gzip;q=0", "*", "gzip;q=0.5, br"])
def test_who_accepts_gzip_in_other_words_passes(accepted: str) -> None:
    assert classify(XML, ("Accept-Encoding", accepted)) == Pass("encoding")


@pytest.mark.parametrize(("value", "mark"), [("1700", "1700"), ("x", ""), ("", ""), (None, "")])
def test_the_generation_is_the_mark(value: str | None, mark: str) -> None:
    assert STORE.mark(Fields([("X-Goog-Generation", value)] if value is not None else [])) == mark


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], ""),
        ([("x-goog-stored-content-encoding", "identity")], ""),
        ([("x-goog-stored-content-encoding", "gzip"), ("Content-Encoding", "gzip")], ""),
        ([("x-goog-stored-content-encoding", "gzip")], "transcoded"),
    ],
)
def test_an_answer_that_the_store_inflated_is_not_the_object(items: list[tuple[str, str]], reason: str) -> None:
    assert STORE.unfit(Fields(items)) == reason


@pytest.mark.parametrize(
    ("target", "items", "reason"),
    [
        ("/storage/v1/b/data/o/a", (), "metadata"),
        ("/download/storage/v1/b/data/o/a", (), "metadata"),
        ("/storage/v1/b/data/o", (), "operation"),
        ("/storage/v1/b/data/iam", (), "operation"),
        ("/storage/v1/b/data/o/a/acl", (), "operation"),
        ("/storage/v1/b", (), "operation"),
        ("/storage/v2/whatever", (), "operation"),
        ("/batch/storage/v1", (), "operation"),
        ("/", (), "operation"),
        ("/data", (), "operation"),
        ("/data/", (), "operation"),
        ("/a%2Fb/c", (), "operation"),
        ("/storage/v1/b/a%2Fb/o/c?alt=media", (), "operation"),
        (f"{XML}?acl", (), "parameters"),
        (f"{XML}?alt=media", (), "parameters"),
        (f"{XML}?generation=", (), "parameters"),
        (f"{XML}?generation=1&generation=2", (), "parameters"),
        (f"{MEDIA}&ifGenerationMatch=1", (), "parameters"),
        (f"{MEDIA}&access_token=x", (), "parameters"),
        (f"{MEDIA}&userProject=p", (), "parameters"),
        (f"{V4_URL}&acl", (), "parameters"),
        (V4_URL, (BEARER,), "parameters"),
        (XML, (("x-goog-if-generation-match", "1"), BEARER), "header"),
        (XML, (("x-goog-encryption-key", "k"), BEARER), "header"),
        (XML, (("x-amz-server-side-encryption-customer-key", "k"), BEARER), "header"),
        (XML, (("x-goog-user-project", "p"),), "credential"),
        (XML, (("Cookie", "a=b"),), "credential"),
        (XML, (("Authorization", "Basic YTpi"),), "credential"),
        (XML, (("Authorization", "GOOG4-HMAC-SHA256 Credential=a"),), "credential"),
    ],
)
def test_what_is_no_plain_read_of_an_object_passes(
    target: str, items: tuple[tuple[str, str], ...], reason: str
) -> None:
    assert classify(target, *items) == Pass(reason)


def test_a_bucket_that_is_not_served_passes() -> None:
    assert classify("/other/a", place=NAMED) == Pass("bucket")
    assert read(XML, place=NAMED).key == key("")


def test_only_the_xml_api_has_heads() -> None:
    assert classify(MEDIA, method="HEAD") == Pass("metadata")
    assert isinstance(classify(XML, method="HEAD"), Read)


def test_a_read_with_a_body_passes() -> None:
    assert STORE.classify(PATH_STYLE, request(XML, length=3)) == Pass("body")


# How it is asked for


def test_a_generation_that_is_named_is_told_with_the_key_of_the_object_itself() -> None:
    found = read(f"{XML}?generation=7")
    assert (found.mark, found.current) == ("7", key(""))
    assert (read(XML).mark, read(XML).current) == ("", key(""))


@pytest.mark.parametrize(
    ("target", "items", "unless"),
    [
        (MEDIA, (BEARER,), "?ifGenerationNotMatch"),
        (JSON, (), "?ifGenerationNotMatch"),
        (XML, (BEARER,), "x-goog-if-generation-not-match"),
        (XML, (), "x-goog-if-generation-not-match"),
        # every header of the store's own must be signed, and a URL is signed as it is
        (XML, (hmac(),), ""),
        (V4_URL, (), ""),
        # a client's own condition goes out alone
        (XML, (BEARER, ("If-None-Match", '"1"')), ""),
        (XML, (BEARER, ("If-Match", '"1"')), ""),
    ],
)
def test_a_generation_is_asked_for_where_there_is_room(
    target: str, items: tuple[tuple[str, str], ...], unless: str
) -> None:
    assert read(target, *items).unless == unless


@pytest.mark.parametrize(
    ("target", "items", "may_set"),
    [
        (XML, (BEARER,), {"range", "if-none-match"}),
        (XML, (hmac(),), {"range", "if-none-match"}),
        (XML, (hmac("host;range"), ("Range", "bytes=0-1")), {"if-none-match"}),
        (XML, (BEARER, ("If-None-Match", '"1"')), {"range"}),
        (V4_URL, (), {"range", "if-none-match"}),
    ],
)
def test_what_is_signed_is_not_set(target: str, items: tuple[tuple[str, str], ...], may_set: set[str]) -> None:
    assert read(target, *items).may_set == may_set


# Credentials


def test_a_bearer_token_is_a_secret_with_the_project_that_pays() -> None:
    found = read(f"{MEDIA}&userProject=p", BEARER, ("x-goog-user-project", "q")).credential
    assert found == Credential(Kind.SECRET, "Bearer token\nx-goog-user-project: q\nuserProject: p")


@pytest.mark.parametrize("scheme", ["GOOG4-HMAC-SHA256", "GOOG4-RSA-SHA256", "AWS4-HMAC-SHA256"])
def test_a_version_4_signature_is_a_proof(scheme: str) -> None:
    shown = ("Authorization", f"{scheme} Credential=GOOG1/x, SignedHeaders=host;Range, Signature=abc")
    found = read(XML, shown, ("x-amz-security-token", "t"), ("x-amz-checksum-mode", "ENABLED")).credential
    assert (found.kind, found.signed) == (Kind.PROOF, frozenset({"host", "range"}))
    assert found.identity == "GOOG1\nx-amz-security-token: t\nuserProject: None"


@pytest.mark.parametrize("scheme", ["GOOG1", "AWS"])
def test_a_version_2_signature_is_a_proof(scheme: str) -> None:
    found = read(XML, ("Authorization", f"{scheme} GOOG1:abc=")).credential
    assert (found.kind, found.signed, found.identity) == (Kind.PROOF, frozenset(), "GOOG1\nuserProject: None")


@pytest.mark.parametrize("vendor", ["Goog", "Amz"])
def test_a_version_4_url_is_a_secret_until_it_ends(vendor: str) -> None:
    target = V4_URL.replace("Goog", vendor)
    found = read(target).credential
    assert (found.kind, found.expires_at, found.signed) == (Kind.SECRET, 1795435500.0, frozenset({"host"}))
    assert found.material == f"{HOST}\n{target}\nhost: {HOST}"


def test_a_version_2_url_is_a_secret_until_it_ends() -> None:
    found = read(V2_URL, ("X-Any", "1")).credential
    assert (found.kind, found.expires_at, found.signed) == (Kind.SECRET, 1795435500.0, frozenset())
    assert found.material == f"{HOST}\n{V2_URL}\ncontent-type: None\nx-any: 1"


def test_who_shows_nothing_is_anonymous() -> None:
    assert read(XML, ("x-goog-api-client", "gl-python"), ("User-Agent", "x")).credential == ANONYMOUS


# Writes


def everywhere(*names: str, bucket: str = "data", generations: tuple[str, ...] = ("",)) -> set[Key]:
    return {key(generation, name, bucket) for name in names for generation in generations}


@pytest.mark.parametrize(
    ("method", "target", "written"),
    [
        ("PUT", XML, everywhere("a/b")),
        ("POST", f"{XML}?uploads", everywhere("a/b")),
        ("DELETE", f"{XML}?generation=7", everywhere("a/b", generations=("", "7"))),
        ("DELETE", "/storage/v1/b/data/o/a%2Fb", everywhere("a/b")),
        ("PATCH", "/storage/v1/b/data/o/a%2Fb", everywhere("a/b")),
        ("POST", "/upload/storage/v1/b/data/o?uploadType=media&name=a/b", everywhere("a/b")),
        ("PUT", "/resumable/upload/storage/v1/b/data/o?name=a%2Fb&upload_id=1", everywhere("a/b")),
        ("POST", "/storage/v1/b/data/o/a%2Fb/compose", everywhere("a/b")),
        ("POST", "/storage/v1/b/data/o/a%2Fb/restore", everywhere("a/b")),
        ("POST", "/storage/v1/b/data/o/x/copyTo/b/other/o/a%2Fb", everywhere("a/b", bucket="other")),
        ("POST", "/storage/v1/b/data/o/x/rewriteTo/b/data/o/a%2Fb", everywhere("a/b")),
        ("POST", "/storage/v1/b/data/o/x/moveTo/o/a%2Fb", everywhere("x", "a/b")),
    ],
)
def test_a_write_drops_what_it_names(method: str, target: str, written: set[Key]) -> None:
    found = classify(target, method=method)
    assert isinstance(found, Write)
    assert set(found.keys) == written


@pytest.mark.parametrize(
    ("method", "target", "bucket"),
    [
        ("POST", "/upload/storage/v1/b/data/o?uploadType=resumable", "data"),
        ("PUT", "/upload/storage/v1/b/data/o?upload_id=1", "data"),
        ("POST", "/data?delete", "data"),
        ("POST", "/data/a?delete", "data"),
        ("PUT", "/data", "data"),
        ("DELETE", "/storage/v1/b/data", "data"),
        ("PUT", "/storage/v1/b/data/o/a/acl/user", "data"),
        ("POST", "/storage/v1/b/data/o/bulkRestore", "data"),
        ("POST", "/storage/v1/b/data/folders/a/renameTo/folders/b", "data"),
        ("POST", "/batch/storage/v1", ""),
        ("POST", "/storage/v1/b", ""),
        ("DELETE", "/storage/v1/b/a%2Fb/o/c", ""),
    ],
)
def test_a_write_that_names_no_object_is_of_its_bucket_or_of_all(method: str, target: str, bucket: str) -> None:
    assert classify(target, method=method) == Write((), ("gcs", bucket))


def test_a_preflight_passes() -> None:
    assert classify(XML, method="OPTIONS") == Pass("method")


TEXT = st.text(st.characters(codec="latin-1"), max_size=20)


@given(TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3), st.sampled_from(["GET", "HEAD", "PUT", "POST"]))
def test_whatever_comes_is_classified(rest: str, items: list[tuple[str, str]], method: str) -> None:
    for place in (PATH_STYLE, BUCKET_STYLE):
        found = classify(f"/{rest}", *items, method=method, place=place)
        assert isinstance(found, Read | Write | Pass)
        if isinstance(found, Read):
            assert "/" not in found.key.bucket
