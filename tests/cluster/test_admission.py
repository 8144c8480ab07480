"""The webhook as a real API server calls it: every kind, dry runs, other webhooks, outages, changed rules."""

import base64
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kube import CLIENT, LABEL, OPTED_IN, Kubectl, namespace, pod, pod_spec, until, workload
from tests.cluster.scene import NEZHA, WEB, problems

KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def template(document: dict[str, Any]) -> dict[str, Any]:
    """The pod template of a workload of any kind."""
    spec = document["spec"]
    found: dict[str, Any] = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]
    return found


def aliased(spec: dict[str, Any]) -> set[str]:
    """The names that a pod is pointed at Nezha for."""
    return {name for alias in spec.get("hostAliases", ()) for name in alias["hostnames"]}


def test_a_pod_is_injected_and_a_dry_run_shows_it(nezha: Kubectl, space: str) -> None:
    address = nezha.get("-n", NEZHA, "service", "proxy-cache")["spec"]["clusterIP"]
    made = nezha.create(pod(space, "dry", "true"), "--dry-run=server")
    assert {alias["ip"] for alias in made["spec"]["hostAliases"]} == {address}
    assert WEB in aliased(made["spec"])
    assert made["metadata"]["annotations"]["nezha.io/injected"] == "training"
    variables = {each["name"] for each in made["spec"]["containers"][0]["env"]}
    assert {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} <= variables


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_is_stamped_and_nothing_else(nezha: Kubectl, space: str, kind: str) -> None:
    document = workload(kind, space, "stamped", labels=LABEL, pod_labels={})
    made = nezha.create(document, "--dry-run=server")
    assert template(made)["metadata"]["annotations"] == {"nezha.io/inject": "training"}
    assert "hostAliases" not in template(made)["spec"]
    # labels of its own, for a Job without any gets its template's
    plain = nezha.create(workload(kind, space, "plain", labels={"app": "x"}, pod_labels=LABEL), "--dry-run=server")
    assert "annotations" not in template(plain)["metadata"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job"])
def test_the_pods_of_a_stamped_workload_are_injected(nezha: Kubectl, space: str, kind: str) -> None:
    nezha.create(workload(kind, space, "w", labels=LABEL, pod_labels={}))
    pods = until(lambda: nezha.get("-n", space, "pods", "-l", "app=w")["items"], "a pod")
    assert WEB in aliased(pods[0]["spec"])


def test_annotations_opt_in_and_out(nezha: Kubectl, space: str) -> None:
    out = nezha.create(pod(space, "out", "true", LABEL, **{"nezha.io/inject": "false"}), "--dry-run=server")
    assert not aliased(out["spec"])
    named = nezha.create(pod(space, "named", "true", {}, **{"nezha.io/inject": "training"}), "--dry-run=server")
    assert WEB in aliased(named["spec"])


def test_a_pod_that_could_not_trust_passes_unchanged_with_a_warning_and_an_event(nezha: Kubectl, space: str) -> None:
    document = pod(space, "own", "true")
    document["spec"]["containers"][0]["env"] = [{"name": "SSL_CERT_FILE", "value": "/own.pem"}]
    assert "SSL_CERT_FILE" in nezha.warnings(document)
    made = nezha.create(document)
    assert not aliased(made["spec"])

    def events() -> list[Any]:
        found = nezha.get("-n", space, "events")["items"]
        return [each for each in found if each["source"].get("component") == "nezha"]

    told = until(events, "an Event")
    assert "SSL_CERT_FILE" in told[0]["message"]
    assert told[0]["involvedObject"]["name"] == "own"
    assert len(events()) == 1, "the dry run wrote none"


def test_a_deployment_older_than_its_namespaces_label_keeps_two_replica_sets_when_it_is_rolled(
    nezha: Kubectl, plain_space: str
) -> None:
    space = plain_space
    nezha.create(workload("Deployment", space, "old", labels=LABEL, pod_labels=LABEL))
    nezha("-n", space, "rollout", "status", "deployment/old", "--timeout=60s")
    nezha.apply(namespace(space, **OPTED_IN))
    nezha("-n", space, "rollout", "restart", "deployment/old")
    nezha("-n", space, "rollout", "status", "deployment/old", "--timeout=60s")
    pods = nezha.get("-n", space, "pods", "-l", "app=old", "--field-selector=status.phase=Running")["items"]
    assert any(WEB in aliased(each["spec"]) for each in pods)
    revision = nezha.get("-n", space, "deployment", "old")["metadata"]["annotations"][
        "deployment.kubernetes.io/revision"
    ]
    assert revision == "2", "it was made once and rolled once"
    time.sleep(3)  # a mutated ReplicaSet would have been replaced several times by now
    assert len(nezha.get("-n", space, "replicasets")["items"]) == 2


# -- beside another webhook

SIDECAR = """
import base64, http.server, json, ssl
PATCH = [{"op": "add", "path": "/spec/containers/-", "value": {
    "name": "sidecar", "image": "IMAGE", "command": ["sleep", "3600"]}}]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        has_it = any(each["name"] == "sidecar" for each in request["object"]["spec"]["containers"])
        response = {"uid": request["uid"], "allowed": True}
        if not has_it:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(PATCH).encode()).decode()}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def sidecar(nezha: Kubectl, plain_space: str, tmp_path: Path) -> Iterator[None]:
    """Another webhook, which adds a container and is called after Nezha's."""
    host = f"sidecar.{plain_space}.svc"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", tmp_path / "k", "-out", tmp_path / "c", "-subj", f"/CN={host}",
         "-addext", f"subjectAltName=DNS:{host}"],
        check=True, capture_output=True,
    )  # fmt: skip
    nezha("-n", plain_space, "create", "secret", "tls", "tls", f"--cert={tmp_path / 'c'}", f"--key={tmp_path / 'k'}")
    spec = pod_spec(SIDECAR.replace("IMAGE", CLIENT), command=("python3", "-c"))
    spec["volumes"] = [{"name": "tls", "secret": {"secretName": "tls"}}]
    spec["containers"][0] |= {
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    metadata = {"name": "sidecar", "namespace": plain_space, "labels": {"app": "sidecar"}}
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"z-{plain_space}"},
        "webhooks": [
            {
                "name": "sidecar.test.invalid",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {
                    "service": {"name": "sidecar", "namespace": plain_space},
                    "caBundle": base64.b64encode((tmp_path / "c").read_bytes()).decode(),
                },
                "objectSelector": {"matchLabels": {"test-sidecar": "yes"}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            }
        ],
    }
    service = {"selector": {"app": "sidecar"}, "ports": [{"port": 443, "targetPort": 8443}]}
    nezha.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        configuration,
    )
    nezha("-n", plain_space, "wait", "--for=condition=Ready", "pod/sidecar", "--timeout=60s")
    yield
    nezha("delete", "mutatingwebhookconfiguration", f"z-{plain_space}")


