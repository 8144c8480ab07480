"""Policy mode: what `nezha policy render` prints does in the API server itself what the webhook does."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from nezha.admission.policy import render
from nezha.admission.rules import parse
from nezha.admission.target import ClusterTrust, Target
from tests.cluster.kube import LABEL, Kubectl, pod, until, workload
from tests.cluster.scene import NEZHA
from tests.cluster.test_admission import KINDS, template


def pods(space: str) -> dict[str, dict[str, Any]]:
    """Pods that are to be treated differently."""
    has_own = pod(space, "has-own", "true")
    has_own["spec"]["hostAliases"] = [{"ip": "192.0.2.1", "hostnames": ["www.cs.toronto.edu", "other.test"]}]
    obstacle = pod(space, "obstacle", "true")
    obstacle["spec"]["containers"][0]["env"] = [{"name": "SSL_CERT_FILE", "value": "/own.pem"}]
    init = pod(space, "init", "true")
    init["spec"]["initContainers"] = [{**init["spec"]["containers"][0], "name": "first"}]
    return {
        "labelled": pod(space, "labelled", "true"),
        "unlabelled": pod(space, "unlabelled", "true", labels={}),
        "named": pod(space, "named", "true", {}, **{"nezha.io/inject": "training"}),
        "opted-out": pod(space, "opted-out", "true", LABEL, **{"nezha.io/inject": "false"}),
        "own-trust": pod(space, "own-trust", "true", LABEL, **{"nezha.io/trust": "own"}),
        "no-mount": pod(space, "no-mount", "true", LABEL, **{"nezha.io/trust-mount": "false"}),
        "has-own": has_own,
        "obstacle": obstacle,
        "init": init,
    }


def outcome(made: dict[str, Any]) -> dict[str, Any]:
    """What matters of a pod that was admitted, without what is chance in every pod."""

    def plain(container: dict[str, Any]) -> dict[str, Any]:
        mounts = [each for each in container.get("volumeMounts", ()) if "kube-api-access" not in each["name"]]
        ordered = sorted(mounts, key=lambda each: each["mountPath"])
        return {"env": sorted(container.get("env", ()), key=lambda each: each["name"]), "mounts": ordered}

    spec = made["spec"]
    return {
        "annotations": made["metadata"].get("annotations"),
        "aliases": spec.get("hostAliases"),
        "volumes": [each for each in spec["volumes"] if "kube-api-access" not in each["name"]],
        "containers": [plain(each) for each in spec["containers"] + spec.get("initContainers", [])],
    }


@pytest.fixture
def policy(nezha: Kubectl, space: str) -> Iterator[dict[str, dict[str, Any]]]:
    """The policies in force and Nezha away; what the webhook made of the pods before."""
    by_webhook = {name: outcome(nezha.create(each, "--dry-run=server")) for name, each in pods(space).items()}
    rules = parse(nezha.get("-n", NEZHA, "configmap", "hostaliases-config")["data"]["config"])
    aliases = by_webhook["labelled"]["aliases"]
    address, hosts = aliases[0]["ip"], tuple(name for each in aliases for name in each["hostnames"])
    target = Target((address,), hosts, ClusterTrust(), wants_trust=True, is_ready=True)
    documents = render(rules, target)
    for each in documents:
        if "failurePolicy" in each["spec"]:
            each["spec"]["failurePolicy"] = "Fail"  # with Ignore an error in an expression would be silent
    nezha("-n", NEZHA, "scale", "statefulset/nezha", "--replicas=0")
    nezha("-n", NEZHA, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=nezha", "--timeout=60s")
    try:
        nezha.apply(*documents)
        yield by_webhook
    finally:
        nezha("delete", "-f", "-", stdin=yaml.safe_dump_all(documents))
        nezha("-n", NEZHA, "scale", "statefulset/nezha", "--replicas=1")
        nezha("-n", NEZHA, "rollout", "status", "statefulset/nezha", "--timeout=60s")


def test_policies_do_what_the_webhook_does(nezha: Kubectl, space: str, policy: dict[str, dict[str, Any]]) -> None:
    documents = pods(space)
    until(
        lambda: nezha.create(documents["labelled"], "--dry-run=server")["spec"].get("hostAliases"),
        "the policy in force",
    )
    by_policy = {name: outcome(nezha.create(each, "--dry-run=server")) for name, each in documents.items()}
    for name, found in by_policy.items():
        assert found == policy[name], name
    for kind in KINDS:
        document = workload(kind, space, "stamped", labels=LABEL, pod_labels={})
        until(partial(_is_stamped, nezha, document), f"{kind} stamped")


def _is_stamped(kubectl: Kubectl, document: dict[str, Any]) -> bool:
    made = template(kubectl.create(document, "--dry-run=server"))
    return made["metadata"].get("annotations") == {"nezha.io/inject": "training"} and "hostAliases" not in made["spec"]
