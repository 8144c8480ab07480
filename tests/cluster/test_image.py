"""The image in a pod of the strictest level: it does the whole main job by itself, on nothing but an empty `/tmp`."""

import json

from tests.cluster.kube import Kubectl, until

_STRICT = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
    "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def test_the_image_reads_cold_and_warm_in_a_restricted_pod(
    kubectl: Kubectl, images: tuple[str, str], plain_space: str
) -> None:
    kubectl("label", "namespace", plain_space, "pod-security.kubernetes.io/enforce=restricted")
    container = {
        "name": "demo", "image": images[0], "args": ["demo", "--size", "4MiB", "--json"], "securityContext": _STRICT,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }  # fmt: skip
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "demo", "namespace": plain_space}, "spec": spec}
    )

    def phase() -> str:
        return str(kubectl.get("-n", plain_space, "pod", "demo")["status"]["phase"])

    until(lambda: phase() in {"Succeeded", "Failed"}, "the pod has ended", seconds=120)
    told = json.loads(kubectl.logs(plain_space, "demo"))
    assert phase() == "Succeeded"
    assert told["identical"] is True
    assert told["hit_ratio"] == 0.5
