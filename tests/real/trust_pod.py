"""A process with exactly what the webhook gives a pod for its trust: the variables, the files and their paths.

Both are taken from the webhook's own tables. The process has an `/etc` of its own (an overlay in a private mount
namespace), in which the bundle lies at each path, and the aliases in `/etc/hosts`.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nezha.admission import trust
from nezha.admission.target import TRUST_KEY
from tests.real.pod import CLIENTS, UNSHARE

_DIALECTS = frozenset({"s3", "gcs", "azure", "huggingface", "http"})
_ENTER = """
set -e
home=$1; shift
mount -t tmpfs tmpfs "$home/etc"
mkdir "$home/etc/upper" "$home/etc/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$home/etc/upper,workdir=$home/etc/work" /etc
cat "$home/hosts" >/etc/hosts
while read -r path; do
  mkdir -p "$(dirname "$path")"
  rm -f "$path"
  cp "$home/bundle.pem" "$path"
done <"$home/paths"
exec "$@"
"""


@dataclass(frozen=True)
class TrustPod:
    """The Python that runs the probes, and a home with `hosts`, `paths` and `bundle.pem`."""

    python: Path
    home: Path

    @classmethod
    def made(cls, python: Path, home: Path, aliases: Mapping[str, str], bundle: bytes) -> "TrustPod":
        """A pod whose names lead where `aliases` (name -> address) says, and that trusts `bundle`."""
        wish = trust.wish({})
        paths = [
            mount["mountPath"] if "subPath" in mount else f"{mount['mountPath']}/{TRUST_KEY}"
            for mount in trust.mounts(wish)
        ]
        (home / "etc").mkdir()
        (home / "bundle.pem").write_bytes(bundle)
        (home / "paths").write_text("".join(f"{path}\n" for path in paths))
        lines = [f"{address} {name}\n" for name, address in aliases.items()]
        (home / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines))
        return cls(python, home)

    def ask(self, stack: str, hosts: Iterable[str]) -> dict[str, str]:
        """What a client of this stack gets from each host: "ok", or why not."""
        with self.start(str(CLIENTS / "trust_probe.py"), stack, *hosts) as running:
            said, errors = running.communicate(timeout=110)
        assert running.returncode == 0, f"{stack} ended with {running.returncode}:\n{errors[-4000:]}"
        found: dict[str, str] = json.loads(said)
        return found

    @contextlib.contextmanager
    def start(self, *arguments: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
        """Python with these arguments in the pod, its streams at hand; it has ended at the end."""
        running = subprocess.Popen(
            [*UNSHARE, "sh", "-c", _ENTER, "sh", str(self.home), str(self.python), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(self.home),
                "LANG": "C.UTF-8",
                "AWS_EC2_METADATA_DISABLED": "true",
                **dict(trust.variables(trust.wish({}))),
                **dict(trust.switches(_DIALECTS)),
                **env,
            },
        )
        try:
            yield running
        finally:
            running.kill()
            running.communicate()
