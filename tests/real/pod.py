"""What the webhook makes of a training pod, without a Kubernetes: names that lead to Nezha, and trust in its CA.

Each client runs in a mount namespace of its own, with its own `/etc/hosts` (what hostAliases does) and its own
system-wide CA bundle, from a clean environment. Nothing is configured in the client itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import certifi

CLIENTS = Path(__file__).parent / "clients"
RUN_SECONDS = 240.0
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_ENTER = f'mount --bind "$1" /etc/hosts && mount --bind "$2" {_BUNDLE} && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Pod:
    """Where a pod's own files are, and its environment variables."""

    directory: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def aliased(cls, directory: Path, address: str, names: Iterable[str], authority: Path) -> Self:
        """A pod whose `names` lead to `address`, and that trusts the public roots and the CA in `authority`."""
        (directory / "hosts").write_text(f"127.0.0.1 localhost\n{address} {' '.join(names)}\n")
        (directory / "trust.pem").write_text(Path(certifi.where()).read_text() + authority.read_text())
        return cls(directory)

    def with_env(self, **env: str) -> "Pod":
        """The same pod with more environment variables."""
        return Pod(self.directory, {**self.env, **env})

    def run(self, client: str, how: str, job: Mapping[str, Any]) -> Any:
        """What `clients/CLIENT.py HOW` prints when it is given `job`; fails where it does not end well."""
        trust = str(self.directory / "trust.pem")
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
        command = [sys.executable, str(CLIENTS / f"{client}.py"), how]
        run = subprocess.run(
            [*enter, str(self.directory / "hosts"), trust, *command],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
            cwd=self.directory,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(self.directory),
                "LANG": "C.UTF-8",
                "SSL_CERT_FILE": trust,
                "REQUESTS_CA_BUNDLE": trust,
                **self.env,
            },
        )
        assert run.returncode == 0, f"{client} {how} ended with {run.returncode}:\n{run.stderr[-4000:]}"
        return json.loads(run.stdout)
