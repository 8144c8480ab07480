"""The chart on a real cluster: each variant's objects are taken; it is installed, tried, upgraded and removed."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kube import Kubectl, job, until
from tests.cluster.scene import NEZHA, PATH, VALUES, WEB, Origin, Stage, ca_bundle
from tests.cluster.test_trust import READ
from tests.cluster.test_whole_way import DIGEST
from tests.real.helm import VARIANTS, policies, template
from tests.real.servers import program

DEFINITIONS = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml",
        ("servicemonitors", "podmonitors", "prometheusrules"),
    ),
    "github.com/cert-manager/cert-manager@v1.21.2": (
        "deploy/crds/{}.yaml",
        (
            "cert-manager.io_certificaterequests",
            "cert-manager.io_certificates",
            "cert-manager.io_clusterissuers",
            "cert-manager.io_issuers",
            "acme.cert-manager.io_challenges",
            "acme.cert-manager.io_orders",
        ),
    ),
}
"""Where the definitions of others' kinds are: modules, so that Go fetches them."""


@pytest.fixture(scope="module")
def definitions(kubectl: Kubectl) -> Iterator[None]:
    """The kinds of the Prometheus operator and of cert-manager, as these define them."""
    files = []
    for module, (pattern, kinds) in DEFINITIONS.items():
        done = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, check=True)
        files += [str(Path(json.loads(done.stdout)["Dir"]) / pattern.format(kind)) for kind in kinds]
    named = [word for file in files for word in ("-f", file)]
    kubectl("apply", "--server-side", *named)
    kubectl("wait", "--for=condition=Established", *named, "--timeout=30s")
    yield
    kubectl("delete", *named)


@pytest.mark.usefixtures("definitions")
@pytest.mark.parametrize("variant", [*VARIANTS, "policy"])
def test_the_api_server_takes_every_object_of_a_variant(kubectl: Kubectl, plain_space: str, variant: str) -> None:
    values = VARIANTS[variant] if variant in VARIANTS else policies()
    objects = template(values, {"tests.namespace": plain_space}, namespace=plain_space)
    # a dry run of a pod looks for its account, which a dry run does not make
    for account in (each for each in objects if each["kind"] == "ServiceAccount"):
        kubectl.create(account)
    dry = ("--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict")
    taken = kubectl("apply", *dry, "-f", "-", stdin=yaml.safe_dump_all(objects)).splitlines()
    assert len(taken) == len(objects)


# -- install, try, upgrade, uninstall


@pytest.fixture
def cert_manager(kubectl: Kubectl, definitions: None, tmp_path: Path) -> Iterator[None]:
    """cert-manager's two controllers that this needs, beside the cluster: for the certificates, and for caBundle."""
    del definitions
    with ExitStack() as stack:
        for name in ("cert-manager-controller", "cert-manager-cainjector"):
            log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
            command = [program(name), f"--kubeconfig={kubectl.kubeconfig}", "--leader-elect=false"]
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            stack.callback(process.terminate)
        yield


@pytest.fixture(scope="module")
def volume(kubectl: Kubectl) -> Iterator[None]:
    """A volume for the claim of the one replica: the cluster makes none by itself."""
    directory = tempfile.mkdtemp(prefix="nezha-volume-")
    Path(directory).chmod(0o777)
    name = Path(directory).name.replace("_", "-").lower()
    spec = {
        "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": directory},
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": NEZHA, "name": "cache-nezha-0"},
    }  # fmt: skip
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    yield
    kubectl("delete", "persistentvolume", name, "--wait=false")
    shutil.rmtree(directory)


SMALL: Mapping[str, Mapping[str, Any]] = {
    "default": {"persistence": {"enabled": True, "size": "2Gi"}},
    "empty-dir": {},
    "node-local": {"workload": "DaemonSet"},
    "replicas": {"replicaCount": 2, "trust": {"distribution": "ConfigMap"}},
    "split": {"roles": "split", "replicaCount": 2, "webhook": {"replicaCount": 2, "port": 10250}},
}
"""The variants of the chart's ci/, as small as this cluster is."""


@pytest.fixture
def empty(stage: Stage, origin: Origin) -> Iterator[Stage]:
    """A cluster without Nezha, before and after."""
    del origin
    stage.clear()
    yield stage
    stage.clear()


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.usefixtures("volume")
@pytest.mark.parametrize("variant", SMALL)
def test_a_variant_is_installed_tried_upgraded_and_removed(empty: Stage, variant: str) -> None:
    whole_life(empty, {**VALUES, **SMALL[variant]}, keeps_bytes=variant == "default")


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.usefixtures("cert_manager")
def test_the_monitored_variant_lives_with_certificates_of_cert_manager(empty: Stage) -> None:
    values = {**VALUES, **yaml.safe_load(VARIANTS["monitored"].read_text()), "origins": VALUES["origins"]}
    # cert-manager keeps the Secrets that it has made, unless it is told to own them
    whole_life(empty, values, leaves=["secret/nezha-webhook-certificate"])


