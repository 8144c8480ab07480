"""How long a stored response may be used without asking (RFC 9111 4.2 and 5)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Fields
from nezha.semantics.control import control_of
from nezha.semantics.freshness import (
    Policy,
    age,
    lifetime,
    may_outlive,
    stated_lifetime,
    time_left,
    time_left_on_error,
)

FOREVER = 2**31
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
IN_AN_HOUR = "Thu, 01 Jan 2026 01:00:00 GMT"
AN_HOUR_AGO = "Wed, 31 Dec 2025 23:00:00 GMT"
AT = 1767225600.0  # DATE
LATIN_1 = st.characters(codec="latin-1")
MOMENTS = st.integers(0, 2**33).map(float)


def fields(*items: tuple[str, str]) -> Fields:
    return Fields(items)


def control(value: str) -> Fields:
    return fields(("Cache-Control", value))


def entry(*items: tuple[str, str], requested_at: float = AT, answered_at: float = AT) -> Entry:
    return Entry("k", "v", 200, Fields(items), 5, requested_at, answered_at, is_open=True)


# What a response says


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        (fields(), None),
        (control("public"), None),
        (control("max-age=60"), 60),
        (control('Max-Age="60"'), 60),
        (control("max-age=60, s-maxage=5"), 5),
        (control("s-maxage=60, max-age=0"), 60),
        (fields(("Cache-Control", "public"), ("Cache-Control", "max-age=60")), 60),
        # malformed: stale (4.2.1)
        *((control(f"max-age={value}"), 0) for value in ("", "-1", "1.5", "abc", '"', "60s")),
        (control("max-age"), 0),
        (control("s-maxage=x, max-age=60"), 0),
        (control("max-age=1, max-age=3600"), 1),
        # Expires counts less than max-age, and from Date
        (fields(("Expires", IN_AN_HOUR), ("Date", DATE)), 3600),
        (fields(("Expires", IN_AN_HOUR), ("Date", DATE), ("Cache-Control", "max-age=60")), 60),
        (fields(("Expires", AN_HOUR_AGO), ("Date", DATE)), 0),
        (fields(("Expires", DATE), ("Date", DATE)), 0),
        (fields(("Expires", "0"), ("Date", DATE)), 0),
        (fields(("Expires", "-1"), ("Date", DATE)), 0),
        (fields(("Expires", ""), ("Date", DATE)), 0),
        (fields(("Expires", IN_AN_HOUR), ("Expires", AN_HOUR_AGO), ("Date", DATE)), 3600),
        (fields(("Expires", IN_AN_HOUR)), 0),
        (fields(("Expires", IN_AN_HOUR), ("Date", "yesterday")), 0),
        (fields(("Expires", "Thursday, 01-Jan-26 01:00:00 GMT"), ("Date", DATE)), 3600),
    ],
)
def test_a_response_states_its_lifetime(response: Fields, seconds: float | None) -> None:
    assert stated_lifetime(response, control_of(response)) == seconds


# What a route makes of it


@pytest.mark.parametrize(
    ("response", "policy", "seconds"),
    [
        # RFC 9111 binds, `fresh` serves where nothing is stated
        (fields(), Policy(), 0),
        (fields(), Policy(fresh=100), 100),
        (control("max-age=60"), Policy(), 60),
        (control("max-age=60"), Policy(fresh=100), 60),
        (control("max-age=600"), Policy(fresh=100), 600),
        (control("max-age=0"), Policy(fresh=100), 0),
        (control("max-age=bad"), Policy(fresh=100), 0),
        (control("public"), Policy(fresh=100), 100),
        (control("no-cache"), Policy(fresh=100), 0),
        (control("no-cache, max-age=60"), Policy(), 0),
        (control('no-cache="set-cookie", max-age=60'), Policy(), 60),
        (fields(("Expires", AN_HOUR_AGO), ("Date", DATE)), Policy(fresh=100), 0),
        (fields(), Policy(immutable=True), FOREVER),
        (control("max-age=60"), Policy(immutable=True), FOREVER),
        (control("no-cache"), Policy(immutable=True), 0),
        # on object stores what the uploader wrote only bounds from above
        (fields(), Policy(is_metadata=True), 0),
        (fields(), Policy(fresh=100, is_metadata=True), 100),
        (control("max-age=60"), Policy(fresh=100, is_metadata=True), 60),
        (control("max-age=600"), Policy(fresh=100, is_metadata=True), 100),
        (control("max-age=600"), Policy(is_metadata=True), 0),
        (control("no-cache"), Policy(fresh=100, is_metadata=True), 0),
        (control("no-cache"), Policy(immutable=True, is_metadata=True), 0),
        (control("private, no-store"), Policy(fresh=100, is_metadata=True), 100),
        (fields(("Expires", IN_AN_HOUR), ("Date", DATE)), Policy(fresh=7200, is_metadata=True), 3600),
        (fields(("Expires", "0"), ("Date", DATE)), Policy(fresh=100, is_metadata=True), 0),
        (fields(), Policy(immutable=True, is_metadata=True), FOREVER),
        (control("max-age=60"), Policy(immutable=True, is_metadata=True), 60),
    ],
)
def test_a_route_makes_a_lifetime_of_it(response: Fields, policy: Policy, seconds: float) -> None:
    assert lifetime(200, response, policy) == seconds


DAY_OLD = (("Last-Modified", "Wed, 31 Dec 2025 00:00:00 GMT"), ("Date", DATE))
GUESSES = Policy(fresh=7, is_heuristic=True)


@pytest.mark.parametrize(
    ("status", "response", "policy", "seconds"),
    [
        # 4.2.2: who may guess, and what a route says instead
        *((status, fields(), Policy(fresh=100), 100) for status in (200, 203, 204, 206, 300, 301, 308, 410)),
        *((status, fields(), Policy(fresh=100), 0) for status in (201, 302, 307, 403, 404, 405, 414, 500, 501, 503)),
        (302, control("public"), Policy(fresh=100), 100),
        (404, control("public"), Policy(fresh=100), 0),  # what is not there yet may be there soon
        (200, fields(*DAY_OLD), GUESSES, 8640),
        (404, fields(*DAY_OLD), GUESSES, 8640),
        (503, fields(*DAY_OLD), GUESSES, 0),
        (503, fields(*DAY_OLD, ("Cache-Control", "public")), GUESSES, 8640),
        (200, fields(("Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT"), ("Date", DATE)), GUESSES, 86400),
        (200, fields(("Last-Modified", IN_AN_HOUR), ("Date", DATE)), GUESSES, 0),
        (200, fields(("Last-Modified", AN_HOUR_AGO)), GUESSES, 7),
        (200, fields(("Date", DATE)), GUESSES, 7),
        (200, fields(*DAY_OLD, ("Cache-Control", "max-age=1")), GUESSES, 1),
        (200, fields(*DAY_OLD, ("Expires", "0")), GUESSES, 0),
        # what is fixed is the object, not an error in its place
        (503, control("max-age=60"), Policy(immutable=True), 60),
        # RFC 9213: Expires does not count beside a targeted field
        (200, fields(("CDN-Cache-Control", "max-age=5"), ("Expires", IN_AN_HOUR), ("Date", DATE)), Policy(), 5),
        (200, fields(("CDN-Cache-Control", "public"), ("Expires", IN_AN_HOUR), ("Date", DATE)), Policy(fresh=3), 3),
        (200, fields(("CDN-Cache-Control", "max-age=5")), Policy(fresh=60, is_metadata=True), 60),
    ],
)
def test_what_is_not_stated_depends_on_the_status(
    status: int, response: Fields, policy: Policy, seconds: float
) -> None:
    assert lifetime(status, response, policy) == seconds


POLICIES = st.builds(Policy, st.floats(0, 1e6), st.just(0.0), st.booleans(), st.booleans())
CONTROLS = st.sampled_from(["", "max-age=5", "s-maxage=500", "no-cache", "max-age=x", "public"]) | st.text(LATIN_1)


@given(CONTROLS, POLICIES)
def test_no_text_is_too_odd_for_a_lifetime(value: str, policy: Policy) -> None:
    response = fields(("Cache-Control", value), ("Expires", value), ("Date", DATE))
    assert 0 <= lifetime(200, response, policy) <= FOREVER


@given(CONTROLS, POLICIES)
def test_an_uploader_never_makes_an_object_fresh_for_longer_than_the_route_says(value: str, policy: Policy) -> None:
    policy = replace(policy, is_metadata=True)
    assert lifetime(200, control(value), policy) <= lifetime(200, fields(), policy)


# Age


@pytest.mark.parametrize(
    ("stored", "later", "seconds"),
    [
        (entry(), 0, 0),
        (entry(), 30, 30),
        (entry(("Date", DATE)), 30, 30),
        # the time that the answer took counts (4.2.3, response_delay)
        (entry(requested_at=AT - 4), 30, 34),
        (entry(("Age", "10"), requested_at=AT - 4), 30, 44),
        # apparent age, where it is the larger
        (entry(("Date", AN_HOUR_AGO)), 0, 3600),
        (entry(("Date", AN_HOUR_AGO), ("Age", "10")), 5, 3605),
        (entry(("Date", AN_HOUR_AGO), ("Age", "4000")), 5, 4005),
        (entry(("Date", IN_AN_HOUR)), 5, 5),  # its clock is ahead of ours
        (entry(("Date", "yesterday")), 5, 5),
        # 5.1: of several the first, a malformed one not at all
        (entry(("Age", "10, 20")), 0, 10),
        (entry(("Age", "10"), ("Age", "20")), 0, 10),
        *((entry(("Age", value)), 0, 0) for value in ("", "-5", "1.5", "x", ", 20")),
        (entry(("Age", str(10**30))), 0, FOREVER),
        (entry(), -100, 0),  # our clock was set back
    ],
)
def test_the_age_of_a_response(stored: Entry, later: float, seconds: float) -> None:
    assert age(stored, AT + later) == seconds


def test_what_is_left_is_the_lifetime_less_the_age() -> None:
    stored = entry(("Cache-Control", "max-age=60"), ("Age", "10"))
    assert time_left(stored, Policy(), AT + 20) == 30
    assert time_left(stored, Policy(), AT + 50) == 0
    assert time_left(stored, Policy(), AT + 80) == -30


ENTRIES = st.builds(
    lambda control, age, date, requested, took: entry(
        *(("Cache-Control", control), ("Age", age), ("Date", date)),
        requested_at=requested,
        answered_at=requested + took,
    ),
    CONTROLS,
    st.sampled_from(["", "0", "5", "x", "99999999999"]),
    st.sampled_from([DATE, IN_AN_HOUR, AN_HOUR_AGO, ""]),
    MOMENTS,
    st.integers(0, 100),
)


@given(ENTRIES, POLICIES, MOMENTS, MOMENTS)
def test_nothing_grows_fresher_by_waiting(stored: Entry, policy: Policy, one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert 0 <= age(stored, earlier) <= age(stored, later)
    assert time_left(stored, policy, earlier) >= time_left(stored, policy, later)


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=5", "no-cache"])
def test_a_response_may_forbid_to_be_served_stale(directive: str) -> None:
    answer = fields(("Cache-Control", directive))
    assert not may_outlive(answer, Policy())
    assert may_outlive(answer, Policy(is_metadata=True))
    assert may_outlive(Fields([("Cache-Control", "max-age=5")]), Policy())


def test_an_error_of_the_origin_may_be_outlived_where_somebody_says_so() -> None:
    stored = entry(("Cache-Control", "max-age=60, stale-if-error=100"), ("Age", "90"))
    assert time_left_on_error(stored, Policy(), 0, AT) == 70
    assert time_left_on_error(stored, Policy(), 500, AT) == 470
    assert time_left_on_error(stored, Policy(is_metadata=True), 500, AT) == 0
    forbidden = entry(("Cache-Control", "max-age=60, stale-if-error=100, must-revalidate"))
    assert time_left_on_error(forbidden, Policy(), 500, AT) == 0
