"""Hugging Face: the hub passes, and what lies behind presigned URLs is one key by its path."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.dialects import ANONYMOUS, Kind, Pass, Place, Read, Write
from nezha.dialects.huggingface import HuggingFace
from nezha.model import Fields, Key, Request
from nezha.settings import OriginSettings

STORE = HuggingFace()
HOST = "cas-bridge.xethub.hf.co"
HUB, FILES = Place("hub"), Place("hub", HOST)
PATH = "/xet-bridge-us/66e8/ddfa"
NAME = "response-content-disposition=inline%3B+filename%3D%22a.bin%22"
CLOUDFRONT = "Expires=1795435500&Policy=eyJ9&Signature=abc&Key-Pair-Id=K1"
V4 = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=cas&X-Amz-Date=20261123T120000Z&X-Amz-Expires=300"
V4_URL = f"{PATH}?{V4}&X-Amz-SignedHeaders=host&X-Amz-Signature=abc&x-id=GetObject"
ALL = frozenset({"range", "if-match", "if-none-match"})


def request(target: str, *items: tuple[str, str], method: str = "GET", length: int | None = None) -> Request:
    return Request(method, target, Fields([("Host", HOST), *items]), HOST, length=length)


def classify(target: str, *items: tuple[str, str], method: str = "GET", place: Place = FILES) -> object:
    return STORE.classify(place, request(target, *items, method=method))


def read(target: str, *items: tuple[str, str]) -> Read:
    found = classify(target, *items)
    assert isinstance(found, Read), found
    return found


def policy(text: str) -> str:
    return base64.b64encode(text.encode()).decode().translate(str.maketrans("+=/", "-_~"))


# Names


def test_the_hub_and_the_hosts_of_bytes_have_their_names() -> None:
    origin = OriginSettings.model_validate({"name": "hub", "dialect": "huggingface", "hosts": ["CDN.corp"]})
    places = STORE.places(origin)
    assert [host for host, place in places.items() if not place.bucket] == ["huggingface.co", "cas-server.xethub.hf.co"]
    stored = {host: place.bucket for host, place in places.items() if place.bucket}
    assert stored == {host: host for host in stored}
    assert {HOST, "transfer.xethub.hf.co", "cdn-lfs.huggingface.co", "us.aws.cdn.hf.co", "cdn.corp"} <= stored.keys()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize("target", ["/org/model/resolve/main/a.bin", "/api/models", "/v2/reconstructions/1", "/"])
def test_the_hub_passes(method: str, target: str) -> None:
    assert classify(target, ("Authorization", "Bearer hf"), method=method, place=HUB) == Pass("hub")


# Keys


@pytest.mark.parametrize(
    "target",
    [
        PATH,
        f"{PATH}?{CLOUDFRONT}",
        f"{PATH}?X-Xet-Cas-Uid=5f&user_id=5f&repo_id=1&xip=a&{CLOUDFRONT}",
        f"{PATH}?X-Xet-Signed-Range=bytes%3D0-9&X-Xet-Session-Id=s&{CLOUDFRONT}",
        V4_URL,
    ],
)
def test_neither_a_signature_nor_its_holder_is_in_the_key(target: str) -> None:
    assert read(target).key == Key("hub", HOST, "xet-bridge-us/66e8/ddfa")


def test_what_the_head_is_made_by_is_in_the_key() -> None:
    found = read(f"{PATH}?{NAME}&X-Amz-Checksum-Mode=ENABLED&{CLOUDFRONT}").key
    assert found.object == (
        'xet-bridge-us/66e8/ddfa?response-content-disposition=inline; filename="a.bin"&X-Amz-Checksum-Mode=ENABLED'
    )
    assert STORE.bucket_of(FILES, request(PATH)) == HOST


@pytest.mark.parametrize(
    ("target", "items", "reason"),
    [
        (f"{PATH}?token=secret", (), "parameters"),
        (f"{PATH}?{CLOUDFRONT}&Signature=def", (), "parameters"),
        (PATH, (("Authorization", "Bearer hf"),), "credential"),
        (PATH, (("Cookie", "a=b"),), "credential"),
    ],
)
def test_what_is_not_understood_passes(target: str, items: tuple[tuple[str, str], ...], reason: str) -> None:
    assert classify(target, *items) == Pass(reason)


def test_a_read_with_a_body_passes() -> None:
    assert STORE.classify(FILES, request(PATH, length=3)) == Pass("body")


def test_a_write_drops_what_it_names_and_a_preflight_passes() -> None:
    key = Key("hub", HOST, "xet-bridge-us/66e8/ddfa")
    assert classify(f"{PATH}?{CLOUDFRONT}", method="PUT") == Write((key,), ("hub", HOST))
    assert classify(PATH, method="OPTIONS") == Pass("method")


# Credentials


def test_who_shows_nothing_is_anonymous() -> None:
    assert read(f"{PATH}?x-id=GetObject", ("X-Amzn-Trace-Id", "x"), ("X-Xet-Session-Id", "s")).credential == ANONYMOUS


def test_a_presigned_url_is_a_secret_that_leaves_room_for_headers() -> None:
    found = read(V4_URL)
    assert found.may_set == ALL
    assert (found.credential.kind, found.credential.signed) == (Kind.SECRET, frozenset({"host"}))
    assert found.credential.material == f"{HOST}\n{V4_URL}\nhost: {HOST}"


def test_a_url_that_is_signed_for_one_range_grants_that_and_takes_no_other() -> None:
    found = read(f"{PATH}?X-Xet-Signed-Range=bytes%3D0-9&{CLOUDFRONT}", ("Range", "bytes=0-9"))
    assert "range" in found.credential.signed
    assert found.may_set == ALL - {"range"}


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_a_clients_own_condition_goes_out_alone(name: str) -> None:
    assert read(PATH, (name, '"1"')).may_set == ALL - {name.lower()}


SOONER = policy('{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":1795435400}}}]}')


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("Expires=1795435500&Signature=a", 1795435500.0),
        (f"Policy={SOONER}&Signature=a", 1795435400.0),
        (f"Expires=1795435500&Policy={SOONER}&Signature=a", 1795435400.0),
        (V4, 0.0),
        (f"{V4}&X-Amz-Signature=a", 1795435500.0),
        (f"{V4}&X-Amz-Signature=a&Expires=1795435400", 1795435400.0),
        ("Policy=a&Signature=a", 0.0),
        (f"Policy={policy('{}')}&Signature=a", 0.0),
        ("Expires=never&Signature=a", 0.0),
        ("Signature=a", 0.0),
    ],
)
def test_the_first_end_that_a_url_states_counts(query: str, ends: float) -> None:
    if query == V4:  # Expires of a version 4 signature is no end of its own
        query = query.replace("X-Amz-Expires=300", "X-Amz-Signature=")
    assert read(f"{PATH}?{query}").credential.expires_at == ends


TEXT = st.text(st.characters(codec="latin-1"), max_size=20)


@given(TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3), st.sampled_from(["GET", "HEAD", "PUT", "POST"]))
def test_whatever_comes_is_classified(rest: str, items: list[tuple[str, str]], method: str) -> None:
    for place in (HUB, FILES):
        assert isinstance(classify(f"/{rest}", *items, method=method, place=place), Read | Write | Pass)
