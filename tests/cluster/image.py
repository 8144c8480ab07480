"""The clients' image without a container engine: layers of files on the cluster's own Python image, as an OCI archive.

The layer of dependencies is kept in `$XDG_CACHE_HOME/nezha-parts/images`, by the text that decides what is in it.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def kept_layer(cache: Path, reason: str, fill: Callable[[Path], None]) -> Path:
    """A layer that `fill` makes from an empty directory, unless one for the same `reason` is kept in `cache`."""
    path = cache / f"{hashlib.sha256(reason.encode()).hexdigest()[:16]}.tar"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="nezha-layer-") as directory:
            fill(Path(directory))
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
                file.write(layer([(Path(directory), ".")]))
            Path(file.name).replace(path)
    return path


def layer(places: Iterable[tuple[Path, str]]) -> bytes:
    """A tar of directories and files, each at its place below the root; owned by root, without times."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for source, place in places:
            tar.add(source, place, filter=_plain)
    return content.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return None if "__pycache__" in info.name else info


def pip_install(target: Path, *requirements: str) -> None:
    """What pip installs, for this Python, which is the image's too (3.11)."""
    arguments = ["--quiet", "--no-warn-conflicts", "--disable-pip-version-check", "--no-input", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *arguments, *requirements], check=True)


def add_program(root: Path, name: str) -> None:
    """A program of this machine with the libraries that it is linked to."""
    path = shutil.which(name)
    assert path, f"{name} is not installed"
    linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    libraries = [word for line in linked.splitlines() if "=>" in line for word in line.split()[2:3]]
    for source, place in [(path, f"usr/bin/{name}"), *((each, f"opt/lib/{Path(each).name}") for each in libraries)]:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / place, follow_symlinks=True)
    for shared in ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"):  # the image's own
        (root / "opt/lib" / shared).unlink(missing_ok=True)


def write_image(base: Path, out: Path, name: str, layers: Iterable[bytes], config: Mapping[str, Any]) -> None:
    """An OCI archive called `name`: the one layer of `base`, an archive too, and `layers` above it."""
    with tarfile.open(base) as source:
        manifest = _read(source, _digest(_index(source)))
        settings = _read(source, manifest["config"]["digest"])
        blobs = {each["digest"]: _bytes(source, each["digest"]) for each in manifest["layers"]}
    for content in layers:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blobs[digest] = content
        settings["rootfs"]["diff_ids"].append(digest)
        manifest["layers"].append({"mediaType": _LAYER, "digest": digest, "size": len(content)})
    settings["config"] = {**settings["config"], **config}
    manifest["config"] = _put(blobs, settings, manifest["config"]["mediaType"])
    entry = _put(blobs, manifest, "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    index = {"schemaVersion": 2, "manifests": [entry]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    files |= {f"blobs/sha256/{digest.removeprefix('sha256:')}": content for digest, content in blobs.items()}
    with tarfile.open(out, "w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _put(blobs: dict[str, bytes], document: Any, kind: str) -> dict[str, Any]:
    content = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blobs[digest] = content
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _index(source: tarfile.TarFile) -> Any:
    file = source.extractfile("index.json")
    assert file
    return json.load(file)


def _digest(index: Any) -> str:
    return str(index["manifests"][0]["digest"])


def _bytes(source: tarfile.TarFile, digest: str) -> bytes:
    file = source.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
    assert file
    return file.read()


def _read(source: tarfile.TarFile, digest: str) -> Any:
    return json.loads(_bytes(source, digest))
