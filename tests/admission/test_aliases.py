"""Host aliases: merged by address and name, and short enough for every resolver."""

from typing import Any

import jsonpatch
import pytest

from nezha.admission.aliases import LONGEST_LINE, Merge, merge, wanted
from nezha.admission.rules import Alias, Rule
from nezha.admission.target import Target
from nezha.errors import ReviewError

A, B = "10.0.0.1", "10.0.0.2"
HOSTS = ("a.test", "b.test")


def entry(ip: str, *names: str) -> dict[str, Any]:
    return {"ip": ip, "hostnames": list(names)}


def merged(existing: Any, *aliases: Alias) -> tuple[list[dict[str, Any]], Merge]:
    """A pod's aliases after the merge, which a second merge leaves alone."""
    pod = {"spec": {} if existing is ... else {"hostAliases": existing}}
    found = merge(pod["spec"].get("hostAliases"), aliases)
    result = jsonpatch.apply_patch(pod, list(found.operations))["spec"].get("hostAliases") or []
    again = merge(result, aliases)
    assert (again.operations, again.elsewhere) == ((), found.elsewhere)
    assert set(again.redirected) == set(found.redirected)
    return result, found


def test_without_aliases_of_its_own_a_rule_points_all_hosts_at_every_address() -> None:
    target = Target((A, "fd00::1"), HOSTS, None)
    assert wanted(Rule("a", "k", "v"), target) == (Alias(A, HOSTS), Alias("fd00::1", HOSTS))
    own = (Alias(B, ("c.test",)),)
    assert wanted(Rule("a", "k", "v", own), target) == own


@pytest.mark.parametrize("existing", [..., None, []])
def test_a_pod_without_aliases_gets_them(existing: Any) -> None:
    result, found = merged(existing, Alias(A, HOSTS))
    assert result == [entry(A, *HOSTS)]
    assert (found.redirected, found.elsewhere) == (HOSTS, ())


def test_other_aliases_stay_as_they_are() -> None:
    result, _ = merged([entry(B, "other.test")], Alias(A, HOSTS))
    assert result == [entry(B, "other.test"), entry(A, *HOSTS)]


@pytest.mark.parametrize(
    ("existing", "result"),
    [
        ([entry(A, "b.test", "x.test")], [entry(A, "b.test", "x.test", "a.test")]),
        ([entry(A, *HOSTS)], [entry(A, *HOSTS)]),
        ([{"ip": A}], [entry(A, *HOSTS)]),
        ([{"ip": A, "hostnames": None}], [entry(A, *HOSTS)]),
        ([entry(A, "a.test"), entry(A, "b.test")], [entry(A, "a.test"), entry(A, "b.test")]),
    ],
)
def test_an_entry_of_the_same_address_gets_what_it_lacks(existing: Any, result: Any) -> None:
    assert merged(existing, Alias(A, HOSTS))[0] == result


def test_addresses_are_compared_by_what_they_mean() -> None:
    assert merged([entry("FD00:0::1", "a.test")], Alias("fd00::1", HOSTS))[0] == [entry("FD00:0::1", *HOSTS)]
    assert merged([entry("010.000.000.001", "x.test")], Alias(A, ("a.test",)))[0][1:] == [entry(A, "a.test")]


def test_a_name_that_the_pod_has_at_another_address_stays_there() -> None:
    result, found = merged([entry(B, "a.test")], Alias(A, HOSTS), Alias("fd00::1", HOSTS))
    assert result == [entry(B, "a.test"), entry(A, "b.test"), entry("fd00::1", "b.test")]
    assert (found.redirected, found.elsewhere) == (("b.test",), ("a.test",))


def test_a_name_at_one_of_two_addresses_gets_the_other() -> None:
    result, _ = merged([entry(A, "a.test")], Alias(A, ("a.test",)), Alias("fd00::1", ("a.test",)))
    assert result == [entry(A, "a.test"), entry("fd00::1", "a.test")]


def test_a_name_asked_for_twice_is_added_once() -> None:
    assert merged([], Alias(A, ("a.test",)), Alias(A, HOSTS))[0] == [entry(A, *HOSTS)]


def test_no_line_is_longer_than_musl_reads() -> None:
    names = tuple(f"bucket-{number:03}.s3.eu-central-1.amazonaws.com" for number in range(60))
    longest = "x" * 253
    result, _ = merged([entry(A, "x.test")], Alias(A, names), Alias("fd00::1", (longest, *names)))
    lines = ["\t".join([each["ip"], *each["hostnames"]]) + "\n" for each in result]  # as the kubelet writes them
    assert max(map(len, lines)) <= LONGEST_LINE
    assert [name for each in result if each["ip"] == A for name in each["hostnames"]] == ["x.test", *names]
    assert {name for each in result if each["ip"] == "fd00::1" for name in each["hostnames"]} == {longest, *names}
    assert len(lines) < 14


def test_a_line_may_be_exactly_full() -> None:
    def lines_of(length: int) -> int:
        return len(merged([], Alias(A, ("a" * 250, "b" * (length - 250))))[0])

    room = LONGEST_LINE - len(A) - 2 - 1  # two tabs and the line's end
    assert lines_of(room) == 1
    assert lines_of(room + 1) == 2


def test_aliases_that_are_no_list_are_refused() -> None:
    with pytest.raises(ReviewError, match=r"spec\.hostAliases"):
        merge("10.0.0.1 a", ())
