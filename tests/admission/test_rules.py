"""The rules: the ConfigMap's text, which of them an object follows, and what is wrong with a text."""

from collections.abc import Mapping

import pytest

from nezha.admission.rules import EVERYTHING, INJECT, Alias, OptedOut, Rule, Unknown, parse, select
from nezha.errors import SettingsError

KEY = "app.kubernetes.io/deploy-manager"
# As the original project's examples/demo/setup.sh writes it into the ConfigMap: an address, a server_name a line.
ORIGINAL = """- name: dataset
  app: app.kubernetes.io/deploy-manager
  label: ksonnet
  hostAliases:
  - ip: "10.99.81.48"
    hostnames:
    - "www.cs.toronto.edu"
    - "s3.amazonaws.com"
"""
RULE = "- {name: a, app: team, label: vision"  # left open


def aliases(text: str) -> tuple[Alias, ...] | None:
    (rule,) = parse(text)
    return rule.aliases


def test_the_originals_text_is_read() -> None:
    hosts = ("www.cs.toronto.edu", "s3.amazonaws.com")
    assert parse(ORIGINAL) == (Rule("dataset", KEY, "ksonnet", (Alias("10.99.81.48", hosts),)),)


def test_the_originals_readme_has_no_aliases() -> None:
    assert parse(ORIGINAL.partition("  hostAliases")[0]) == (Rule("dataset", KEY, "ksonnet", None),)
    assert aliases(f"{RULE}, hostAliases: }}") is None


def test_the_originals_script_leaves_the_list_empty_where_nginx_serves_no_name() -> None:
    assert aliases(ORIGINAL.partition("    - ")[0]) == (Alias("10.99.81.48", ()),)


def test_names_that_no_alias_can_be_are_skipped_and_kept_in_mind() -> None:
    names = '["_", "a.test", "*.s3.amazonaws.com", "A.test", "a.test", "~^x$", "b.test."]'
    (rule,) = parse(f"{RULE}, hostAliases: [{{ip: 10.0.0.1, hostnames: {names}}}]}}")
    assert rule.aliases == (Alias("10.0.0.1", ("a.test",)),)
    assert rule.skipped == ("_", "*.s3.amazonaws.com", "A.test", "~^x$", "b.test.")


def test_addresses_have_one_spelling() -> None:
    found = aliases(f"{RULE}, hostAliases: [{{ip: 'FD00:0:0:0::1'}}, {{ip: 10.0.0.1, hostnames: []}}]}}")
    assert found == (Alias("fd00::1", ()), Alias("10.0.0.1", ()))


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "---\n"])
def test_a_text_without_rules_has_none(text: str) -> None:
    assert parse(text) == ()


def test_values_stay_text() -> None:
    (rule,) = parse("- {name: 1, app: a.test/b, label: true}")
    assert rule == Rule("1", "a.test/b", "true")
    assert parse('- {name: a, app: b, label: ""}') == (Rule("a", "b", ""),)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: b", ["the rules must be a list, each with name, app and label"]),
        ("- [", ["line 1, column 4: not usable YAML: expected the node content, but found '<stream end>'"]),
        ("- a\n- b", [f"[{n}]: '{c}' is not a mapping with name, app, label, hostAliases" for n, c in enumerate("ab")]),
        ("- {}", ["[0].name: is required", "[0].app: is required", "[0].label: is required"]),
        ("- {name: '', app: , label: }", ["[0].name: is required", "[0].app: is required", "[0].label: is required"]),
        ("- {name: [], app: a, label: b}", ["[0].name: a list is not text"]),
        ('- {name: "a\\nb", app: a, label: b}', ["[0].name: 'a\\nb' is not text"]),
        (f"{RULE}, hostAlias: []}}", ["[0].hostAlias: unknown key; known are name, app, label, hostAliases"]),
        ("- {name: a, app: -b, label: c}", ["[0].app: '-b' is not the key of a label"]),
        ("- {name: a, app: b, label: c d}", ["[0].label: 'c d' is not the value of a label"]),
        (
            "- {name: 'false', app: b, label: c}",
            ["[0].name: false has a meaning of its own in the annotation nezha.io/inject: choose another"],
        ),
        (f"{RULE}}}\n{RULE}}}", ["[1].name: 'a' is the name of [0] already"]),
        (f"{RULE}, hostAliases: 10.0.0.1}}", ["[0].hostAliases: '10.0.0.1' is not a list"]),
        (f"{RULE}, hostAliases: [a]}}", ["[0].hostAliases[0]: 'a' is not a mapping with ip, hostnames"]),
        (f"{RULE}, hostAliases: [{{ip: }}]}}", ["[0].hostAliases[0].ip: is required"]),
        (f"{RULE}, hostAliases: [{{ip: 10.0.0}}]}}", ["[0].hostAliases[0].ip: '10.0.0' is not an IP address"]),
        (
            f"{RULE}, hostAliases: [{{ip: fe80::1%eth0, hostname: a}}]}}",
            [
                "[0].hostAliases[0].hostname: unknown key; known are ip, hostnames",
                "[0].hostAliases[0].ip: 'fe80::1%eth0' is not an IP address",
            ],
        ),
        (
            f"{RULE}, hostAliases: [{{ip: 10.0.0.1, hostnames: a.test}}]}}",
            ["[0].hostAliases[0].hostnames: 'a.test' is not a list of names"],
        ),
        (
            f"{RULE}, hostAliases: [{{ip: 10.0.0.1, hostnames: [[]]}}]}}",
            ["[0].hostAliases[0].hostnames: a list is not a list of names"],
        ),
    ],
)
def test_what_is_wrong_with_a_text_is_told_with_its_place(text: str, problems: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert str(caught.value).splitlines() == problems


A, B = Rule("a", "team", "vision"), Rule("b", "kind", "train")


@pytest.mark.parametrize(
    ("labels", "annotations", "selected"),
    [
        ({}, {}, None),
        ({"team": "speech", "other": "vision"}, {}, None),
        ({"team": "vision"}, {}, A),
        ({"kind": "train", "team": "vision"}, {}, A),
        ({"kind": "train"}, {INJECT: "a"}, A),
        ({}, {INJECT: "b"}, B),
        ({}, {INJECT: "c"}, Unknown("c")),
        ({"team": "vision"}, {INJECT: ""}, Unknown("")),
        ({"team": "vision"}, {INJECT: "false"}, OptedOut()),
        ({}, {INJECT: "true"}, EVERYTHING),
        ({"kind": "train"}, {INJECT: "true"}, B),
    ],
)
def test_the_annotation_decides_and_then_the_first_rule_that_matches(
    labels: Mapping[str, str], annotations: Mapping[str, str], selected: object
) -> None:
    assert select((A, B), labels, annotations) == selected
