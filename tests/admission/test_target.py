"""The target: put together from what is configured, known and ready."""

from nezha.admission.target import Aim, ClusterTrust, NamespaceTrust, Standing, Target
from nezha.loading import load

HOSTS = ("a.test",)


def aim(surroundings: Standing, *, wants_trust: bool = True, is_ready: bool = True) -> Aim:
    return Aim(HOSTS, frozenset({"s3"}), wants_trust, surroundings, lambda: is_ready)


def test_what_stands_in_the_settings_is_taken_for_every_namespace() -> None:
    expected = Target(("10.0.0.1",), HOSTS, NamespaceTrust("nezha-trust"), dialects=frozenset({"s3"}))
    assert aim(Standing(("10.0.0.1",))).at("train") == aim(Standing(("10.0.0.1",))).at("other") == expected
    assert aim(Standing(("10.0.0.1",), ClusterTrust("b"))).at("train").trust == ClusterTrust("b")


def test_trust_that_is_not_wanted_is_not_looked_for() -> None:
    target = aim(Standing(("10.0.0.1",)), wants_trust=False).at("train")
    assert (target.trust, target.wants_trust) == (None, False)


def test_an_obstacle_for_all_is_named() -> None:
    assert aim(Standing(("10.0.0.1",))).obstacle() is None
    assert aim(Standing()).obstacle() == "the cache's address is not known"
    unready = aim(Standing(("10.0.0.1",)), is_ready=False)
    assert unready.obstacle() == "the cache is not ready"
    assert not unready.at("train").is_ready


def test_names_have_aliases_and_addresses_have_none() -> None:
    settings = load("admission: {trust: false}\norigins: [{name: o, dialect: http, hosts: [a.test]}]", {})
    made = Aim.of(settings, ["a.test", "10.0.0.1", "fd00::1"], Standing(), lambda: True)
    assert (made.hosts, made.dialects, made.wants_trust) == (HOSTS, frozenset({"http"}), False)
    assert made.at("train").addresses == ()