@pytest.mark.usefixtures("sidecar")
def test_a_container_that_another_webhook_adds_is_made_to_trust_too(nezha: Kubectl, space: str) -> None:
    document = pod(space, "both", "true", {**LABEL, "test-sidecar": "yes"})

    def both() -> Any:
        spec = nezha.create(document, "--dry-run=server")["spec"]
        return spec if len(spec["containers"]) == 2 else None

    spec = until(both, "the other webhook at work")
    main, added = spec["containers"]
    assert [each["name"] for each in main["env"]] == [each["name"] for each in added["env"]]
    assert [each["mountPath"] for each in main["volumeMounts"] if "nezha" in each["name"]] == [
        each["mountPath"] for each in added["volumeMounts"] if "nezha" in each["name"]
    ]
    names = [name for alias in spec["hostAliases"] for name in alias["hostnames"]]
    assert len(names) == len(set(names)), "the second pass added no alias again"


# -- outages and changes


def test_while_nezha_is_away_pods_start_unchanged(nezha: Kubectl, space: str) -> None:
    nezha("-n", NEZHA, "scale", "statefulset/nezha", "--replicas=0")
    nezha("-n", NEZHA, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=nezha", "--timeout=60s")
    try:
        made = nezha.create(pod(space, "alone", "true"))
        assert not aliased(made["spec"])
        until(lambda: nezha.get("-n", space, "pod", "alone")["status"]["phase"] == "Succeeded", "it ran")
    finally:
        nezha("-n", NEZHA, "scale", "statefulset/nezha", "--replicas=1")
        nezha("-n", NEZHA, "rollout", "status", "statefulset/nezha", "--timeout=60s")
    until(lambda: aliased(nezha.create(pod(space, "dry", "true"), "--dry-run=server")["spec"]), "injected again")


def test_changed_rules_take_effect_and_broken_ones_change_nothing(nezha: Kubectl, space: str) -> None:
    before = nezha.get("-n", NEZHA, "configmap", "hostaliases-config")["data"]["config"]
    other = pod(space, "dry", "true", {"team": "vision"})

    def write(rules: str) -> None:
        metadata = {"name": "hostaliases-config", "namespace": NEZHA}
        nezha.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": rules}})
        # the kubelet takes a changed ConfigMap over when it next looks at the pod: this makes it look
        nezha(
            "-n",
            NEZHA,
            "annotate",
            "pod",
            "-l",
            "app.kubernetes.io/name=nezha",
            f"touched={time.time()}",
            "--overwrite",
        )

    assert not aliased(nezha.create(other, "--dry-run=server")["spec"])
    try:
        write(before + "- name: vision\n  app: team\n  label: vision\n")
        until(lambda: aliased(nezha.create(other, "--dry-run=server")["spec"]), "the new rule", 120)
        write("- name: [broken")
        until(lambda: _problem(nezha), "the broken rules reported", 120)
        assert aliased(nezha.create(other, "--dry-run=server")["spec"]), "the last good ones stay"
    finally:
        write(before)
    until(lambda: not aliased(nezha.create(other, "--dry-run=server")["spec"]), "the old rules", 120)


def _problem(kubectl: Kubectl) -> bool:
    return any("rules" in each for each in problems(kubectl))
