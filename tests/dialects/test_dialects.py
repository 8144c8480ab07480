"""What all dialects share: the values they speak in, and the headers that are nobody's credential."""

import pytest

from nezha.dialects import ANONYMOUS, HARMLESS_HEADERS, Credential, Dialect, Kind, Place
from nezha.dialects.azure import Azure
from nezha.dialects.gcs import Gcs
from nezha.dialects.http import Http
from nezha.dialects.huggingface import HuggingFace
from nezha.dialects.s3 import S3
from nezha.model import Fields


def test_who_shows_nothing_is_anonymous() -> None:
    assert Credential(Kind.NONE) == ANONYMOUS
    assert (ANONYMOUS.material, ANONYMOUS.expires_at, ANONYMOUS.signed) == ("", None, frozenset())


def test_a_credential_is_never_shown() -> None:
    shown = repr(Credential(Kind.PROOF, "hunter2", "AKIA\nhunter2", signed=frozenset({"host"})))
    assert "hunter2" not in shown
    assert "host" in shown


@pytest.mark.parametrize(
    "name", ["authorization", "cookie", "proxy-authorization", "x-forwarded-host", "x-amz-security-token", "x-api-key"]
)
def test_no_credential_is_harmless(name: str) -> None:
    assert name not in HARMLESS_HEADERS


def test_a_place_serves_all_buckets_unless_it_names_some() -> None:
    assert Place("web") == Place("web", "", frozenset(), frozenset())


@pytest.mark.parametrize("dialect", [Azure(), Gcs(), Http(), HuggingFace(), S3()])
def test_names_of_fields_are_in_lower_case(dialect: Dialect) -> None:
    names = HARMLESS_HEADERS | dialect.exchange_fields | dialect.whole_fields | dialect.echoed
    names |= {*dialect.part_names, *dialect.part_names.values()}
    assert all(name == name.lower() and " " not in name for name in names)


@pytest.mark.parametrize("dialect", [Http(), HuggingFace(), S3()])
def test_where_the_etag_tells_versions_apart_there_is_no_mark_and_no_answer_is_unfit(dialect: Dialect) -> None:
    fields = Fields([("ETag", '"1"'), ("x-goog-generation", "7"), ("x-goog-stored-content-encoding", "gzip")])
    assert (dialect.mark(fields), dialect.unfit(fields)) == ("", "")
