"""One cluster, one Nezha in it and one origin for all tests; each test has a namespace of its own.

KUBECONFIG names a cluster; without it `shared/cluster/up.sh` makes one. Images are imported into the containerd of that
one; for a cluster elsewhere NEZHA_TEST_IMAGE and NEZHA_TEST_CLIENT name images that it can pull.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import image
from tests.cluster.kube import CLIENT, OPTED_IN, Kubectl, namespace, until
from tests.cluster.scene import SPACE, Origin, Stage, origin_objects
from tests.real import container
from tests.real.servers import missing

PARTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nezha-parts"
KUBERNETES = Path(os.environ.get("K8S_CACHE") or PARTS / "kubernetes")
RUN = Path("/run/k8s-vm")
SCRIPTS = image.ROOT.parent / "shared" / "cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is here, and gives it the time that a cluster takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(300, func_only=True))  # the first build of a cluster takes a while


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """The cluster: KUBECONFIG's, the one that runs on this machine, or one that is made and ended here."""
    os.environ["PATH"] = f"{KUBERNETES / 'bin'}:{os.environ.get('PATH', '')}"
    if named := os.environ.get("KUBECONFIG"):
        yield Kubectl(named)
        return
    running = _running()
    if running is not None and running.answers():
        yield running
        return
    if not (SCRIPTS / "up.sh").exists():
        missing("KUBECONFIG is not set, and shared/cluster/up.sh is not there")
    elif os.geteuid():
        missing("KUBECONFIG is not set, and only root can start a cluster")
    if running is not None:  # its processes were ended, what it left on the machine was not
        subprocess.run([SCRIPTS / "down.sh", Path(running.kubeconfig).parent], check=True, capture_output=True)
    state = tmp_path_factory.mktemp("cluster")
    log = state / "up.log"
    with log.open("w") as file:
        done = subprocess.run([SCRIPTS / "up.sh", state], stdout=file, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, log.read_text()[-3000:]
    yield Kubectl(f"{state}/admin.kubeconfig")
    subprocess.run([SCRIPTS / "down.sh", state, "--purge"], check=True, capture_output=True)


def _running() -> Kubectl | None:
    """The cluster of shared/cluster that was started on this machine, whether or not it still runs."""
    directory = RUN / "dir"
    return Kubectl(f"{directory.read_text().strip()}/admin.kubeconfig") if directory.exists() else None


@pytest.fixture(scope="session")
def images(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The names of Nezha's image and of the clients'."""
    names = [os.environ.get("NEZHA_TEST_IMAGE"), os.environ.get("NEZHA_TEST_CLIENT")]
    base, socket = KUBERNETES / "images" / "python.tar", RUN / "containerd.sock"
    if not all(names) and not (base.exists() and socket.exists()):
        missing("the cluster is not shared/cluster's: name its images by NEZHA_TEST_IMAGE and NEZHA_TEST_CLIENT")
    ctr = ["ctr", "-a", str(socket), "-n", "k8s.io", "images"]
    directory, made = tmp_path_factory.mktemp("images"), []
    parts = ((f"localhost/nezha:test-{uuid.uuid4().hex[:8]}", _write_nezha), (CLIENT, _write_client))
    for number, (name, write) in enumerate(parts):
        if not names[number]:
            write(name, directory / f"{number}.tar")
            subprocess.run([*ctr, "import", "--local", directory / f"{number}.tar"], check=True, capture_output=True)
            names[number] = name
            made.append(name)
    shutil.rmtree(directory)
    yield str(names[0]), str(names[1])
    if made:
        subprocess.run([*ctr, "rm", *made], check=True, capture_output=True)


def _write_nezha(name: str, file: Path) -> None:
    """The image that `make image` builds."""
    container.build(name)
    container.archive(name, file)
    container.podman("rmi", "--force", name, may_fail=True)


def _write_client(name: str, file: Path) -> None:
    """The clients and the bundled origin, on the cluster's own Python image."""

    def fill(root: Path) -> None:
        image.pip_install(root / "opt" / "site", "boto3<1.44")
        image.add_program(root, "curl")
        image.add_program(root, "prometheus")

    kept = image.kept_layer(PARTS / "images", "client 2: boto3<1.44, curl, prometheus", fill)
    origin = [(path, f"opt/origin/tests/{path.name}") for path in (image.ROOT / "tests").glob("*.py")]
    layers = [kept.read_bytes(), image.layer(origin)]
    image.write_image(KUBERNETES / "images" / "python.tar", file, name, layers, _CLIENT_CONFIG)


_CLIENT_CONFIG: dict[str, Any] = {
    "Cmd": ["sleep", "3600"],
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH=/opt/site:/opt/origin",
        "PYTHONUNBUFFERED=1", "LD_LIBRARY_PATH=/opt/lib",
    ],
}  # fmt: skip


@pytest.fixture(scope="session")
def origin(kubectl: Kubectl, images: tuple[str, str]) -> Iterator[Origin]:
    """The bundled origin: a pod that serves one object and counts."""
    kubectl.apply(*origin_objects(images[1]))
    kubectl("-n", SPACE, "rollout", "status", "deployment/origin", "--timeout=60s")
    yield Origin(kubectl)
    kubectl("delete", "namespace", SPACE, "--wait=false")


@pytest.fixture(scope="session")
def stage(kubectl: Kubectl, images: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where the chart is installed."""
    made = Stage(kubectl, images[0], tmp_path_factory.mktemp("values"))
    yield made
    made.clear()


@pytest.fixture
def nezha(stage: Stage, origin: Origin) -> Kubectl:
    """Nezha by the chart, ready to inject, with the bundled origin behind it."""
    del origin
    stage.ready()
    return stage.kubectl


@pytest.fixture
def space(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that has opted in."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl.apply(namespace(name, **OPTED_IN))
    until(lambda: kubectl.get("-n", name, "serviceaccount", "default"), "service account")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def plain_space(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that has not."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl.apply(namespace(name))
    until(lambda: kubectl.get("-n", name, "serviceaccount", "default"), "service account")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