def whole_life(
    stage: Stage, values: Mapping[str, Any], *, keeps_bytes: bool = False, leaves: Sequence[str] = ()
) -> None:
    """Installed, tried, upgraded and removed.

    `keeps_bytes`: what was read before the upgrade is a hit after it. `leaves`: what is there when it has gone.
    """
    kubectl = stage.kubectl
    stage.install(values)
    until(lambda: ca_bundle(kubectl), "caBundle")
    assert "hit" not in fetched(kubectl)
    before = kept(kubectl)
    stage.install({**values, "log": {"level": "debug"}})
    assert kept(kubectl) == before
    assert ("hit" in fetched(kubectl)) == keeps_bytes, "what lies on a claim is still there"
    tried = stage.helm("test", "nezha", "-n", NEZHA, "--logs", "--timeout=2m", seconds=400)
    assert "ok     the second read: nezha; hit" in tried
    stage.helm("uninstall", "nezha", "-n", NEZHA, "--wait", "--timeout=90s")
    until(lambda: left(kubectl) == list(leaves), "nothing else of it left, pods neither")
    for kind in ("mutatingwebhookconfigurations", "clusterroles", "clusterrolebindings"):
        assert "/nezha" not in kubectl("get", kind, "-o", "name")


def left(kubectl: Kubectl) -> list[str]:
    """What is still there in Nezha's namespace."""
    kinds = "all,secrets,leases,networkpolicies,roles,rolebindings,serviceaccounts,configmaps"
    names = kubectl("-n", NEZHA, "get", kinds, "-o", "name").split()
    return [name for name in names if "nezha" in name or "proxy-cache" in name or "hostaliases" in name]


def kept(kubectl: Kubectl) -> tuple[str, str, str]:
    """What an upgrade must not change: the CA, the address, and what the API server trusts."""
    secret = kubectl.get("-n", NEZHA, "secret", "nezha-ca")["data"]["ca.crt"]
    return secret, kubectl.get("-n", NEZHA, "service", "proxy-cache")["spec"]["clusterIP"], ca_bundle(kubectl)


_FETCH = f"""
import urllib.request
asked = urllib.request.Request("http://127.0.0.1:8080{PATH}?kept", headers={{"Host": "{WEB}"}})
with urllib.request.urlopen(asked) as answer:
    answer.read()
    print(answer.headers["Cache-Status"])
"""


def fetched(kubectl: Kubectl) -> str:
    """The Cache-Status of an object, asked in the first of the cache's pods."""
    selector = ("-l", "app.kubernetes.io/name=nezha,app.kubernetes.io/component=cache")
    names = kubectl("-n", NEZHA, "get", "pods", *selector, "--field-selector=status.phase=Running", "-o", "name")
    return kubectl("-n", NEZHA, "exec", sorted(names.split())[0], "--", "python3", "-c", _FETCH)


def test_upgrade_and_rollback_of_two_replicas_fail_no_read(stage: Stage, nezha: Kubectl, space: str) -> None:
    two = {**VALUES, "replicaCount": 2}
    stage.ready(two)
    loop = f"while true; do if {READ} | grep -q {DIGEST}; then echo read; else echo failed; fi; done"
    for name in ("one", "other"):
        nezha.create(job(space, name, loop))
        until(partial(reads, nezha, space, name), "a first read")
    stage.ready({**two, "log": {"level": "debug"}})
    stage.helm("rollback", "nezha", "-n", NEZHA, "--wait", "--timeout=90s", "--force-conflicts")
    stage.forget()
    for name in ("one", "other"):
        until(partial(reads, nezha, space, name, reads(nezha, space, name) + 3), "reads after it")
        assert "failed" not in nezha.logs(space, f"job/{name}")
    nezha("-n", space, "delete", "job", "one", "other", "--cascade=foreground")


def reads(kubectl: Kubectl, space: str, name: str, more_than: int = 0) -> int:
    """How often a job has read; 0 where that is not more than asked for."""
    count = kubectl.logs(space, f"job/{name}").count("read")
    return count if count > more_than else 0


def test_the_address_and_the_ca_outlive_an_uninstall_that_is_told_so(empty: Stage) -> None:
    values = {**VALUES, "service": {"keep": True}, "trust": {**VALUES["trust"], "keep": True}}
    empty.install(values)
    until(lambda: ca_bundle(empty.kubectl), "caBundle")
    before = kept(empty.kubectl)
    empty.helm("uninstall", "nezha", "-n", NEZHA, "--wait", "--timeout=90s")
    empty.forget()
    empty.install(values)
    until(lambda: ca_bundle(empty.kubectl), "caBundle")
    assert kept(empty.kubectl) == before
