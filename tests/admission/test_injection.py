"""What is done about one object: which are injected, which only stamped, which left alone, and what is told."""

from dataclasses import replace
from typing import Any

import jsonpatch
import pytest

from nezha.admission.injection import decide, inject
from nezha.admission.outcomes import Injected, Outcome, Passed, Stamped, Untouched
from nezha.admission.review import Review
from nezha.admission.rules import Alias, Rule
from nezha.admission.target import ClusterTrust, NamespaceTrust, Target
from nezha.admission.trust import VARIABLES
from nezha.errors import ReviewError

HOSTS = ("a.test", "b.test")
TARGET = Target(("10.0.0.1",), HOSTS, ClusterTrust(), dialects=frozenset({"http"}))
LABEL = {"team": "vision"}
RULES = (
    Rule("plain", "team", "vision"),
    Rule("fixed", "team", "speech", (Alias("10.9.9.9", ("other.test",)),), skipped=("_", "*.x", "y z", "-")),
    Rule("empty", "team", "none", ()),
)


def pod(labels: dict[str, str] | None = None, annotations: Any = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "labels": LABEL if labels is None else labels}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def injected(given: dict[str, Any], target: Target = TARGET) -> tuple[dict[str, Any], Injected]:
    """The pod after its injection, which a second review leaves alone."""
    outcome = inject(given, RULES, target)
    assert isinstance(outcome, Injected), outcome
    result = jsonpatch.apply_patch(given, list(outcome.operations))
    assert inject(result, RULES, target) == Untouched("all that would be added is there already")
    return result, outcome


def passed(given: dict[str, Any], target: Target = TARGET) -> Passed:
    outcome = inject(given, RULES, target)
    assert isinstance(outcome, Passed), outcome
    return outcome


def review(kind: str, content: dict[str, Any], *, group: str = "", operation: str = "CREATE", sub: str = "") -> Review:
    return Review("u", operation, group, kind, sub, "train", content)


def test_a_pod_gets_aliases_trust_and_the_mark() -> None:
    result, outcome = injected(pod())
    assert outcome.rule == "plain"
    assert outcome.warnings == ()
    spec = result["spec"]
    assert spec["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": list(HOSTS)}]
    assert [volume["name"] for volume in spec["volumes"]] == ["nezha-trust"]
    (container,) = spec["containers"]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == dict.fromkeys(
        VARIABLES, "/etc/nezha-trust/ca-bundle.crt"
    )
    assert container["volumeMounts"][0]["mountPath"] == "/etc/nezha-trust"
    assert len(container["volumeMounts"]) == 4
    assert result["metadata"]["annotations"] == {"nezha.io/injected": "plain"}


def test_every_container_trusts_and_an_ephemeral_one_without_a_subpath() -> None:
    more: dict[str, Any] = {"initContainers": [{"name": "i"}], "ephemeralContainers": [{"name": "e"}]}
    spec = injected(pod(**more))[0]["spec"]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        assert len(spec[kind][0]["env"]) == 4
    assert len(spec["initContainers"][0]["volumeMounts"]) == 4
    assert [mount["mountPath"] for mount in spec["ephemeralContainers"][0]["volumeMounts"]] == ["/etc/nezha-trust"]


def test_a_container_that_came_later_gets_what_it_lacks() -> None:
    """Reinvocation: another webhook added a sidecar to what was injected."""
    result, _ = injected(pod())
    result["spec"]["containers"].append({"name": "sidecar", "env": [{"name": "A", "value": "1"}]})
    again, outcome = injected(result)
    assert [operation["path"].split("/")[3] for operation in outcome.operations] == ["1"] * len(outcome.operations)
    assert [entry["name"] for entry in again["spec"]["containers"][1]["env"]] == ["A", *VARIABLES]


