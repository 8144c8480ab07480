"""The examples: values for the chart, objects for Kubernetes, jobs that are redirected, programs that parse."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from charts.readme import CHART
from nezha.admission.explain import explain
from nezha.admission.rules import parse
from nezha.admission.target import ClusterTrust, Target
from nezha.loading import load
from nezha.routes import make_routes

EXAMPLES = CHART.parents[1] / "examples"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def values(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / folder / "values.yaml").read_text())
    return found


def objects(folder: str) -> list[dict[str, Any]]:
    """What its jobs are, as one applies them."""
    (path,) = [each for each in (EXAMPLES / folder).glob("*.yaml") if each.stem in ("job", "kubeflow-test")]
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_values_are_those_of_the_chart_and_objects_those_of_kubernetes(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if "kind" in document:
            kubernetes_validate.validate(document, "1.37", strict=True)
        else:
            jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_job_is_redirected_by_its_rule(folder: str) -> None:
    given = values(folder)
    rules = parse(yaml.safe_dump(given["rules"]))
    names = make_routes(load(yaml.safe_dump({"origins": given["origins"]}), {})).names
    target = Target(("10.96.0.7",), tuple(names), ClusterTrust(), wants_trust=True, is_ready=True)
    made = objects(folder)
    (space,) = [each["metadata"] for each in made if each["kind"] == "Namespace"]
    assert space["labels"]["hostaliases-injector"] == "enabled"
    (job,) = [each for each in made if each["kind"] == "Job"]
    assert job["metadata"]["namespace"] == space["name"]
    labels = job["metadata"].get("labels") or job["spec"]["template"]["metadata"]["labels"]  # what the API server does
    stamped = {**job, "metadata": {**job["metadata"], "labels": labels}}
    (first, *_) = explain([stamped], rules, target, "default")
    assert f"will be injected by the rule {given['rules'][0]['name']}" in first
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "annotations": {"nezha.io/inject": given["rules"][0]["name"]}},
        "spec": job["spec"]["template"]["spec"],
    }  # fmt: skip
    (first, *_) = explain([pod], rules, target, "default")
    assert "injected by the rule" in first, "nothing of the pod stands in the way"


def programs(folder: str) -> Iterator[str]:
    """The Python in an example."""
    for each in objects(folder):
        if each["kind"] == "ConfigMap":
            yield from (text for name, text in each["data"].items() if name.endswith(".py"))
        if each["kind"] == "Job":
            for container in each["spec"]["template"]["spec"]["containers"]:
                if container["command"][:2] == ["python", "-c"]:
                    yield container["command"][2]


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "demo"])
def test_the_programs_parse(folder: str) -> None:
    found = list(programs(folder))
    assert found
    for program in found:
        ast.parse(program)


def test_every_example_is_in_the_list() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert [folder for folder in FOLDERS if f"[{folder}]({folder})" not in text] == []
