"""What stands in the cluster while the tests run: the bundled origin, and Nezha as the chart installs it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from charts.readme import CHART
from tests.cluster.kube import OPTED_IN, Failed, Kubectl, namespace, pod, pod_spec, until
from tests.real.helm import helm

NEZHA = "nezha"
SPACE = "nezha-test-origin"
TRIED = "nezha-test-tried"
WEB = "www.cs.toronto.edu"
BUCKET_HOST = "imagenet.s3.us-east-1.amazonaws.com"
SIZE = 20_000_003
PATH = "/data"

_ORIGIN = f"http://origin.{SPACE}.svc.cluster.local:8080"
VALUES: dict[str, Any] = {
    "cache": {"size": "1GiB", "drain": "5s"},
    "persistence": {"enabled": False, "size": "2Gi"},
    "trust": {"overlap": "20s"},
    "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "2Gi"}},
    "origins": [
        {"name": "toronto", "dialect": "http", "hosts": [WEB], "fresh": "1h", "connect": _ORIGIN},
        {"name": "imagenet", "dialect": "s3", "buckets": ["imagenet"], "regions": ["us-east-1"], "connect": _ORIGIN},
    ],
}
"""What the tests install, but for the image."""


class Origin:
    """What the origin's pod has seen."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def stats(self) -> dict[str, int]:
        """Its totals: requests, bytes_sent, connections, conditional."""
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/_stats').read().decode())"
        found: dict[str, int] = json.loads(
            self._kubectl("-n", SPACE, "exec", "deploy/origin", "--", "python3", "-c", script)
        )
        return found


def origin_objects(image: str) -> list[dict[str, Any]]:
    """The origin's namespace, pod and Service."""
    labels = {"app": "origin"}
    spec = pod_spec(f"exec python3 -m tests.origin --host 0.0.0.0 --port 8080 --path {PATH} --size {SIZE}")
    spec["restartPolicy"] = "Always"
    spec["containers"][0] |= {
        "image": image,
        "readinessProbe": {"httpGet": {"path": "/_stats", "port": 8080}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "origin", "namespace": SPACE}
    return [
        namespace(SPACE),
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
    ]


class Stage:
    """Where the chart is installed: one release at a time, for a cluster holds one Nezha."""

    def __init__(self, kubectl: Kubectl, image: str, directory: Path) -> None:
        self.kubectl = kubectl
        self._image = image
        self._directory = directory
        self._standing: dict[str, Any] | None = None
        try:
            kubectl("get", "namespace", NEZHA)
        except Failed:
            return
        raise AssertionError("this cluster has a namespace `nezha` already: the tests would harm what is in it")

    def helm(self, *words: str, seconds: float = 150) -> str:
        """What Helm prints. Raises Refused."""
        return helm(*words, f"--kubeconfig={self.kubectl.kubeconfig}", seconds=seconds)

    def install(self, values: Mapping[str, Any] = VALUES, *words: str) -> None:
        """Installs the chart, or upgrades to these values; nothing where they are in force."""
        if values == self._standing:
            return
        name, _, tag = self._image.rpartition(":")
        path = self._directory / "values.yaml"
        path.write_text(yaml.safe_dump({**values, "image": {"repository": name, "tag": tag}}))
        self._standing = None
        restricted = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.kubectl.apply(namespace(NEZHA, **restricted))
        wait = ["--wait", "--timeout=120s", "--force-conflicts", *words]  # other tests have scaled by kubectl
        self.helm("upgrade", "--install", "nezha", str(CHART), "-n", NEZHA, "--values", str(path), *wait)
        self._standing = dict(values)

    def ready(self, values: Mapping[str, Any] = VALUES) -> None:
        """The chart with these values, ready to inject."""
        self.install(values)
        until(lambda: not problems(self.kubectl), "Nezha's parts in order")
        until(lambda: ca_bundle(self.kubectl), "caBundle")
        # The API server and kube-proxy learn of the webhook in their own time, and until then nobody is called.
        self.kubectl.apply(namespace(TRIED, **OPTED_IN))
        tried = pod(TRIED, "tried", "true")
        until(lambda: "hostAliases" in self.kubectl.create(tried, "--dry-run=server")["spec"], "an injected pod")

    def forget(self) -> None:
        """Whatever is installed now is not what was: the next installation is made in any case."""
        self._standing = None

    def clear(self) -> None:
        """Uninstalls, and removes what an uninstall leaves."""
        self.forget()
        self.helm("uninstall", "nezha", "-n", NEZHA, "--ignore-not-found", "--wait", "--timeout=90s")
        self.kubectl("delete", "namespace", NEZHA, TRIED, "--ignore-not-found", "--timeout=90s", seconds=120)
        self.kubectl("delete", "clustertrustbundle", "nezha-trust", "--ignore-not-found")


_ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(f"http://127.0.0.1:8080{sys.argv[1]}")
except urllib.error.HTTPError as error:
    answer = error
print(answer.read().decode())
"""


def inside(kubectl: Kubectl, path: str) -> str:
    """What a page of Nezha's cache port says."""
    return kubectl("-n", NEZHA, "exec", "statefulset/nezha", "--", "python3", "-c", _ASK, path)


def problems(kubectl: Kubectl) -> list[str]:
    """What is not in order, by readiness detail; an empty list says that all is."""
    return [line for line in inside(kubectl, "/readyz?verbose").splitlines() if line.startswith(("--", "no"))]


def metric(kubectl: Kubectl, name: str, *labels: str) -> float:
    """The sum of a metric's series that have all of `labels` (`name="value"`)."""
    lines = (line for line in inside(kubectl, "/metrics").splitlines() if line.partition("{")[0].split()[:1] == [name])
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels))


def ca_bundle(kubectl: Kubectl) -> str:
    """What the API server trusts when it calls the webhook, base64; empty where a webhook has none."""
    webhooks = kubectl.get("mutatingwebhookconfiguration", "nezha")["webhooks"]
    given = {webhook["clientConfig"].get("caBundle", "") for webhook in webhooks}
    return given.pop() if len(given) == 1 else ""
