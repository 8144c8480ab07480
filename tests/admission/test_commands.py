"""`nezha admission explain` and `nezha policy render`, as a person runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.serving import document, run_here, written

ORIGIN = {"name": "web", "dialect": "http", "hosts": ["a.test"]}
POD = {"kind": "Pod", "metadata": {"name": "p", "labels": {"team": "vision"}}, "spec": {"containers": []}}
RULES = "- {name: r, app: team, label: vision}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump_all([POD, None, {**POD, "metadata": {"name": "q"}}]))
    return written(tmp_path, document(tmp_path, ORIGIN, admission={"rules_file": str(tmp_path / "rules.yaml")}))


def test_explain_tells_of_each_object(config: Path) -> None:
    code, told, errors = run_here(
        "admission", "explain", "-f", config.parent / "pod.yaml", "--config", config, "-n", "train"
    )
    assert (code, errors) == (0, "")
    lines = told.splitlines()
    assert lines[0] == f"assumed: the cache is ready, the trust bundle is there; rules in {config.parent}/rules.yaml: 1"
    assert lines[1] == "Pod train/p: injected by the rule r"
    assert '"ip": "<ClusterIP of proxy-cache.nezha>"' in told
    assert "Pod train/q: left alone: no rule matches" in lines[-1]


def test_explain_takes_an_address_other_rules_and_standard_input(config: Path) -> None:
    (config.parent / "other.yaml").write_text("[]")
    asked = {**POD, "metadata": {"name": "p", "annotations": {"nezha.io/inject": "true"}}}
    arguments = ("-f", "-", "--config", config, "--rules", config.parent / "other.yaml", "--address", "FD00::0:1")
    code, told, _ = run_here("admission", "explain", *arguments, given=json.dumps(asked))
    assert code == 0
    assert "other.yaml: 0\n" in told
    assert '{"ip": "fd00::1", "hostnames": ["a.test"]}' in told


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 2, "No such file or directory: name a readable file with -f"),
        (b"\xff", 2, "not UTF-8 at byte 0"),
        (b"a: [", 2, "line 1, column 5: not usable YAML"),
        (b"- a", 1, "a list is not a mapping"),
        (b"kind: Pod\nspec: {}\nmetadata: {labels: {team: vision}, annotations: 5}", 1, "metadata.annotations: 5 is"),
    ],
)
def test_what_cannot_be_explained_is_told_in_a_line(config: Path, content: Any, code: int, message: str) -> None:
    file = config.parent / "bad.yaml"
    if content is not None:
        file.write_bytes(content)
    ended, _, errors = run_here("admission", "explain", "-f", file, "--config", config)
    assert (ended, len(errors.splitlines())) == (code, 1)
    assert message in errors


def test_a_bad_rule_is_told_with_its_file(config: Path) -> None:
    rules = config.parent / "rules.yaml"
    rules.write_text("- {name: r}")
    code, _, errors = run_here("policy", "render", "--config", config, "--address", "10.0.0.1")
    assert code == 2
    assert errors.splitlines() == [
        f"nezha: {rules}: [0].app: is required",
        f"{rules}: [0].label: is required",
    ]


def test_render_prints_what_kubectl_applies(config: Path) -> None:
    code, text, errors = run_here(
        "policy", "render", "--config", config, "--address", "10.0.0.1", "--address", "fd00::1"
    )
    assert (code, errors) == (0, "")
    documents = list(yaml.safe_load_all(text))
    assert len(documents) == 8
    assert "fd00::1" in documents[0]["spec"]["variables"][0]["expression"]


def test_render_needs_an_address(config: Path) -> None:
    code, text, errors = run_here("policy", "render", "--config", config)
    assert (code, text) == (2, "")
    assert "give the ClusterIP of proxy-cache.nezha by --address" in errors
    assert run_here("policy", "render", "--config", config, "--address", "x")[0] == 2
    tree = yaml.safe_load(config.read_text())
    tree["admission"]["address"] = "10.0.0.7"
    config.write_text(yaml.safe_dump(tree))
    assert "10.0.0.7" in run_here("policy", "render", "--config", config)[1]
