"""moto's S3 with authentication on: every signature is verified, as far as it stands in a header."""

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.real import servers
from tests.real.pod import Pod
from tests.real.servers import BUCKET, REGION
from tests.running import Running, running

MAY_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
FREE_CALLS = 3  # those of `_make_user`


@dataclass(frozen=True)
class Moto:
    """A running moto, and its only user's way to it past Nezha."""

    url: str
    access_key: str
    secret_key: str
    client: Any

    def put(self, key: str, body: bytes) -> None:
        """Writes an object behind Nezha's back."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """moto with the bucket and one user."""
    port = servers.free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = tmp_path_factory.mktemp("moto") / "moto.log"
    env = {"INITIAL_NO_AUTH_ACTION_COUNT": str(FREE_CALLS)}
    with servers.process(command, log, lambda: servers.status_of("127.0.0.1", port, "/moto-api/") != 0, env):
        url = f"http://127.0.0.1:{port}"
        access_key, secret_key = _make_user(url)
        client = _client("s3", url, access_key, secret_key)
        try:
            client.create_bucket(Bucket=BUCKET)
            yield Moto(url, access_key, secret_key, client)
        finally:
            client.close()


def _make_user(url: str) -> tuple[str, str]:
    client = _client("iam", url, "nobody", "nothing")
    try:
        client.create_user(UserName="job")
        key = client.create_access_key(UserName="job")["AccessKey"]
        client.put_user_policy(UserName="job", PolicyName="all", PolicyDocument=json.dumps(MAY_ALL))
    finally:
        client.close()
    return key["AccessKeyId"], key["SecretAccessKey"]


def _client(service: str, url: str, access_key: str, secret_key: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where Nezha keeps its files: removed at once, for they are large."""
    with tempfile.TemporaryDirectory(prefix="nezha-moto-") as directory:
        yield Path(directory)


@pytest.fixture
async def nezha(moto: Moto, scratch: Path) -> AsyncIterator[Running]:
    """Nezha in front of moto, with nothing cached yet."""
    imagenet = {"name": "imagenet", "dialect": "s3", "buckets": [BUCKET], "regions": [REGION], "connect": moto.url}
    async with running(scratch, imagenet) as server:
        yield server


@pytest.fixture
def pod(nezha: Running, moto: Moto, tmp_path: Path) -> Pod:
    """A job's surroundings: AWS's names lead to Nezha, and the user's credentials are in the environment."""
    return Pod.redirected(tmp_path, nezha.port, nezha.directory / "tls" / "ca.crt").with_env(
        AWS_ACCESS_KEY_ID=moto.access_key,
        AWS_SECRET_ACCESS_KEY=moto.secret_key,
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
    )
