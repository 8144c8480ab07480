"""What the webhook makes of a training pod, without a Kubernetes: names that lead to Nezha, and trust in its CA.

Each client is a process of its own in a clean environment; nothing is configured in the client itself. An aliased
pod is a mount namespace with its own `/etc/hosts` (what hostAliases does) and its own system-wide CA bundle. A
redirected one does with less than root, and serves clients in Python only.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import certifi

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).parents[2]
RUN_SECONDS = 240.0
UNSHARE = ("unshare", "--mount", "--propagation", "private")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_ENTER = f'mount --bind "$1" /etc/hosts && mount --bind "$2" {_BUNDLE} && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Pod:
    """How a Python script is run in it, its home directory, what it trusts, and its environment variables."""

    python: tuple[str, ...]
    home: Path
    trust: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def aliased(cls, home: Path, address: str, names: Iterable[str], authority: Path) -> Self:
        """A pod whose `names` lead to `address`. Only root can have one."""
        (home / "hosts").write_text(f"127.0.0.1 localhost\n{address} {' '.join(names)}\n")
        trust = _trust(home, authority)
        return cls((*UNSHARE, "sh", "-c", _ENTER, "sh", str(home / "hosts"), str(trust), sys.executable), home, trust)

    @classmethod
    def redirected(cls, home: Path, port: int, authority: Path) -> Self:
        """A pod where every name leads to a loopback port."""
        return cls((sys.executable, "-m", "tests.redirect", f"127.0.0.1:{port}"), home, _trust(home, authority))

    def with_env(self, **env: str) -> Self:
        """The same pod with more environment variables."""
        return replace(self, env={**self.env, **env})

    def run(self, client: str, how: str, job: Mapping[str, Any]) -> Any:
        """What `clients/CLIENT.py HOW` prints when it is given `job`; fails where it does not end well."""
        run = subprocess.run(
            [*self.python, str(CLIENTS / f"{client}.py"), how],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
            cwd=ROOT,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(self.home),
                "LANG": "C.UTF-8",
                "SSL_CERT_FILE": str(self.trust),
                "REQUESTS_CA_BUNDLE": str(self.trust),
                **self.env,
            },
        )
        assert run.returncode == 0, f"{client} {how} ended with {run.returncode}:\n{run.stderr[-4000:]}"
        return json.loads(run.stdout)


def _trust(home: Path, authority: Path) -> Path:
    """The public roots and the CA of `authority` in one file, as the webhook mounts them."""
    bundle = home / "trust.pem"
    bundle.write_text(Path(certifi.where()).read_text() + authority.read_text())
    return bundle