def test_what_the_pod_has_stays_in_front() -> None:
    given = pod(
        annotations={"x": "y"},
        hostAliases=[{"ip": "10.1.1.1", "hostnames": ["c.test"]}],
        volumes=[{"name": "data", "emptyDir": {}}],
        containers=[{"name": "c", "env": [{"name": "A", "value": "1"}],
                     "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    )  # fmt: skip
    result, _ = injected(given)
    assert result["metadata"]["annotations"] == {"x": "y", "nezha.io/injected": "plain"}
    assert [each["ip"] for each in result["spec"]["hostAliases"]] == ["10.1.1.1", "10.0.0.1"]
    assert [each["name"] for each in result["spec"]["volumes"]] == ["data", "nezha-trust"]
    (container,) = result["spec"]["containers"]
    assert container["env"][0] == {"name": "A", "value": "1"}
    assert container["volumeMounts"][0]["mountPath"] == "/data"


def test_the_same_pod_gets_the_same_patch() -> None:
    assert inject(pod(), RULES, TARGET) == inject(pod(), RULES, TARGET)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (pod(labels={}), "no rule matches"),
        (pod(labels={"team": "other"}, annotations={}), "no rule matches"),
        (pod(annotations={"nezha.io/inject": "false"}), "opted out"),
        (pod(annotations={"kubernetes.io/config.mirror": "h"}), "mirror pod"),
        (pod(labels={**LABEL, "app.kubernetes.io/name": "nezha"}), "Nezha's own"),
        ({}, "no rule matches"),
    ],
)
def test_a_pod_that_nobody_asked_for_is_left_alone(given: dict[str, Any], reason: str) -> None:
    outcome = inject(given, RULES, replace(TARGET, is_ready=False))
    assert isinstance(outcome, Untouched)
    assert reason in outcome.reason


def test_an_annotation_asks_for_a_rule_or_for_everything() -> None:
    assert injected(pod(labels={}, annotations={"nezha.io/inject": "plain"}))[1].rule == "plain"
    result, outcome = injected(pod(labels={}, annotations={"nezha.io/inject": "true"}))
    assert outcome.rule == "true"
    assert result["spec"]["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": list(HOSTS)}]
    assert result["metadata"]["annotations"]["nezha.io/injected"] == "true"


def test_a_mark_that_was_copied_is_corrected() -> None:
    result, _ = injected(pod(annotations={"nezha.io/injected": "of another pod"}))
    assert result["metadata"]["annotations"] == {"nezha.io/injected": "plain"}


def test_a_rules_own_aliases_to_other_hosts_need_no_trust() -> None:
    result, outcome = injected(pod(labels={"team": "speech"}), replace(TARGET, addresses=(), trust=None))
    assert result["spec"]["hostAliases"] == [{"ip": "10.9.9.9", "hostnames": ["other.test"]}]
    assert "volumes" not in result["spec"]
    assert outcome.warnings == ("nezha: rule fixed: cannot be host aliases: _, *.x, y z and 1 more",)


def test_a_rules_own_aliases_of_our_hosts_need_trust() -> None:
    rules = (Rule("own", "team", "vision", (Alias("10.9.9.9", ("a.test", "other.test")),)),)
    outcome = inject(pod(), rules, replace(TARGET, trust=None))
    assert isinstance(outcome, Passed)
    assert isinstance(inject(pod(), rules, TARGET), Injected)


def test_trust_comes_from_where_it_is() -> None:
    volumes = injected(pod(), replace(TARGET, trust=NamespaceTrust("m")))[0]["spec"]["volumes"]
    assert volumes[0]["configMap"]["name"] == "m"
    spec = injected(pod(), replace(TARGET, trust=None, wants_trust=False))[0]["spec"]
    assert set(spec) == {"containers", "hostAliases"}


def test_switches_are_set_with_and_without_trust_and_the_pods_own_stay() -> None:
    target = replace(TARGET, dialects=frozenset({"gcs"}))
    name = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
    (container,) = injected(pod(annotations={"nezha.io/trust": "own"}), target)[0]["spec"]["containers"]
    assert container["env"] == [{"name": name, "value": "false"}]
    own = [{"name": name, "value": "true"}]
    (container,) = injected(pod(containers=[{"name": "c", "env": own}]), target)[0]["spec"]["containers"]
    assert [entry["name"] for entry in container["env"]] == [name, *VARIABLES]
    assert container["env"][0] == own[0]


