"""What a response says of its own caching (RFC 9111 5.2.2, RFC 9213)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Fields
from nezha.semantics.control import Control, control_of, delta

FOREVER = 2**31


def said(value: str) -> Control:
    return control_of(Fields([("Cache-Control", value)]))


# Times in seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        ("00060", 60),
        ("0" * 50 + "60", 60),
        (str(FOREVER), FOREVER),
        ("2147483649", FOREVER),
        ("9" * 5000, FOREVER),
        *((value, None) for value in (None, "", "-1", "1.5", "+1", " 1", "1s", "\xb2", "٣")),
    ],
)
def test_a_delta_is_whole_seconds_or_nothing(value: str | None, seconds: int | None) -> None:
    assert delta(value) == seconds


@given(st.integers(0, 10**40), st.integers(0, 20))
def test_a_delta_too_large_counts_as_forever(number: int, zeros: int) -> None:
    assert delta("0" * zeros + str(number)) == min(number, FOREVER)


# Directives


@pytest.mark.parametrize(
    ("value", "lifetime"),
    [
        ("", None), ("public", None), ("max-age=5", 5), ("s-maxage=6, max-age=5", 6), ("max-age=5, s-maxage=6", 6),
        ("max-age", 0), ("max-age=x", 0), ("s-maxage=x, max-age=5", 0), ("max-age =5", 0), ("max-age= 5", 0),
        ("max-age=5; x", 0), ("max-age=5, max-age=9", 5), ('max-age="5"', 5),
    ],
)  # fmt: skip
def test_the_lifetime_of_a_shared_cache(value: str, lifetime: int | None) -> None:
    assert said(value).lifetime == lifetime


@pytest.mark.parametrize(
    ("value", "must_ask", "is_private", "unstored"),
    [
        ("", False, False, set()),
        ("no-cache", True, False, set()),
        ("private", False, True, set()),
        ('no-cache="A, b"', False, False, {"a", "b"}),
        ("no-cache=a", False, False, {"a"}),
        ('private="x-a", no-cache="b"', False, False, {"x-a", "b"}),
        # badly qualified is not qualified
        ('no-cache=""', True, False, set()),
        ('private="a b"', False, True, set()),
        ('private="a', False, True, set()),
        ("x=no-cache", False, False, set()),
    ],
)
def test_directives_may_be_for_some_fields_only(
    value: str, must_ask: bool, is_private: bool, unstored: set[str]
) -> None:
    control = said(value)
    assert (control.must_ask, control.is_private, set(control.unstored)) == (must_ask, is_private, unstored)


@pytest.mark.parametrize("value", ["must-revalidate", "proxy-revalidate", "s-maxage=9", "no-cache"])
def test_some_forbid_to_be_served_stale(value: str) -> None:
    assert said(value).never_stale
    assert not said('max-age=5, no-cache="a"').never_stale


def test_others_allow_it_for_a_while() -> None:
    control = said("stale-while-revalidate=5, stale-if-error=x")
    assert (control.stale_while_revalidate, control.stale_if_error) == (5, 0)


@pytest.mark.parametrize(("value", "is_shared"), [("public", True), ("s-maxage=1", True), ("max-age=1", False)])
def test_some_say_that_it_is_for_everybody(value: str, is_shared: bool) -> None:
    assert said(value).is_shared is is_shared


# Targeted fields


PLAIN = ("Cache-Control", "max-age=1")


@pytest.mark.parametrize(
    ("targeted", "lifetime"),
    [
        ("max-age=5", 5),
        ("s-maxage=6, max-age=5", 6),
        ("max-age=5;x=1, foo", 5),
        ("max-age=-5", 0),
        ("public", None),
        ("private=?0", None),
        # no dictionary of directives: it is as if it were not there
        *((value, 1) for value in ("", "max-age =5", "max-age= 5", "Max-Age=5", "max-age=5,", "max-age=5, &&")),
        *(
            (value, 1)
            for value in ('max-age="5"', "max-age=5.0", "max-age", "max-age=five", "max-age=(5)", "max-age=?0")
        ),
    ],
)
def test_a_targeted_field_counts_if_it_is_well_formed(targeted: str, lifetime: int | None) -> None:
    control = control_of(Fields([PLAIN, ("CDN-Cache-Control", targeted)]))
    assert control.lifetime == lifetime
    assert control.is_targeted is (lifetime != 1)


def test_nezhas_own_counts_first() -> None:
    own, cdn = ("Nezha-Cache-Control", "max-age=7"), ("CDN-Cache-Control", "max-age=5")
    assert control_of(Fields([cdn, own, PLAIN])).lifetime == 7
    assert control_of(Fields([cdn, ("Nezha-Cache-Control", ",,"), PLAIN])).lifetime == 5


def test_lines_are_one_dictionary_and_the_last_of_a_key_counts() -> None:
    lines = [("CDN-Cache-Control", "max-age=5"), ("CDN-Cache-Control", "no-store, max-age=6")]
    control = control_of(Fields(lines))
    assert (control.lifetime, "no-store" in control.names) == (6, True)


def test_to_object_stores_nobody_speaks_through_the_metadata() -> None:
    assert control_of(Fields([PLAIN, ("CDN-Cache-Control", "max-age=5")]), is_metadata=True).lifetime == 1


def test_fields_may_be_named_in_it() -> None:
    control = control_of(Fields([("CDN-Cache-Control", 'no-cache="a, b", private')]))
    assert (set(control.unstored), control.is_private, control.must_ask) == ({"a", "b"}, True, False)


@given(st.text(st.characters(codec="latin-1")))
def test_no_text_is_too_odd(value: str) -> None:
    for name in ("Cache-Control", "CDN-Cache-Control", "Nezha-Cache-Control"):
        control = control_of(Fields([(name, value)]))
        assert control.lifetime is None or 0 <= control.lifetime <= FOREVER
