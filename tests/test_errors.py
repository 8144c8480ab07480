"""The exceptions: which are kinds of which, and the HTTP status that each becomes."""

import inspect

import pytest

from nezha import errors
from nezha.errors import (
    Conflict,
    ExtentCorrupt,
    NezhaError,
    OriginError,
    OriginMismatch,
    OriginTimeout,
    OriginUnreachable,
    RequestError,
    ReviewError,
    SettingsError,
    StoreError,
    StoreFull,
)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (NezhaError("a"), Exception, 500),
        (SettingsError("a"), NezhaError, 500),
        (RequestError(421, "a"), NezhaError, 421),
        (OriginError("a"), NezhaError, 502),
        (OriginUnreachable("a"), OriginError, 502),
        (OriginTimeout("a"), OriginError, 504),
        (OriginMismatch("a"), OriginError, 502),
        (StoreError("a"), NezhaError, 500),
        (StoreFull("a"), StoreError, 500),
        (ExtentCorrupt("a"), StoreError, 500),
        (ReviewError("a"), NezhaError, 400),
        (Conflict("a"), NezhaError, 409),
    ],
)
def test_an_error_becomes_a_status_and_says_its_message(error: NezhaError, kind: type[Exception], status: int) -> None:
    assert error.status == status
    assert type(error).__base__ is kind
    assert str(error) == "a"


def test_everything_raised_on_purpose_is_a_nezha_error_with_a_status_of_http() -> None:
    found = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    assert len(found) == 12
    assert all(issubclass(each, NezhaError) and 400 <= each.status < 600 for each in found)
    assert {each.__base__ for each in found} == {Exception, NezhaError, OriginError, StoreError}


def test_the_kind_of_an_error_is_one_token() -> None:
    assert [error("a").word for error in (NezhaError, OriginError, OriginUnreachable)] == [
        "nezha-error",
        "origin-error",
        "origin-unreachable",
    ]


def test_the_status_of_one_bad_request_is_not_that_of_the_next() -> None:
    first, second = RequestError(400, "a"), RequestError(431, "b")
    assert (first.status, second.status, RequestError.status) == (400, 431, 500)
