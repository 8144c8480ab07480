"""The policies: their constants and their shape; that they do what they say is asked of a real API server.

tests/cluster/test_policy.py compares what they make of pods with what the webhook makes of them.
"""

import json
from typing import Any

import pytest

from nezha.admission import policy
from nezha.admission.rules import Alias, Rule
from nezha.admission.target import ClusterTrust, NamespaceTrust, Target

RULES = (
    Rule("plain", "team", "vision"),
    Rule("fixed", "team", 'a"b', (Alias("10.9.9.9", ("other.test",)),)),
    Rule("none", "team", "none", ()),
)
TARGET = Target(("10.0.0.1", "fd00::1"), ("a.test", "b.test"), ClusterTrust(), dialects=frozenset({"gcs"}))


def rendered(target: Target = TARGET) -> dict[str, dict[str, Any]]:
    documents = policy.render(RULES, target)
    policies, bindings = documents[::2], documents[1::2]
    for each, binding in zip(policies, bindings, strict=True):
        assert (each["kind"], binding["kind"]) == ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
        assert {each["apiVersion"], binding["apiVersion"]} == {"admissionregistration.k8s.io/v1"}
        name = each["metadata"]["name"]
        assert binding["metadata"]["name"] == binding["spec"]["policyName"] == name
        selector = binding["spec"]["matchResources"]["namespaceSelector"]
        assert selector == {"matchLabels": {"hostaliases-injector": "enabled"}}
    return {each["metadata"]["name"]: each["spec"] for each in policies}


def our(target: Target = TARGET) -> Any:
    """The constant of the policy for pods, back as JSON."""
    (text,) = [each["expression"] for each in rendered(target)["nezha-inject"]["variables"] if each["name"] == "our"]
    return json.loads(text.replace("dyn(", "").replace(")", ""))


def test_each_kind_is_matched_once_at_its_creation() -> None:
    matched = {}
    for name, spec in rendered().items():
        (rule,) = spec["matchConstraints"]["resourceRules"]
        assert (rule["operations"], rule["apiVersions"]) == (["CREATE"], ["v1"])
        assert (spec["failurePolicy"], spec["reinvocationPolicy"]) == ("Ignore", "IfNeeded")
        matched[name] = (rule["apiGroups"], rule["resources"])
    assert matched == {
        "nezha-inject": ([""], ["pods"]),
        "nezha-stamp-deployments-statefulsets-daemonsets": (["apps"], ["deployments", "statefulsets", "daemonsets"]),
        "nezha-stamp-jobs": (["batch"], ["jobs"]),
        "nezha-stamp-cronjobs": (["batch"], ["cronjobs"]),
    }


def test_rules_become_constants_with_their_aliases() -> None:
    hosts = ["a.test", "b.test"]
    everywhere = [{"ip": "10.0.0.1", "hostnames": hosts}, {"ip": "fd00::1", "hostnames": hosts}]
    found = our()
    assert found["rules"] == [
        {"name": "plain", "key": "team", "value": "vision", "aliases": everywhere, "needsTrust": True},
        {
            "name": "fixed",
            "key": "team",
            "value": 'a"b',
            "aliases": [{"ip": "10.9.9.9", "hostnames": ["other.test"]}],
            "needsTrust": False,
        },
        {"name": "none", "key": "team", "value": "none", "aliases": [], "needsTrust": False},
    ]
    assert found["everything"]["aliases"] == everywhere
    assert found["switches"] == [{"name": "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "value": "false"}]


def test_the_bundle_is_what_the_target_knows_of() -> None:
    assert our()["volume"]["projected"]["sources"][0]["clusterTrustBundle"]["name"] == "nezha-trust"
    assert our(Target((), (), NamespaceTrust("m")))["volume"]["configMap"]["name"] == "m"
    unknown = our(Target((), (), None, wants_trust=False))
    assert "projected" in unknown["volume"]
    assert unknown["wantsTrust"] is False


def test_a_stamp_stands_at_the_pod_template() -> None:
    (stamp,) = rendered()["nezha-stamp-cronjobs"]["mutations"]
    expression = stamp["jsonPatch"]["expression"]
    assert "'/spec/jobTemplate/spec/template/metadata/annotations/nezha.io~1inject'" in expression
    assert "has(object.spec.jobTemplate.spec.template.metadata)" in expression


def test_expressions_are_on_one_line_and_closed() -> None:
    for spec in rendered().values():
        for part in (*spec["variables"], *spec["matchConditions"]):
            text = part["expression"]
            assert "\n" not in text
            assert text.count("(") == text.count(")")
            assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\"'b", '"a\\"\'b"'),
        (True, "true"),
        ([], "[]"),
        (["a", 1], '[dyn("a"), dyn(1)]'),
        ({"a": {"b": []}}, '{"a": dyn({"b": dyn([])})}'),
    ],
)
def test_json_is_written_as_cel(value: object, text: str) -> None:
    assert policy.literal(value) == text
