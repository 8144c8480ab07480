"""The image without a container engine: built by buildah from its Dockerfile, run by podman, in storage of its own.

The base stands in for the official Python image, for there may be no registry to ask; tests/real/install.sh makes it.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.real import servers

ROOT = Path(__file__).parents[2]
PARTS = servers.PARTS / "image"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # this machine's, to reach the package registry
_STORAGE = ("--root", str(PARTS / "storage"), "--runroot", str(PARTS / "run"), "--storage-driver", "overlay")

# The limits: more than this machine may give is refused. The health check: its timer would be systemd's.
_HARD = (
    "--runtime", "runc", "--network", "host", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
    "--security-opt", "no-new-privileges", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096",
    "--no-healthcheck",
)  # fmt: skip


def build(name: str, *options: str) -> None:
    """Builds the image as `make image` does."""
    if os.geteuid() or not (PARTS / "made").exists():
        servers.missing("no base image, which root makes (tests/real/install.sh)")
    engine = " ".join([servers.program("buildah"), *_STORAGE])
    mine = ["--isolation", "chroot", "--pull-never", "--volume", f"{AUTHORITIES}:{AUTHORITIES}:ro", *options]
    done = subprocess.run(
        [ROOT / "image" / "build.sh", name, *mine], env={**os.environ, "ENGINE": engine},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def podman(*arguments: str, may_fail: bool = False) -> str:
    """What podman says."""
    command = [servers.program("podman"), *_STORAGE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert may_fail or done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def inspect(name: str) -> dict[str, Any]:
    """What an image says of itself."""
    (told,) = json.loads(podman("image", "inspect", name))
    return dict(told)


def archive(name: str, file: Path) -> None:
    """Writes an image to a file that containerd imports under the same name."""
    podman("save", "--quiet", "--format", "docker-archive", "--output", str(file), name)


def run(image: str, *command: str, options: tuple[str, ...] = (), may_fail: bool = False) -> str:
    """What a command says in a container of the image that has no rights, and nothing writable but what is mounted."""
    return podman("run", "--rm", *_HARD, *options, image, *command, may_fail=may_fail)


@contextlib.contextmanager
def running(image: str, *options: str) -> Iterator[str]:
    """Such a container that serves; its id."""
    identity = podman("run", "--detach", *_HARD, *options, image).strip().splitlines()[-1]
    try:
        yield identity
    finally:
        podman("rm", "--force", "--time", "5", identity, may_fail=True)