def test_a_pod_may_leave_out_mounts_or_variables() -> None:
    spec = injected(pod(annotations={"nezha.io/trust-mount": "false"}))[0]["spec"]
    assert [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]] == ["/etc/nezha-trust"]
    spec = injected(pod(annotations={"nezha.io/trust-variables": "false"}))[0]["spec"]
    assert "env" not in spec["containers"][0]
    assert len(spec["containers"][0]["volumeMounts"]) == 4


@pytest.mark.parametrize(
    ("given", "target", "word", "why"),
    [
        (pod(os={"name": "windows"}), TARGET, "unsuitable", "it runs on Windows"),
        (pod(), replace(TARGET, is_ready=False), "unready", "the cache is not ready"),
        (pod(), replace(TARGET, addresses=()), "unready", "the cache's address is not known yet"),
        (pod(), replace(TARGET, trust=None), "unready", "the trust bundle is not there for its namespace yet"),
        (pod(), replace(TARGET, hosts=()), "unsuitable", "no host is left to redirect"),
        (pod(labels={"team": "none"}), TARGET, "unsuitable", "no host is left to redirect"),
        (
            pod(annotations={"nezha.io/inject": "x"}),
            TARGET,
            "unsuitable",
            "nezha.io/inject names the rule 'x', which is not there",
        ),
        (
            pod(containers=[{"name": "c", "env": [{"name": "SSL_CERT_FILE", "value": "/x"}]}]),
            TARGET,
            "unsuitable",
            "container c: sets SSL_CERT_FILE itself",
        ),
        (
            pod(containers=[{"name": "c", "env": [{"name": "HTTPS_PROXY", "value": "http://p"}]}]),
            TARGET,
            "unsuitable",
            "container c: sets HTTPS_PROXY without a.test and 1 more in NO_PROXY",
        ),
    ],
)
def test_a_pod_that_could_not_use_it_passes_with_the_reason(
    given: dict[str, Any], target: Target, word: str, why: str
) -> None:
    outcome = passed(given, target)
    assert outcome.word == word
    assert outcome.warnings[0].startswith(f"nezha: not injected: {why}")


def test_every_obstacle_is_told_with_the_way_round_it() -> None:
    env = [{"name": "SSL_CERT_FILE", "value": "/x"}]
    mounts = [{"name": "m", "mountPath": "/etc/ssl"}]
    outcome = passed(pod(containers=[{"name": "c", "env": env, "volumeMounts": mounts}]))
    assert outcome.warnings == (
        "nezha: not injected: container c: sets SSL_CERT_FILE itself",
        "nezha: container c: mounts a volume of its own at /etc/ssl",
        'nezha: where that is meant: nezha.io/trust-mount or nezha.io/trust-variables: "false" leaves out its part, '
        "nezha.io/trust: own all of it",
    )


def test_a_pod_that_brings_its_own_trust_is_given_aliases_and_told_of_its_proxy() -> None:
    env = [{"name": "SSL_CERT_FILE", "value": "/x"}, {"name": "HTTPS_PROXY", "value": "http://p"}]
    given = pod(annotations={"nezha.io/trust": "own"}, containers=[{"name": "c", "env": env}])
    result, outcome = injected(given, replace(TARGET, trust=None))
    assert set(result["spec"]) == {"containers", "hostAliases"}
    assert outcome.warnings == ("nezha: container c: sets HTTPS_PROXY without a.test and 1 more in NO_PROXY",)


def test_an_alias_of_the_pods_own_wins_and_is_told() -> None:
    result, kept = injected(pod(hostAliases=[{"ip": "10.1.1.1", "hostnames": ["a.test"]}]))
    assert result["spec"]["hostAliases"][1] == {"ip": "10.0.0.1", "hostnames": ["b.test"]}
    assert kept.warnings == ("nezha: kept as the pod has them, at another address: a.test",)
    outcome = passed(pod(hostAliases=[{"ip": "10.1.1.1", "hostnames": list(HOSTS)}]))
    assert outcome.warnings == (
        "nezha: not injected: no host is left to redirect",
        "nezha: kept as the pod has them, at another address: a.test, b.test",
    )


