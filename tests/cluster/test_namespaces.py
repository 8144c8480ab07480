"""The bundle as a ConfigMap in each namespace that opted in: Nezha with the rights of `deploy/config-maps`."""

from collections.abc import Iterator

import pytest

from tests.cluster.image import ROOT
from tests.cluster.kube import OPTED_IN, Failed, Kubectl, namespace, pod, until
from tests.cluster.scene import NEZHA, problems
from tests.cluster.test_trust import READ
from tests.cluster.test_whole_way import DIGEST, finished


@pytest.fixture(scope="module")
def in_namespaces(nezha: Kubectl) -> Iterator[Kubectl]:
    """Nezha with the rights of `deploy/config-maps` instead."""
    _grant(nezha, "config-maps")
    yield nezha
    _grant(nezha, "cluster-trust-bundle")


def _grant(kubectl: Kubectl, variant: str) -> None:
    """Gives Nezha the rights of a variant, from which it takes its way when it starts."""
    kubectl("apply", "-f", str(ROOT / "deploy" / variant / "rights.yaml"))
    kubectl("-n", NEZHA, "rollout", "restart", "deployment/nezha")
    kubectl("-n", NEZHA, "rollout", "status", "deployment/nezha", "--timeout=60s")
    pods = ("-n", NEZHA, "pods", "-l", "app.kubernetes.io/name=nezha")
    until(lambda: len(kubectl.get(*pods)["items"]) == 1, "the old process gone, which still knew the other way")
    until(lambda: not problems(kubectl), "all in order")


def held(kubectl: Kubectl, space: str) -> str | None:
    """The bundle in a namespace."""
    try:
        found: str = kubectl.get("-n", space, "configmap", "nezha-trust")["data"]["ca-bundle.crt"]
    except Failed as error:
        if "not found" in str(error):
            return None
        raise
    return found


def test_a_namespace_gets_its_bundle_keeps_it_and_loses_it(in_namespaces: Kubectl, plain_space: str) -> None:
    kubectl, space = in_namespaces, plain_space
    assert held(kubectl, space) is None
    kubectl.apply(namespace(space, **OPTED_IN))
    bundle = until(lambda: held(kubectl, space), "the bundle")
    assert bundle.count("BEGIN CERTIFICATE") > 100
    kubectl("-n", space, "patch", "configmap", "nezha-trust", "--type=merge", "-p", '{"data": {"ca-bundle.crt": "x"}}')
    until(lambda: held(kubectl, space) == bundle, "repaired")
    kubectl("-n", space, "delete", "configmap", "nezha-trust")
    until(lambda: held(kubectl, space) == bundle, "made again")
    kubectl("label", "namespace", space, "hostaliases-injector-")
    until(lambda: held(kubectl, space) is None, "removed")


def test_pods_trust_by_the_config_map_at_once(in_namespaces: Kubectl, space: str) -> None:
    name = f"{space}-new"
    try:
        in_namespaces.apply(namespace(name, **OPTED_IN))
        until(lambda: in_namespaces.create(pod(name, "reads", READ)), "a service account")
        assert finished(in_namespaces, name, "pod", "reads").split()[0] == DIGEST
        volumes = in_namespaces.get("-n", name, "pod", "reads")["spec"]["volumes"]
        assert any(source.get("configMap", {}).get("name") == "nezha-trust" for each in volumes
                   for source in [each, *each.get("projected", {}).get("sources", ())])  # fmt: skip
    finally:
        in_namespaces("delete", "namespace", name, "--wait=false")
