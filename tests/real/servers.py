"""Real servers as processes of their own: started, waited for until they answer, always stopped.

`Minio` verifies signatures and knows buckets by the names they have on AWS. `Nezha` is `nezha serve`, asked for
its metrics as Prometheus would ask.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

PARTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nezha-parts"
READY_SECONDS = 30.0
STOP_SECONDS = 20.0
BIG_BYTES = 169_001_437
BUCKET = "imagenet"
REGION = "us-east-1"
STORES = [f"s3.{REGION}.amazonaws.com", "s3.amazonaws.com"]


def missing(reason: str) -> None:
    """Skips with the reason, unless everything has to be there."""
    if os.environ.get("REQUIRE_REAL") == "1":
        pytest.fail(f"{reason}, and REQUIRE_REAL=1")
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of an installed or built program; skips where there is none."""
    found = shutil.which(name, path=f"{PARTS / 'bin'}:{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        missing(f"{name} is not installed (tests/real/install.sh)")
    return str(found)


def until(holds: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Returns once `holds()`; fails after `seconds`, naming `what`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return int(port)


def status_of(host: str, port: int, path: str) -> int:
    """The status of a plain GET; 0 where nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0


@contextlib.contextmanager
def process(
    command: Sequence[str], log: Path, is_ready: Callable[[], bool], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process from ready to stopped, its output in `log`; fails with that where it ends before it is ready."""
    # Also where these tests are killed, nothing is left running.
    setpriv = shutil.which("setpriv")
    follow = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
    with log.open("wb") as output:
        running = subprocess.Popen([*follow, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    try:
        until(lambda: running.poll() is not None or is_ready(), f"{command[0]} is ready")
        if running.poll() is not None:
            pytest.fail(f"{command[0]} ended with {running.returncode}: {log.read_text()[-2000:]}")
        yield running
    finally:
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise


@dataclass(frozen=True)
class Minio:
    """A running MinIO, and its root user's way to it past Nezha."""

    port: int
    access_key: str = "AKIATEST0001"
    secret_key: str = "secretsecret123"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """boto3, straight to MinIO."""
        config = Config(s3={"addressing_style": "path"})
        with contextlib.closing(self._client(self.url, self.secret_key, config)) as client:
            yield client

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Writes an object behind Nezha's back."""
        with self.client() as client:
            client.put_object(Bucket=bucket, Key=key, Body=body)

    def presigned(
        self, bucket: str, keys: Iterable[str], *, secret_key: str, signature: str, endpoint: str | None
    ) -> dict[str, str]:
        """URLs as somebody with the secret key makes them; `signature` is s3 (SigV2, boto3's own choice) or s3v4."""
        with contextlib.closing(self._client(endpoint, secret_key, Config(signature_version=signature))) as client:
            return {
                key: client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)
                for key in keys
            }

    def url_of(self, op: str, bucket: str, key: str, secret_key: str) -> str:
        """A URL for one operation on an object (put or head; anything else is a GET), under AWS's own name for it."""
        method = {"put": "put_object", "head": "head_object"}.get(op, "get_object")
        with contextlib.closing(self._client(None, secret_key, Config(signature_version="s3v4"))) as client:
            return str(client.generate_presigned_url(method, Params={"Bucket": bucket, "Key": key}, ExpiresIn=600))

    def _client(self, endpoint: str | None, secret_key: str, config: Config) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key,
            config=config,
        )


@contextlib.contextmanager
def minio(data: Path, log: Path) -> Iterator[Minio]:
    """MinIO on loopback, with virtual-host style under the names of AWS."""
    port = free_port()
    server = Minio(port)
    env = {
        "HOME": str(data),
        "PATH": os.environ.get("PATH", ""),
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_DOMAIN": ",".join(STORES),
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    listen = ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{free_port()}"]
    command = [program("minio"), "server", *listen, str(data / "drive")]
    with process(command, log, lambda: status_of("127.0.0.1", port, "/minio/health/ready") == 200, env):
        yield server


@contextlib.contextmanager
def nginx(root: Path, directory: Path) -> Iterator[str]:
    """nginx with the files under `root`; its URL."""
    port = free_port()
    places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "".join(f"{place}_temp_path {directory};" for place in places)
    listen = f"access_log off; {temporary} server {{ listen 127.0.0.1:{port}; root {root}; }}"
    settings = directory / "nginx.conf"
    settings.write_text(
        f"daemon off; user root; pid {directory}/pid; error_log stderr; events {{}} http {{ {listen} }}\n"
    )
    command = [program("nginx"), "-p", str(directory), "-e", "stderr", "-c", str(settings)]
    with process(command, directory / "nginx.log", lambda: status_of("127.0.0.1", port, "/") != 0):
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Nezha:
    """A running `nezha serve`, and what it tells of itself."""

    address: str
    port: int
    authority: Path
    log: Path

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that bear these labels, from a scrape."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        total = 0.0
        for line in self._metrics().splitlines():
            series, _, value = line.rpartition(" ")
            bare, _, rest = series.partition("{")
            if bare == name and wanted <= set(rest.rstrip("}").split(",")):
                total += float(value)
        return total

    def _metrics(self) -> str:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def settle(self) -> None:
        """Waits until no client is connected but the one that asks: then all that happened is counted."""
        until(lambda: self.metric("nezha_connections", port="cache") <= 1, "the clients' connections are closed")
        self.store_all()

    def store_all(self) -> None:
        """Waits until what came from the origins is stored."""
        until(lambda: self.metric("nezha_fills_running") == 0, "the fills are done")

    def complaints(self) -> list[str]:
        """What it logged as a warning or worse."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        others = [line for line in self.log.read_text().splitlines() if not line.startswith("{")]
        return [*others, *(str(line) for line in lines if line["level"] not in {"debug", "info"})]


@contextlib.contextmanager
def nezha(address: str, data: Path, log: Path, origins: Sequence[Mapping[str, Any]]) -> Iterator[Nezha]:
    """`nezha serve` on port 443 of a loopback address; after it was told to stop it must end with 0."""
    settings = {
        "cache": {"listen": f"{address}:443", "directory": str(data / "cache"), "size": "4GiB", "min_free": 0},
        "admission": {"listen": "127.0.0.1:0"},
        "tls": {"directory": str(data / "tls")},
        "origins": list(origins),
    }
    (data / "nezha.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "nezha", "serve", "--config", str(data / "nezha.yaml")]
    with process(command, log, lambda: status_of(address, 443, "/readyz") == 200) as running:
        yield Nezha(address, 443, data / "tls" / "ca.crt", log)
    assert running.returncode == 0, log.read_text()[-2000:]