WORKLOADS = [("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("batch", "Job")]


def workload(template: Any, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "w", "labels": LABEL, **metadata}, "spec": {"replicas": 1, "template": template}}


@pytest.mark.parametrize(("group", "kind"), WORKLOADS)
@pytest.mark.parametrize("metadata", [..., None, {"labels": {"app": "w"}}, {"annotations": {"x": "y"}}])
def test_a_workload_is_only_stamped(group: str, kind: str, metadata: Any) -> None:
    template = {"spec": {"containers": []}} | ({} if metadata is ... else {"metadata": metadata})
    given = workload(template)
    outcome = decide(review(kind, given, group=group), RULES, replace(TARGET, is_ready=False))
    assert isinstance(outcome, Stamped)
    assert outcome.rule == "plain"
    result = jsonpatch.apply_patch(given, list(outcome.operations))
    stamped = result["spec"]["template"].pop("metadata")
    assert stamped["annotations"]["nezha.io/inject"] == "plain"
    template.pop("metadata", None)
    assert result["spec"]["template"] == template
    assert {**result, "spec": 0} == {**given, "spec": 0}


def test_a_cron_job_is_stamped_where_its_pods_are_described() -> None:
    given = {"metadata": {"labels": LABEL}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}}}
    outcome = decide(review("CronJob", given, group="batch"), RULES, TARGET)
    assert isinstance(outcome, Stamped)
    assert outcome.operations == (
        {
            "op": "add",
            "path": "/spec/jobTemplate/spec/template/metadata",
            "value": {"annotations": {"nezha.io/inject": "plain"}},
        },
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (workload({"spec": {}}, labels={}), "no rule"),
        (workload({"spec": {}}, annotations={"nezha.io/inject": "false"}), "opted out"),
        (workload({"spec": {}}, annotations={"nezha.io/inject": "x"}), "names no rule"),
        (workload({"metadata": {"annotations": {"nezha.io/inject": "false"}}}), "says for itself"),
        (workload(None), "says for itself"),
        (workload({"spec": {}}, ownerReferences=[{"kind": "CronJob", "controller": True}]), "its controller"),
    ],
)
def test_a_workload_is_left_alone_where_somebody_else_decides(given: dict[str, Any], reason: str) -> None:
    outcome = decide(review("Job", given, group="batch"), RULES, TARGET)
    assert isinstance(outcome, Untouched)
    assert reason in outcome.reason


def test_an_owner_that_is_no_controller_does_not_matter() -> None:
    given = workload({"spec": {}}, ownerReferences=[{"kind": "Workflow", "controller": False}])
    assert isinstance(decide(review("Job", given, group="batch"), RULES, TARGET), Stamped)


@pytest.mark.parametrize(
    "asked",
    [
        review("Pod", pod(), operation="UPDATE"),
        review("Pod", {}, operation="DELETE"),
        review("Pod", pod(), sub="ephemeralcontainers"),
        review("Pod", pod(), group="metrics.k8s.io"),
        review("ReplicaSet", workload({"spec": {}}), group="apps"),
        review("Deployment", workload({"spec": {}}), group="extensions"),
    ],
)
def test_nothing_else_is_touched(asked: Review) -> None:
    assert isinstance(decide(asked, RULES, TARGET), Untouched)


def test_pods_of_controllers_are_injected() -> None:
    given = pod()
    given["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "r", "controller": True}]
    outcome: Outcome = decide(review("Pod", given), RULES, TARGET)
    assert isinstance(outcome, Injected)


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": [], "spec": {}},
        {"metadata": {"labels": "a"}},
        {"metadata": {"labels": LABEL, "annotations": []}},
        {"metadata": {"labels": LABEL}, "spec": "x"},
        {"metadata": {"labels": LABEL}, "spec": {"containers": "x"}},
        {"metadata": {"labels": LABEL}, "spec": {"volumes": [1]}},
    ],
)
def test_a_malformed_object_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ReviewError):
        decide(review("Pod", given), RULES, TARGET)


@pytest.mark.parametrize("spec", [{}, {"spec": None}, {"spec": {}}])
def test_a_pod_without_a_spec_is_not_patched_where_nothing_is(spec: dict[str, Any]) -> None:
    assert isinstance(inject({"metadata": {"labels": LABEL}, **spec}, RULES, TARGET), Untouched)
