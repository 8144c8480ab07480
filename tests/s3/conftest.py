"""A Nezha in front of moto, and a pod that takes it for AWS."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.doubles.moto import BUCKET, REGION, Moto, MotoOrigin, started
from tests.real.pod import Pod
from tests.running import Running, running


@pytest.fixture(scope="module")
def moto() -> Moto:
    """moto with the bucket and one user."""
    return started()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where Nezha keeps its files: removed at once, for they are large."""
    with tempfile.TemporaryDirectory(prefix="nezha-moto-") as directory:
        yield Path(directory)


@pytest.fixture
async def nezha(scratch: Path, blockbuster: BlockBuster) -> AsyncIterator[Running]:
    """Nezha in front of moto, with nothing cached yet."""
    for function in blockbuster.functions.values():
        function.can_block_in("tests/doubles/moto.py", "reply")  # moto was made for threads
    async with MotoOrigin(is_recording=False) as origin:
        s3 = {"name": "imagenet", "dialect": "s3", "buckets": [BUCKET], "regions": [REGION], "connect": origin.url}
        async with running(scratch, s3) as server:
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
