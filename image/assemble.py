"""Gathers the file system of the image: Python, Nezha and the libraries that they load, and nothing else.

Runs in the build stage, on any Debian with any Python, and with that Python alone:

    assemble.py /opt/nezha /image     the environment that Nezha is installed in; the folder that becomes the root

There is no shell in it, no package manager and no setuid program. Names, modes, times and order do not depend on
the moment: the same base and the same packages give the same bytes.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

USER = 10001
WRITABLE = ("tmp", "var/cache/nezha", "var/lib/nezha")
COPIED = ("/etc/ld.so.cache", "/etc/os-release", "/etc/ssl/certs/ca-certificates.crt")

# Of the standard library: tests, windows, editors, and what builds or installs packages.
NO_LIBRARY = {
    "__pycache__", "config", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages",
    "test", "tests", "tkinter", "turtledemo", "turtle.py", "venv",
}  # fmt: skip
# Of the packages: installers, tests, sources of extensions.
NO_PACKAGES = {"__pycache__", "pip", "setuptools", "test", "tests", "testing"}
NO_SUFFIXES = {".c", ".cpp", ".h", ".pxd", ".pyi", ".pyx", ".a"}
# Nezha speaks JSON with the API server: 120 MB of classes are of no use, but for the modules that name them.
GENERATED = ("kubernetes/client", "kubernetes/aio/client")


def main(environment: Path, root: Path) -> None:
    """Fills `root`."""
    for path in links_of_the_root():
        (root / path.name).symlink_to(path.readlink())
    interpreter = Path(sys.executable)
    for path in (interpreter, *map(Path, COPIED), *Path("/usr/lib").glob("*/libgcc_s.so.1")):
        copy(path, root)
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        copy_tree(Path(folder), root, NO_LIBRARY)
    copy_tree(environment, root, NO_PACKAGES)
    drop_unused(root / environment.relative_to("/"))
    shared = libraries(root)
    for path in shared:
        copy(path, root)
    strip(objects(root))
    describe_packages(shared, root)
    write_accounts(root)
    compile_all(root)
    settle(root, int(os.environ.get("SOURCE_DATE_EPOCH") or 0))


def links_of_the_root() -> list[Path]:
    """`/lib` and the like, which a merged Debian links to below `/usr`."""
    return sorted(path for path in Path("/").iterdir() if path.is_symlink() and path.name.startswith(("bin", "lib")))


def copy(path: Path, root: Path) -> None:
    """Copies a file to its place below `root`; where it is a link, what it leads to as well."""
    real = path.parent.resolve() / path.name
    target = root / real.relative_to("/")
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(real, target, follow_symlinks=False)
    if real.is_symlink():
        copy(real.parent / real.readlink(), root)


def copy_tree(folder: Path, root: Path, without: set[str]) -> None:
    """Copies a folder, but for names in `without` and files of no use at run time."""

    def ignored(_: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if not without.isdisjoint({name, name.split("-")[0]}) or Path(name).suffix in NO_SUFFIXES
        }

    target = root / folder.resolve().relative_to("/")
    shutil.copytree(folder, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)


def drop_unused(environment: Path) -> None:
    """Commands but Nezha's, and the generated classes."""
    for path in (environment / "bin").iterdir():
        if not path.name.startswith(("nezha", "python")):
            path.unlink()
    for site in environment.glob("lib/python3*/site-packages"):
        for folder in (site / client / part for client in GENERATED for part in ("api", "models")):
            for path in folder.iterdir():
                if path.name != "__init__.py":
                    path.unlink()


def files(root: Path) -> Iterator[Path]:
    """The regular files below a folder, in order."""
    for folder, _, names in sorted(os.walk(root)):
        yield from (path for name in sorted(names) if not (path := Path(folder, name)).is_symlink())


def objects(root: Path) -> Iterator[Path]:
    """The programs and libraries below a folder."""
    for path in files(root):
        with path.open("rb") as file:
            if file.read(4) == b"\x7fELF":
                yield path


def libraries(root: Path) -> list[Path]:
    """The shared libraries of the base that those below `root` load, the loader among them."""
    found = set()
    for path in objects(root):
        told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        found |= {Path(word) for line in told.splitlines() for word in line.split() if word.startswith("/")}
    return sorted(path for path in found if not path.is_relative_to(root))


def strip(paths: Iterable[Path]) -> None:
    """Takes debug symbols out: 17 MB of uvloop's and awscrt's."""
    for path in paths:
        subprocess.run(["strip", "--strip-unneeded", path], check=True)


def describe_packages(paths: Iterable[Path], root: Path) -> None:
    """Notes which Debian packages the libraries come from, as distroless images do, for scanners to read."""
    notes = root / "var/lib/dpkg/status.d"
    notes.mkdir(parents=True)
    for path in sorted({path.parent.resolve() / path.name for path in paths}):
        told = subprocess.run(["dpkg-query", "-S", f"*{path.name}"], capture_output=True, text=True, check=False).stdout
        for owner in (line.partition(": ")[0] for line in told.splitlines() if not line.startswith("diversion")):
            status = subprocess.run(["dpkg-query", "-s", owner], capture_output=True, text=True, check=True).stdout
            (notes / owner.partition(":")[0]).write_text(status)


def write_accounts(root: Path) -> None:
    """The one user, and how names are resolved."""
    etc = root / "etc"
    (etc / "passwd").write_text(f"nezha:x:{USER}:{USER}::/:/nonexistent\n")
    (etc / "group").write_text(f"nezha:x:{USER}:\n")
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    for name in WRITABLE:
        (root / name).mkdir(parents=True, exist_ok=True)
        os.chown(root / name, USER, USER)
    (root / "tmp").chmod(0o1777)


def compile_all(root: Path) -> None:
    """Compiles every module for a root that nobody can write; by hash, for a time would be another in each build."""
    for top in (root / "usr", root / "opt"):
        compileall.compile_dir(
            top, quiet=2, workers=0, stripdir=str(root), prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip


def settle(root: Path, moment: int) -> None:
    """Gives everything one time."""
    for folder, folders, names in os.walk(root):
        for name in (".", *folders, *names):
            os.utime(Path(folder, name), (moment, moment), follow_symlinks=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
