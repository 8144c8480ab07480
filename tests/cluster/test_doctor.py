"""`nezha doctor` in a real cluster: by an operator from outside, and in Nezha's pod with Nezha's own few rights."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.cluster.kube import LABEL, OPTED_IN, Kubectl, namespace, pod
from tests.cluster.scene import NEZHA


def operator(kubectl: Kubectl, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """`nezha doctor` with an operator's rights: its exit code and what it told, by subject."""
    environment = os.environ | {"KUBECONFIG": kubectl.kubeconfig}
    command = [sys.executable, "-m", "nezha", "doctor", "--json", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, {each["what"]: each for each in json.loads(done.stdout)}


def test_an_operator_is_told_step_by_step_what_a_pod_lacks(nezha: Kubectl, plain_space: str) -> None:
    space = plain_space
    nezha.create(pod(space, "train", "sleep 3600", labels={}))
    code, told = operator(nezha, "-n", space, "--pod", "train")
    assert code == 1
    assert {what for what, each in told.items() if each["verdict"] == "wrong"} == {
        f"namespace {space}",
        f"pod {space}/train",
    }
    nezha.apply(namespace(space, **OPTED_IN))
    nezha.create(pod(space, "injected", "sleep 3600", labels=LABEL))
    code, told = operator(nezha, "-n", space, "--pod", "injected")
    assert (code, {each["verdict"] for each in told.values()}) == (0, {"ok"})


def test_in_its_own_pod_nezha_sees_what_it_may_and_nothing_is_wrong(nezha: Kubectl) -> None:
    command = ("exec", "statefulset/nezha", "--", "python3", "-m", "nezha", "doctor", "--json")
    told = {each["what"]: each["verdict"] for each in json.loads(nezha("-n", NEZHA, *command))}
    assert {"Nezha": "ok", "the clock": "ok", "the webhook": "ok"}.items() <= told.items()
    assert "wrong" not in told.values()
