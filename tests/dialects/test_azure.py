"""Azure Blob Storage: names, what a read is, what each credential leaves room for, and when it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.dialects import ANONYMOUS, Credential, Kind, Pass, Place, Read, Write
from nezha.dialects.azure import Azure
from nezha.model import Fields, Key, Request
from nezha.settings import OriginSettings

STORE = Azure()
HOST = "mydata.blob.core.windows.net"
ACCOUNT = Place("az", "mydata")
LOCAL = Place("az", "", frozenset({"mydata"}))
API = ("x-ms-version", "2026-02-06")
SHARED = ("Authorization", "SharedKey mydata:abc=")
BEARER = ("Authorization", "Bearer token")
SAS = "sv=2026-02-06&sr=b&sp=r&se=2026-11-25T12%3A00%3A00Z&sig=abc%3D"
ALL = frozenset({"range", "if-match", "if-none-match"})
NOTHING = frozenset[str]()


def request(target: str, *items: tuple[str, str], method: str = "GET", length: int | None = None) -> Request:
    return Request(method, target, Fields([("Host", HOST), API, *items]), HOST, length=length)


def classify(target: str, *items: tuple[str, str], method: str = "GET", place: Place = ACCOUNT) -> object:
    return STORE.classify(place, request(target, *items, method=method))


def read(target: str, *items: tuple[str, str], place: Place = ACCOUNT) -> Read:
    found = classify(target, *items, place=place)
    assert isinstance(found, Read), found
    return found


def credential(target: str, *items: tuple[str, str]) -> Credential:
    return read(target, *items).credential


# Names


def names(**fields: object) -> dict[str, str]:
    origin = OriginSettings.model_validate({"name": "az", "dialect": "azure", **fields})
    return {host: place.bucket for host, place in STORE.places(origin).items()}


def test_each_account_has_a_name() -> None:
    assert names(accounts=["mydata", "other"]) == {
        "mydata.blob.core.windows.net": "mydata",
        "other.blob.core.windows.net": "other",
    }


def test_an_endpoint_serves_accounts_in_the_path_and_under_its_name() -> None:
    assert names(endpoint="Azurite.corp:10000", accounts=["mydata"]) == {
        "azurite.corp:10000": "",
        "mydata.azurite.corp:10000": "mydata",
    }
    assert names(endpoint="10.0.0.1:10000", accounts=["mydata"]) == {"10.0.0.1:10000": ""}


def test_another_host_stands_for_the_one_account_or_for_itself() -> None:
    assert names(accounts=["mydata"], hosts=["blobs.corp"])["blobs.corp"] == "mydata"
    assert names(accounts=["mydata", "other"], hosts=["blobs.corp"])["blobs.corp"] == "blobs.corp"
    assert names(hosts=["blobs.corp"]) == {"blobs.corp": "blobs.corp"}


def test_the_account_is_the_hosts_or_the_first_of_the_path() -> None:
    assert STORE.bucket_of(ACCOUNT, request("/c/b")) == "mydata"
    assert STORE.bucket_of(LOCAL, request("/my%64ata/c/b")) == "mydata"


# Reads


def test_a_blob_is_one_key_by_every_name() -> None:
    key = Key("az", "mydata", "models/a b/c")
    assert read("/models/a%20b/c").key == key
    assert read("/models/a%20b%2Fc").key == key
    assert read("/mydata/models/a%20b/c", place=LOCAL).key == key
    assert read(f"/models/a%20b/c?{SAS}&timeout=30").key == key


def test_versions_and_snapshots_are_keys_of_their_own() -> None:
    assert read("/c/b?versionid=2026-11-25T00:00:00.0Z").key.version == "versionid=2026-11-25T00:00:00.0Z"
    assert read("/c/b?snapshot=2026").key.version == "snapshot=2026"
    assert classify("/c/b?snapshot=1&versionid=2") == Pass("parameters")


def test_who_names_no_api_gets_the_heads_of_the_oldest_and_a_key_of_its_own() -> None:
    asked = Request("GET", "/c/b", Fields([("Host", HOST)]), HOST)
    found = STORE.classify(ACCOUNT, asked)
    assert isinstance(found, Read)
    assert found.key.version == "old"


@pytest.mark.parametrize(("etag", "mark"), [('"0x8D1"', "0x8D1"), ("0x8D1", "0x8D1"), ('W/"0x8D1"', ""), (None, "")])
def test_the_etag_is_the_mark_with_its_quotes_or_without(etag: str | None, mark: str) -> None:
    assert STORE.mark(Fields([("ETag", etag)] if etag else [])) == mark


def test_x_ms_range_is_range_and_wins_over_it() -> None:
    found = read("/c/b", ("Range", "bytes=0-1"), ("x-ms-range", "bytes=2-3"))
    assert found.range_name == "x-ms-range"
    assert found.plain is not None
    assert found.plain.fields.all("range") == ["bytes=2-3"]
    assert "x-ms-range" not in found.plain.fields
    assert read("/c/b", ("x-ms-range", "bytes=2-3")).plain is not None


def test_a_read_without_x_ms_range_is_as_it_came() -> None:
    found = read("/c/b", ("Range", "bytes=0-1"))
    assert (found.plain, found.range_name) == (None, "Range")


@pytest.mark.parametrize(
    ("target", "items", "reason"),
    [
        ("/c/b?restype=container", (), "operation"),
        ("/c/b?comp=metadata", (), "operation"),
        ("/?comp=list", (), "operation"),
        ("/c", (), "operation"),
        ("/c/", (), "operation"),
        ("/c/b", (("x-ms-range", "bytes=-5"),), "range"),
        ("/c/b", (("Range", "bytes=-5"),), "range"),
        ("/c/a/../b", (), "name"),
        ("/c/./b", (), "name"),
        ("/c/a%5Cb", (), "name"),
        ("/c/b.", (), "name"),
        ("/c/a//b", (), "name"),
        ("/c/b?unknown=1", (), "parameters"),
        ("/c/b?snapshot=1&snapshot=2", (), "parameters"),
        (f"/c/b?{SAS}&rsct=text/html", (), "parameters"),
        (f"/c/b?{SAS}", (BEARER,), "parameters"),
        ("/c/b?sv=2026-02-06&se=2026-11-25", (), "parameters"),
        ("/c/b", (("x-ms-lease-id", "1"),), "header"),
        ("/c/b", (("x-ms-encryption-key", "1"), BEARER), "header"),
        ("/c/b", (("x-ms-range-get-content-md5", "true"), BEARER), "header"),
        ("/c/b", (("x-ms-structured-body", "XSM/1.0"), BEARER), "header"),
        ("/c/b", (("Cookie", "a=b"),), "credential"),
        ("/c/b", (("Authorization", "Basic YTpi"),), "credential"),
    ],
)
def test_what_is_no_plain_read_of_a_blob_passes(target: str, items: tuple[tuple[str, str], ...], reason: str) -> None:
    assert classify(target, *items) == Pass(reason)


def test_a_head_passes_for_it_says_more_than_that_of_a_get() -> None:
    assert classify("/c/b", method="HEAD") == Pass("properties")


def test_a_read_with_a_body_passes() -> None:
    assert STORE.classify(ACCOUNT, request("/c/b", length=3)) == Pass("body")


@pytest.mark.parametrize("target", ["/other/c/b", "/", "/a%2Fb/c/b"])
def test_an_account_that_is_not_served_passes(target: str) -> None:
    assert classify(target, place=LOCAL) == Pass("account")


# Credentials


@pytest.mark.parametrize("scheme", ["SharedKey", "SharedKeyLite"])
def test_a_shared_key_is_a_proof_that_leaves_room_for_nothing(scheme: str) -> None:
    found = read("/c/b", ("Authorization", f"{scheme} mydata:abc="))
    assert found.may_set == NOTHING
    assert found.credential.kind is Kind.PROOF
    assert found.credential.identity == "mydata"
    assert found.credential.signed == {"range"}


def test_a_bearer_token_is_a_secret_that_covers_no_header() -> None:
    found = read("/c/b", BEARER, ("X-Tenant", "1"))
    assert found.may_set == ALL
    assert found.credential == Credential(Kind.SECRET, "x-tenant: 1\nBearer token")


def test_a_sas_is_a_secret_until_it_ends() -> None:
    found = read(f"/c/b?{SAS}")
    assert found.may_set == ALL
    assert found.credential.kind is Kind.SECRET
    assert found.credential.material == f"{HOST}\n/c/b?{SAS}"
    assert found.credential.expires_at == 1795608000.0


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("sig=a&se=2026-11-25", 1795564800.0),
        ("sig=a&se=2026-11-25T12:00Z", 1795608000.0),
        ("sig=a&se=2026-11-25T12:00:30.1234567Z", 1795608030.0),
        ("sig=a&se=2026-13-25", 0.0),
        ("sig=a&se=tomorrow", 0.0),
        ("sig=a", 0.0),
        ("sig=a&si=policy", None),
        ("sig=a&si=policy&se=2026-11-25", 1795564800.0),
    ],
)
def test_when_a_sas_ends(query: str, ends: float | None) -> None:
    assert credential(f"/c/b?{query}").expires_at == ends


def test_who_shows_nothing_is_anonymous() -> None:
    assert credential("/c/b", ("x-ms-client-request-id", "1"), ("User-Agent", "x")) == ANONYMOUS


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_a_clients_own_condition_goes_out_alone(name: str) -> None:
    assert read("/c/b", (name, '"1"')).may_set == ALL - {name.lower()}


# Writes


def keys(*versions: str) -> tuple[Key, ...]:
    return tuple(Key("az", "mydata", "c/b", version) for version in versions)


@pytest.mark.parametrize(
    ("method", "target"),
    [("PUT", "/c/b"), ("PUT", "/c/b?comp=block&blockid=1"), ("DELETE", "/c/b"), ("PUT", "/c/b?comp=metadata")],
)
def test_a_write_that_names_a_blob_drops_it_for_every_api(method: str, target: str) -> None:
    assert classify(target, method=method) == Write(keys("", "old"), ("az", "mydata"))


def test_a_write_of_a_version_drops_that_too() -> None:
    found = classify("/c/b?versionid=1", method="DELETE")
    assert found == Write(keys("", "old", "versionid=1", "versionid=1,old"), ("az", "mydata"))


@pytest.mark.parametrize(
    ("method", "target", "items"),
    [
        ("POST", "/?comp=batch", ()),
        ("POST", "/c/b?comp=batch", ()),
        ("DELETE", "/c?restype=container", ()),
        ("PUT", "/c/a%5Cb", ()),
        ("DELETE", "/c/b", (("x-ms-delete-snapshots", "include"),)),
    ],
)
def test_a_write_that_names_no_blob_is_of_the_account(
    method: str, target: str, items: tuple[tuple[str, str], ...]
) -> None:
    assert classify(target, *items, method=method) == Write((), ("az", "mydata"))


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        ("OPTIONS", "/c/b", "method"),
        ("PUT", "/c/b?comp=lease", "operation"),
        ("POST", "/c/b?comp=query", "operation"),
        ("POST", "/?restype=service&comp=userdelegationkey", "operation"),
    ],
)
def test_what_changes_no_blob_passes(method: str, target: str, reason: str) -> None:
    assert classify(target, method=method) == Pass(reason)


TEXT = st.text(st.characters(codec="latin-1"), max_size=20)


@given(TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3), st.sampled_from(["GET", "HEAD", "PUT", "POST"]))
def test_whatever_comes_is_classified(rest: str, items: list[tuple[str, str]], method: str) -> None:
    for place in (ACCOUNT, LOCAL):
        assert isinstance(classify(f"/{rest}", *items, method=method, place=place), Read | Write | Pass)
