"""The origin and the client: small C programs, compiled when a benchmark begins, so that neither is the limit."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Failed, install

SOURCES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they were compiled to."""

    origin: Path
    client: Path


def build(folder: Path) -> Programs:
    """Compiles both. Raises Failed where there is no compiler or no OpenSSL to link with."""
    if shutil.which("cc") is None:
        install("gcc", "a C compiler (cc) is needed")
    headers = ["cc", "-E", "-include", "openssl/ssl.h", "-xc", os.devnull]
    if subprocess.run(headers, capture_output=True, check=False).returncode != 0:
        install("libssl-dev", "the headers of OpenSSL are needed")
    return Programs(_compile("origin", folder), _compile("client", folder))


def _compile(name: str, folder: Path) -> Path:
    program, source = folder / name, SOURCES / f"{name}.c"
    flags = ["-O3", "-march=native", "-pthread"]
    command = ["cc", *flags, "-o", str(program), str(source), "-lssl", "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{name}.c does not compile: {done.stderr}")
    return program
