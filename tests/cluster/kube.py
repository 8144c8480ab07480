"""kubectl, as the tests use it: what an administrator types, with the answers as values."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

CLIENT = "localhost/nezha-test-client:1"
"""Python with boto3, wget, curl and Prometheus, and the tests' scripted origin."""

LABEL = {"nezha.io/cache": "true"}
OPTED_IN = {"hostaliases-injector": "enabled"}
_RESTRICTED = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 65534,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


class Failed(AssertionError):
    """kubectl said no; the text is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster, with or without a user's rights."""

    kubeconfig: str
    arguments: tuple[str, ...] = ()

    def __call__(self, *words: str, stdin: str | None = None, seconds: float = 90) -> str:
        """What it prints. Raises Failed."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *self.arguments, *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            raise Failed(f"kubectl {' '.join(words)}: {done.stderr.strip()}{done.stdout[-2000:]}")
        return done.stdout

    def answers(self) -> bool:
        """Whether the cluster is there."""
        try:
            return self("get", "--raw", "/readyz", seconds=20) == "ok"
        except (Failed, subprocess.TimeoutExpired, FileNotFoundError):
            return False

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Applies objects."""
        self("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def create(self, document: Mapping[str, Any], *words: str) -> Any:
        """Creates an object; what has become of it, warnings apart."""
        return json.loads(self("create", "-f", "-", "-o", "json", *words, stdin=yaml.safe_dump(document)))

    def warnings(self, document: Mapping[str, Any], *words: str) -> str:
        """What it says beside the result of creating an object, in a dry run."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", "create", "--dry-run=server", "-f", "-", *words]
        done = subprocess.run(
            command, input=yaml.safe_dump(document), capture_output=True, text=True, timeout=30, check=True
        )
        return done.stderr

    def get(self, *words: str) -> Any:
        """Objects as JSON."""
        return json.loads(self("get", *words, "-o", "json"))

    def logs(self, namespace: str, what: str) -> str:
        """What a pod's container wrote."""
        return self("-n", namespace, "logs", what, "--all-containers")


def until(is_so: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What the look gives as soon as it is true; a failing kubectl counts as not yet."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            if last := is_so():
                return last
        except Failed as error:
            last = error
        time.sleep(0.2)
    raise AssertionError(f"{what}: not in {seconds} s; last: {last}")


def namespace(name: str, **labels: str) -> dict[str, Any]:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod_spec(script: str, *, command: tuple[str, ...] = ("sh", "-euc")) -> dict[str, Any]:
    """A pod that runs a script once, as the strictest policy allows it. Nothing in it knows of Nezha."""
    container = {
        "name": "main",
        "image": CLIENT,
        "command": [*command, script],
        "securityContext": _RESTRICTED,
        "workingDir": "/tmp",
    }
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}


def pod(space: str, name: str, script: str, labels: Mapping[str, str] = LABEL, **annotations: str) -> dict[str, Any]:
    """A bare pod."""
    metadata = {"name": name, "namespace": space, "labels": dict(labels), "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(script)}


def job(space: str, name: str, script: str, labels: Mapping[str, str] = LABEL) -> dict[str, Any]:
    """A Job; the labels are its pod's."""
    template = {"metadata": {"labels": dict(labels)}, "spec": pod_spec(script)}
    metadata = {"name": name, "namespace": space}
    spec = {"backoffLimit": 0, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def workload(
    kind: str, space: str, name: str, *, labels: Mapping[str, str], pod_labels: Mapping[str, str]
) -> dict[str, Any]:
    """A workload of any kind that sleeps; `labels` are its own, `pod_labels` its template's."""
    template = {"metadata": {"labels": {"app": name, **pod_labels}}, "spec": pod_spec("sleep 3600")}
    metadata = {"name": name, "namespace": space, "labels": dict(labels)}
    if kind in ("Job", "CronJob"):
        spec: dict[str, Any] = {"template": template, "backoffLimit": 0}
        if kind == "CronJob":
            spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": spec}
    template["spec"]["restartPolicy"] = "Always"
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
