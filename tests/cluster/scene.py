"""What stands in the cluster while the tests run: the bundled origin, and Nezha as its manifests install it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.image import ROOT
from tests.cluster.kube import Failed, Kubectl, namespace, pod_spec, until

NEZHA = "nezha"
SPACE = "nezha-test-origin"
WEB = "www.cs.toronto.edu"
BUCKET_HOST = "imagenet.s3.us-east-1.amazonaws.com"
SIZE = 20_000_003
PATH = "/data"

SETTINGS = f"""
cache: {{size: 1GiB, drain: 5s}}
admission: {{service: proxy-cache.nezha}}
tls: {{secret: nezha-ca, overlap: 20s}}
origins:
  - {{name: toronto, dialect: http, hosts: [{WEB}], fresh: 1h, connect: "http://origin.{SPACE}.svc.cluster.local:8080"}}
  - name: imagenet
    dialect: s3
    buckets: [imagenet]
    regions: [us-east-1]
    connect: "http://origin.{SPACE}.svc.cluster.local:8080"
"""


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


@contextmanager
def deployed(kubectl: Kubectl, image: str, variant: str, directory: Path) -> Iterator[None]:
    """Nezha by `deploy/VARIANT`, ready to inject; everything of it is removed at the end."""
    try:
        kubectl("get", "namespace", NEZHA)
    except Failed:
        pass
    else:
        raise AssertionError("this cluster has a namespace `nezha` already: the tests would harm what is in it")
    overlay = _overlay(directory, image, variant)
    try:
        kubectl("apply", "-k", str(overlay))
        kubectl("-n", NEZHA, "rollout", "status", "deployment/nezha", "--timeout=90s")
        until(lambda: not problems(kubectl), "Nezha's parts in order")
        until(lambda: ca_bundle(kubectl), "caBundle")
        yield
    finally:
        kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=60s")
        kubectl("delete", "clustertrustbundle", "nezha-trust", "--ignore-not-found")


def _overlay(directory: Path, image: str, variant: str) -> Path:
    """A kustomization above the manifests: another image, other settings, fewer resources."""
    shutil.copytree(ROOT / "deploy", directory, dirs_exist_ok=True)
    overlay = directory / "overlay"
    overlay.mkdir()
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nezha", "namespace": NEZHA}}
    small = [{"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests", "value": {"cpu": "100m"}}]
    name, _, tag = image.rpartition(":")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"../{variant}"],
        "images": [{"name": "nezha", "newName": name, "newTag": tag}],
        "patches": [
            {"patch": yaml.safe_dump({**settings, "data": {"nezha.yaml": SETTINGS}})},
            {"patch": yaml.safe_dump(small), "target": {"kind": "Deployment", "name": "nezha"}},
        ],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return overlay


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
    return kubectl("-n", NEZHA, "exec", "deploy/nezha", "--", "python3", "-c", _ASK, path)


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
