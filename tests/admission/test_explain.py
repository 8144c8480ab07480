"""What a person is told about an object: what would happen to it, and why."""

from typing import Any

import pytest

from nezha.admission.explain import explain
from nezha.admission.rules import Rule
from nezha.admission.target import ClusterTrust, Target
from nezha.errors import ReviewError

TARGET = Target(("10.0.0.1",), ("a.test",), ClusterTrust())
RULES = (Rule("r", "team", "vision"),)
LABELS = {"team": "vision"}


def told(*objects: Any) -> list[str]:
    return list(explain(objects, RULES, TARGET, "default"))


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": LABELS}, "spec": spec}


def test_an_injection_is_told_operation_by_operation() -> None:
    own = [{"ip": "10.1.1.1", "hostnames": ["x.test"]}]
    lines = told(pod(hostAliases=own))
    assert lines[0] == "Pod default/p: injected by the rule r"
    assert lines[1:3] == ["  add /spec/hostAliases/-", '    {"ip": "10.0.0.1", "hostnames": ["a.test"]}']
    assert lines[-2:] == ["  add /metadata/annotations", '    {"nezha.io/injected": "r"}']


def test_a_list_of_values_is_one_line_each() -> None:
    lines = told(pod(containers=[{"name": "c"}]))
    start = lines.index("  add /spec/containers/0/env")
    assert lines[start + 1] == '    {"name": "SSL_CERT_FILE", "value": "/etc/nezha-trust/ca-bundle.crt"}'
    assert lines[start + 5].startswith("  add ")


def test_why_a_pod_is_not_injected_is_told() -> None:
    lines = told(pod(os={"name": "windows"}))
    assert lines == [
        "Pod default/p: not injected, although the rule r asks for it",
        "  warning: not injected: it runs on Windows, where nothing can be made to trust Nezha",
    ]


def test_what_is_left_alone_is_told_with_the_reason() -> None:
    assert told({"metadata": {}}) == [
        "Pod default/without a name: left alone: no rule matches its labels, and it has no annotation nezha.io/inject"
    ]


def test_a_workload_is_told_by_its_group_and_namespace() -> None:
    metadata = {"generateName": "j-", "namespace": "train", "labels": LABELS}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": {}}}}
    assert told(job) == [
        "Job train/j-: stamped: its pods will be injected by the rule r, each when it is made",
        "  add /spec/template/metadata",
        '    {"annotations": {"nezha.io/inject": "r"}}',
    ]


def test_each_object_of_a_list_is_told() -> None:
    assert len([line for line in told({"kind": "List", "items": [pod(), pod()]}) if line.startswith("Pod")]) == 2


def test_a_malformed_object_is_refused() -> None:
    with pytest.raises(ReviewError, match="spec: 'x' is not a mapping"):
        told({**pod(), "spec": "x"})
