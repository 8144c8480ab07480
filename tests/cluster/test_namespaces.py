"""The bundle as a ConfigMap in each namespace that opted in: Nezha with `trust.distribution: ConfigMap`."""

import pytest

from tests.cluster.kube import OPTED_IN, Failed, Kubectl, namespace, pod, until
from tests.cluster.scene import VALUES, Stage
from tests.cluster.test_trust import READ
from tests.cluster.test_whole_way import DIGEST, finished


@pytest.fixture
def in_namespaces(stage: Stage, nezha: Kubectl) -> Kubectl:
    """Nezha with the right to write ConfigMaps instead."""
    del nezha
    stage.ready({**VALUES, "trust": {**VALUES["trust"], "distribution": "ConfigMap"}})
    return stage.kubectl


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
