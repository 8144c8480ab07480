"""How one CA gives way to the next, by the clock that is given: trust first, signatures later."""

import pytest

from nezha.errors import SettingsError
from nezha.pki.authority import Authority, create, limit
from nezha.pki.rotation import Next, Retired, Rotation, advance, is_ending, mapped, publish, revoke, sign
from tests.pki import ids

DAY = 86_400.0
NOW = 1_800_000_000.0
OVERLAP = 30 * DAY
LEAF = 30 * DAY
OLD, NEW, THIRD = (create(["data.example"], name, NOW) for name in ("old", "new", "third"))
WAITING = Rotation(OLD, Next(NEW, NOW, NOW + OVERLAP))
SIGNED = Rotation(NEW, None, (Retired(OLD.certificate, NOW + OVERLAP + LEAF),))


def test_the_next_ca_is_trusted_at_once_and_signs_after_the_overlap() -> None:
    rotation = publish(Rotation(OLD), NEW, NOW, OVERLAP)
    assert rotation == WAITING
    assert rotation.published == (OLD.certificate, NEW.certificate)


@pytest.mark.parametrize(
    ("before", "days", "after"),
    [
        (Rotation(OLD), 10_000, Rotation(OLD)),
        (WAITING, 0, WAITING),
        (WAITING, 29.99, WAITING),
        (WAITING, 30, SIGNED),
        (SIGNED, 59.99, SIGNED),
        (SIGNED, 60, Rotation(NEW)),
    ],
)
def test_time_makes_of_it(before: Rotation, days: float, after: Rotation) -> None:
    later = advance(before, NOW + days * DAY)
    assert later == after
    assert (later is before) == (before == after)


def test_whatever_is_signed_with_was_trusted_for_the_overlap_and_stays_so_while_a_leaf_of_it_lives() -> None:
    rotation, trusted_since, signed_until = WAITING, {OLD.id: NOW - OVERLAP, NEW.id: NOW}, {}
    for day in range(91):
        now = NOW + day * DAY
        rotation = advance(rotation, now)
        published = [Authority(each, OLD.key, "").id for each in rotation.published]
        assert now - trusted_since[rotation.signing.id] >= OVERLAP
        signed_until[rotation.signing.id] = now
        assert [each for each, at in signed_until.items() if now < at + LEAF and each not in published] == []
    assert ids(rotation) == (NEW.id, None, [])


def test_a_ca_that_waited_through_a_standstill_signs_at_the_first_look() -> None:
    later = advance(WAITING, NOW + 400 * DAY)
    assert ids(later) == (NEW.id, None, [OLD.id])
    assert later.retired[0].until == NOW + 400 * DAY + LEAF  # leaves were made until this very moment


def test_a_retired_ca_is_not_kept_past_its_own_end() -> None:
    now = OLD.expires_at - DAY
    assert sign(WAITING, now).retired == (Retired(OLD.certificate, OLD.expires_at),)


def test_only_one_waits_at_a_time() -> None:
    with pytest.raises(SettingsError, match=rf"CA {NEW.id} is published already and waits to sign: .* --now"):
        publish(WAITING, THIRD, NOW, OVERLAP)


@pytest.mark.parametrize(
    ("before", "gone", "after"),
    [
        (Rotation(OLD), OLD, (THIRD.id, None, [])),
        (WAITING, OLD, (NEW.id, None, [])),  # it is trusted by whoever took the bundle since
        (WAITING, NEW, (OLD.id, None, [])),
        (SIGNED, OLD, (NEW.id, None, [])),
        (SIGNED, NEW, (THIRD.id, None, [OLD.id])),
    ],
)
def test_what_is_revoked_is_published_no_more(
    before: Rotation, gone: Authority, after: tuple[str, str | None, list[str]]
) -> None:
    rotation = revoke(before, gone.id, THIRD, NOW)
    assert ids(rotation) == after
    assert gone.certificate not in rotation.published


def test_an_unknown_ca_is_not_revoked() -> None:
    with pytest.raises(SettingsError, match=rf"no CA is called 'cafe'; there are {OLD.id}, {NEW.id}"):
        revoke(WAITING, "cafe", THIRD, NOW)


def test_new_names_reach_each_ca_that_can_sign() -> None:
    changed = mapped(
        Rotation(OLD, WAITING.next, SIGNED.retired), lambda authority: limit(authority, ["new.example"], NOW)
    )
    assert changed.signing.is_limited_to(["new.example"])
    assert changed.next is not None
    assert changed.next.authority.is_limited_to(["new.example"])
    assert changed.next.signs_at == NOW + OVERLAP
    assert changed.retired == SIGNED.retired
    assert mapped(Rotation(OLD), lambda authority: authority) == Rotation(OLD)


@pytest.mark.parametrize(("days_left", "ends"), [(91, False), (90, True), (1, True)])
def test_a_ca_is_replaced_in_time_for_two_overlaps_and_a_leaf(days_left: float, ends: bool) -> None:
    now = OLD.expires_at - days_left * DAY
    assert is_ending(Rotation(OLD), now, OVERLAP) is ends
    assert is_ending(WAITING, now, OVERLAP) is False
