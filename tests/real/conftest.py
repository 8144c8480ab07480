"""One MinIO with its objects for all tests; a Nezha with an empty cache, and a pod pointed at it, for each."""

import hashlib
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.objects import pattern
from tests.real import servers
from tests.real.pod import UNSHARE, Pod
from tests.real.servers import BIG_BYTES, BUCKET, STORES, Minio, Nezha

WEB_HOST = "www.cs.toronto.edu"
NAMES = [*STORES, *(f"{BUCKET}.{store}" for store in STORES), WEB_HOST]


@pytest.fixture(scope="session")
def address() -> str:
    """A loopback address of this run's own, so that its ports 443 are nobody else's."""
    allowed = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if allowed.returncode:
        servers.missing(f"only root gives a client its own /etc/hosts: {allowed.stderr.strip()}")
    return str(IPv4Address("127.80.0.0") + os.getpid() % 65536)


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """MinIO with the bucket; its data are removed at the end."""
    log = tmp_path_factory.mktemp("minio") / "minio.log"
    with tempfile.TemporaryDirectory(prefix="nezha-minio-") as data, servers.minio(Path(data), log) as server:
        with server.client() as client:
            client.create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="session")
def big(minio: Minio) -> dict[str, str]:
    """The object of 169,001,437 bytes: its key and digest."""
    body = pattern(BIG_BYTES)
    minio.put(BUCKET, "cifar-100.tar.gz", body)
    return {"cifar-100.tar.gz": hashlib.sha256(body).hexdigest()}


@pytest.fixture(scope="session")
def small(minio: Minio) -> dict[str, str]:
    """1,000 objects of 1 to 100 KB: their keys and digests."""
    rng = random.Random(3)
    bodies = {f"train/n{number:04}.jpeg": rng.randbytes(rng.randint(1_000, 100_000)) for number in range(1000)}
    with minio.client() as client, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda item: client.put_object(Bucket=BUCKET, Key=item[0], Body=item[1]), bodies.items()))
    return {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}


@pytest.fixture(scope="session")
def web_root() -> Iterator[Path]:
    """The files that nginx serves."""
    with tempfile.TemporaryDirectory(prefix="nezha-web-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def web_url(web_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A plain web server with the files of `web_root`."""
    with servers.nginx(web_root, tmp_path_factory.mktemp("nginx")) as url:
        yield url


@pytest.fixture
def nezha(address: str, minio: Minio, web_url: str, tmp_path: Path) -> Iterator[Nezha]:
    """`nezha serve` with nothing cached yet; at the end it must have had nothing to complain of."""
    origins = [
        {"name": "imagenet", "dialect": "s3", "buckets": [BUCKET], "regions": [servers.REGION], "connect": minio.url},
        {"name": "toronto", "dialect": "http", "hosts": [WEB_HOST], "connect": web_url},
    ]
    log = tmp_path / "nezha.log"
    with tempfile.TemporaryDirectory(prefix="nezha-cache-") as data:
        with servers.nezha(address, Path(data), log, origins) as server:
            yield server
        assert server.complaints() == []


@pytest.fixture
def pod(nezha: Nezha, minio: Minio, tmp_path: Path) -> Pod:
    """A pod as the webhook would make it, with the job's credentials in its environment."""
    return Pod.aliased(tmp_path, nezha.address, NAMES, nezha.authority).with_env(
        AWS_ACCESS_KEY_ID=minio.access_key,
        AWS_SECRET_ACCESS_KEY=minio.secret_key,
        AWS_DEFAULT_REGION=servers.REGION,
        AWS_EC2_METADATA_DISABLED="true",
    )
