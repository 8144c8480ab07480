"""Helm as the tests use it: the chart with some values, as objects."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from charts.readme import CHART
from nezha.admission.policy import render
from nezha.admission.rules import parse
from nezha.admission.target import ClusterTrust, Target
from tests.real.servers import program

VARIANTS = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
Object = dict[str, Any]


class Refused(AssertionError):
    """Helm said no; the text is what it said."""


def helm(*words: str, stdin: str | None = None, seconds: float = 60) -> str:
    """What it prints. Raises Refused."""
    done = subprocess.run(
        [program("helm"), *words], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def template(*values: Path | Mapping[str, Any], release: str = "nezha", namespace: str = "nezha") -> list[Object]:
    """The objects of the chart, its tests' too; for the newest Kubernetes."""
    files = [word for each in values if isinstance(each, Path) for word in ("--values", str(each))]
    given = [word for each in values if not isinstance(each, Path) for word in _given(each)]
    apis = ["--api-versions", "certificates.k8s.io/v1/ClusterTrustBundle"]
    text = helm("template", release, str(CHART), "--namespace", namespace, *apis, *files, *given)
    return [each for each in yaml.safe_load_all(text) if each]


def _given(values: Mapping[str, Any]) -> Iterable[str]:
    for key, value in values.items():
        yield from ("--set-json", f"{key}={json.dumps(value)}")


def only(objects: Iterable[Object], kind: str, name: str | None = None) -> Object:
    """The one object of a kind, or the one of a name."""
    (found,) = [
        each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])
    ]  # fmt: skip
    return found


def pod_specs(objects: Iterable[Object]) -> dict[str, Object]:
    """All pods that the objects make, by kind and name."""
    found = {}
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            found[name] = each["spec"]
        elif "template" in (each.get("spec") or {}):
            found[name] = each["spec"]["template"]["spec"]
    return found


def policies() -> Mapping[str, Any]:
    """The values of policy mode, for one rule and one host."""
    target = Target(("10.96.7.7",), ("www.cs.toronto.edu",), ClusterTrust(), wants_trust=True, is_ready=True)
    objects = render(parse("- {name: training, app: nezha.io/cache, label: 'true'}"), target)
    return {
        "webhook.enabled": False,
        "policy": {"enabled": True, "manifest": yaml.safe_dump_all(objects)},
        "service.clusterIP": "10.96.7.7",
        "origins": [{"name": "toronto", "dialect": "http", "hosts": ["www.cs.toronto.edu"]}],
    }


def schemas(directory: Path) -> Path:
    """Kubernetes' own schemas as kubeconform reads them: of `kubernetes_validate`, with their references local."""
    source = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local-strict"
    for path in source.glob("*.json"):
        schema = json.loads(path.read_text())
        schema.pop("$id", None)
        text = json.dumps(schema).replace('"/api/_definitions.json#', '"_definitions.json#')
        (directory / path.name).write_text(text)
    return directory
