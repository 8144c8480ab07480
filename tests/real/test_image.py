"""The image: what is in it, that two builds of it are the same, and that a container of it serves the main job."""

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nezha import __version__
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient
from tests.real import container, servers

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

USER = 10001
SIZE = 64 << 20
MOMENT = "1700000000"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image of the sources as they are, or that of NEZHA_BUILT_IMAGE, which is in the storage already."""
    if built := os.environ.get("NEZHA_BUILT_IMAGE"):
        yield built
        return
    name = f"localhost/nezha:test-{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", MOMENT)
        container.build(name)
    yield name
    container.podman("rmi", "--force", name, may_fail=True)


def files_of(image: str) -> set[Path]:
    """The places of the regular files in the image."""
    mounted = Path(container.podman("image", "mount", image).strip())
    try:
        found = (path for path in mounted.rglob("*") if path.is_file() and not path.is_symlink())
        return {path.relative_to(mounted) for path in found}
    finally:
        container.podman("image", "unmount", image)


def health(image: str) -> list[str]:
    """The health check's words."""
    return [str(word) for word in container.inspect(image)["Healthcheck"]["Test"]]


def test_it_is_small_and_holds_neither_a_shell_nor_an_installer(image: str) -> None:
    about = container.inspect(image)
    assert about["Size"] < 150e6
    files = files_of(image)
    programs = {path.name for path in files if path.parent.name in {"bin", "sbin"}}
    assert len(programs) == 2  # no shell, no package manager
    assert "nezha" in programs
    assert not {part for path in files for part in path.parts} & {"pip", "ensurepip", "idlelib", "tests"}
    assert Path("var/lib/dpkg/status.d/libc6") in files  # which package a library is of, for scanners


def test_it_says_what_it_is_and_runs_as_nobody_special(image: str) -> None:
    config = container.inspect(image)["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert len(config["Labels"]["org.opencontainers.image.revision"]) in {40, len("unknown")}
    assert health(image)[0] == "CMD"  # not CMD-SHELL
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8443/tcp"}


def test_a_second_build_gives_the_same_image(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", MOMENT)
    again = f"{image}-again"
    container.build(again, "--no-cache")
    try:
        assert container.inspect(again)["RootFS"] == container.inspect(image)["RootFS"]
        assert container.inspect(again)["Created"] == container.inspect(image)["Created"]
    finally:
        container.podman("rmi", "--force", again, may_fail=True)


@pytest.fixture
def state() -> Iterator[Path]:
    """What a pod would mount: settings, cache and CA, writable by the image's user."""
    with tempfile.TemporaryDirectory(prefix="nezha-image-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for each in ("cache", "tls"):
            (directory / each).mkdir()
            os.chown(directory / each, USER, USER)
        yield directory


def test_every_command_loads(image: str, state: Path) -> None:
    assert __version__ in container.run(image, "version")
    options = ("--volume", f"{state / 'cache'}:/tmp")
    assert json.loads(container.run(image, "demo", "--size", "1MiB", "--json", options=options))["identical"] is True
    assert "ModuleNotFoundError" not in container.run(image, "doctor", may_fail=True)


def options(state: Path) -> list[str]:
    places = {"nezha.yaml": "/etc/nezha/nezha.yaml:ro", "cache": "/var/cache/nezha", "tls": "/var/lib/nezha/tls"}
    return [word for name, place in places.items() for word in ("--volume", f"{state / name}:{place}")]


def is_ready(port: int) -> bool:
    return servers.status_of("127.0.0.1", port, "/readyz") == 200


async def digest(port: int) -> tuple[str, str]:
    """One read of the object: its digest and Cache-Status."""
    async with await RawClient.open("127.0.0.1", port) as client:
        answer = await client.get("/data", "data.test")
        assert answer.status == 200
        return hashlib.sha256(answer.body).hexdigest(), answer.get("cache-status") or ""


async def test_a_container_serves_the_main_job(image: str, state: Path) -> None:
    async with Origin() as origin:
        origin.serve("/data", Object(body=Pattern(SIZE), etag='"1"', cache_control="max-age=600"))
        port = await asyncio.to_thread(servers.free_port)
        settings = {
            "cache": {"listen": f"127.0.0.1:{port}", "size": "1GiB", "min_free": 0},
            "admission": {"listen": f"127.0.0.1:{await asyncio.to_thread(servers.free_port)}"},
            "origins": [{"name": "data", "dialect": "http", "hosts": ["data.test"], "connect": origin.url}],
        }
        await asyncio.to_thread((state / "nezha.yaml").write_text, yaml.safe_dump(settings))
        pod = container.running(image, *options(state))
        identity = await asyncio.to_thread(pod.__enter__)
        try:
            await asyncio.to_thread(servers.until, lambda: is_ready(port), "the container is ready")
            cold, asked = await digest(port), origin.count()
            warm = await digest(port)
            wanted = hashlib.sha256(pattern(SIZE)).hexdigest()
            assert (cold[0], warm[0]) == (wanted, wanted)
            assert cold[1] == "nezha; fwd=uri-miss; stored"
            assert warm[1].startswith("nezha; hit; ttl=")
            assert origin.count() == asked
            check = [word.replace("8080", str(port)) for word in (await asyncio.to_thread(health, image))[1:]]
            await asyncio.to_thread(container.podman, "exec", identity, *check)
            await asyncio.to_thread(container.podman, "stop", "--time", "20", identity)
            told = await asyncio.to_thread(container.podman, "inspect", "--format", "{{.State.ExitCode}}", identity)
            assert told.strip() == "0"
        finally:
            await asyncio.to_thread(pod.__exit__, None, None, None)
