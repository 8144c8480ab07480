"""Trust in a real cluster: the bundle in both ways, rotation under load, shared CAs, and no right too many."""

import json
import threading
from typing import Any

import pytest

from tests.cluster.kube import Failed, Kubectl, job, pod, until
from tests.cluster.scene import NEZHA, PATH, VALUES, WEB, Stage, problems
from tests.cluster.test_whole_way import DIGEST

TWO = {**VALUES, "replicaCount": 2}
READ = f"curl -sSf -o out https://{WEB}{PATH} && sha256sum < out"
ACCOUNT = f"system:serviceaccount:{NEZHA}:nezha"


def ca(kubectl: Kubectl, *words: str) -> str:
    """`nezha ca`, in Nezha's pod."""
    return kubectl("-n", NEZHA, "exec", "statefulset/nezha", "--", "python3", "-m", "nezha", "ca", *words)


def signing(kubectl: Kubectl) -> dict[str, str]:
    """Which CA signs, by use."""
    return {use: found["signing"]["id"] for use, found in json.loads(ca(kubectl, "show", "--json")).items()}


def injects(kubectl: Kubectl, space: str) -> bool:
    """Whether a pod would be injected now."""
    return bool(kubectl.create(pod(space, "dry", "true"), "--dry-run=server")["spec"].get("hostAliases"))


# -- rights

_OWN = {
    ("namespaced", "services", "proxy-cache", "get list watch"),
    ("namespaced", "secrets", "nezha-ca", "get update"),
    ("namespaced", "leases.coordination.k8s.io", "nezha", "get update"),
    ("cluster", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "nezha", "get list patch watch"),
    ("cluster", "events", "", "create"),
    ("cluster", "clustertrustbundles.certificates.k8s.io", "nezha-trust", "create get list patch watch"),
}


def rights(kubectl: Kubectl, user: str, where: str) -> set[tuple[str, str, str]]:
    """Resource, name and verbs, as the API server knows them."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": where}}
    found = kubectl.create(review, f"--as={user}", "--validate=false")["status"]["resourceRules"]
    return {
        (
            ".".join(filter(None, (resource, group))),
            " ".join(rule.get("resourceNames", ())),
            " ".join(sorted(rule["verbs"])),
        )
        for rule in found
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_rights_are_exactly_those_of_the_manifests(nezha: Kubectl, plain_space: str) -> None:
    nobody = f"system:serviceaccount:{plain_space}:default"
    elsewhere = rights(nezha, ACCOUNT, plain_space) - rights(nezha, nobody, plain_space)
    assert elsewhere == {right[1:] for right in _OWN if right[0] == "cluster"}
    at_home = rights(nezha, ACCOUNT, NEZHA) - rights(nezha, nobody, NEZHA)
    assert at_home == {right[1:] for right in _OWN}


def test_nothing_was_refused_to_nezha(nezha: Kubectl) -> None:
    assert problems(nezha) == []
    written = nezha("-n", NEZHA, "logs", "statefulset/nezha")
    assert "forbidden" not in written
    assert "cluster_step_failed" not in written


# -- the cluster-wide bundle


def test_an_edited_cluster_trust_bundle_is_repaired(nezha: Kubectl) -> None:
    before = nezha.get("clustertrustbundle", "nezha-trust")["spec"]["trustBundle"]
    first = before[: before.index("-----END CERTIFICATE-----") + 26]
    nezha(
        "patch", "clustertrustbundle", "nezha-trust", "--type=merge", "-p", json.dumps({"spec": {"trustBundle": first}})
    )
    until(lambda: nezha.get("clustertrustbundle", "nezha-trust")["spec"]["trustBundle"] == before, "repaired")


# -- several replicas, and rotation


def test_replicas_share_their_cas_and_one_writes(stage: Stage, nezha: Kubectl) -> None:
    before = signing(nezha)
    stage.ready(TWO)
    names = nezha("-n", NEZHA, "get", "pods", "-l", "app.kubernetes.io/name=nezha", "-o", "name").split()
    assert len(names) == 2
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/ca.crt').read().decode())"
    served = {nezha("-n", NEZHA, "exec", name, "--", "python3", "-c", ask) for name in names}
    assert len(served) == 1
    assert signing(nezha) == before
    holder = nezha.get("-n", NEZHA, "lease", "nezha")["spec"]["holderIdentity"]
    assert holder.partition("_")[0] in {name.removeprefix("pod/") for name in names}


class Stream:
    """Pods made one after the other, in dry runs, and what went wrong."""

    def __init__(self, kubectl: Kubectl, space: str) -> None:
        self.made = 0
        self.wrong: list[str] = []
        self._kubectl, self._space = kubectl, space
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                if not injects(self._kubectl, self._space):
                    self.wrong.append("a pod passed unchanged")
            except Failed as error:
                self.wrong.append(str(error))
            self.made += 1


def test_a_rolling_update_of_two_lets_no_pod_pass_unchanged(stage: Stage, nezha: Kubectl, space: str) -> None:
    stage.ready(TWO)
    with Stream(nezha, space) as stream:
        nezha("-n", NEZHA, "rollout", "restart", "statefulset/nezha")
        nezha("-n", NEZHA, "rollout", "status", "statefulset/nezha", "--timeout=60s")
        seen = stream.made
        until(lambda: stream.made >= seen + 40, "pods made while the old process ends")
    assert stream.wrong == []


@pytest.mark.timeout(240, func_only=True)
def test_both_cas_rotate_under_a_stream_of_pods_while_others_run(nezha: Kubectl, space: str) -> None:
    before, certificates = signing(nezha), published(nezha)
    loop = f"while true; do if {READ} | grep -q {DIGEST}; then echo read; else echo failed; fi; sleep 0.3; done"
    nezha.create(job(space, "reads", loop))
    until(lambda: "read" in nezha.logs(space, "job/reads"), "a first read")
    with Stream(nezha, space) as stream:
        ca(nezha, "rotate")
        ca(nezha, "rotate", "admission")
        until(lambda: published(nezha) == certificates + 1, "the next CA published")
        # the kubelet brings a changed bundle into a running pod within about a minute; this makes it look now
        nezha("-n", space, "annotate", "pod", "-l", "job-name=reads", "touched=yes")
        until(lambda: all(after != before[use] for use, after in signing(nezha).items()), "the next CAs sign", 90)
        seen = stream.made
        until(lambda: stream.made >= seen + 20, "pods made after that")
    assert stream.wrong == []
    count = nezha.logs(space, "job/reads").count("read")
    until(lambda: nezha.logs(space, "job/reads").count("read") > count + 3, "reads after that")
    assert "failed" not in nezha.logs(space, "job/reads")
    nezha("-n", space, "delete", "job", "reads", "--cascade=foreground")


def published(kubectl: Kubectl) -> int:
    """How many certificates the bundle holds."""
    return str(kubectl.get("clustertrustbundle", "nezha-trust")["spec"]["trustBundle"]).count("BEGIN CERTIFICATE")


def test_rotating_now_names_the_pods_that_it_leaves_behind(stage: Stage, nezha: Kubectl, space: str) -> None:
    stage.ready({**VALUES, "rbac": {"injectedPods": True}})
    nezha.create(pod(space, "old", "sleep 3600"))
    nezha.create(pod(space, "other", "sleep 3600", labels={}))
    nezha("-n", space, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    said = ca(nezha, "rotate", "--now")
    assert f"{space}/old" in said.split()
    assert f"{space}/other" not in said
    until(lambda: injects(nezha, space), "injected with the new CA")
