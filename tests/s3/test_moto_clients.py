"""What jobs read with boto3 and s3fs from an S3 server that checks signatures, through Nezha, under AWS's names."""

import asyncio
import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.moto import BUCKET, Moto
from tests.objects import pattern
from tests.real.pod import Pod
from tests.real.servers import BIG_BYTES
from tests.running import Running

CLIENTS = {
    "boto3-get": ("boto3_reads", "get"),
    "boto3-download": ("boto3_reads", "download"),
    "s3fs-cat": ("s3fs_reads", "cat"),
    "s3fs-get": ("s3fs_reads", "get"),
    "s3fs-open": ("s3fs_reads", "open"),
}
# One reads all objects, and one more the largest, in ranges at once; tests/real reads all of them with each.
READ = {"boto3-get": slice(None), "s3fs-cat": slice(-50, None)}
OTHERS_READ = slice(-50, -1)
LISTED_BYTES = {"s3fs-get": 1_000_000}  # of answers to LIST, which are no object's


@dataclass(frozen=True)
class Reader:
    """A client in a pod."""

    name: str
    pod: Pod
    nezha: Running

    async def read(self, keys: Iterable[str], **env: str) -> dict[str, str]:
        """The digest of each object, or the status that came instead; afterwards all that happened is counted."""
        script, how = CLIENTS[self.name]
        job = {"bucket": BUCKET, "keys": list(keys)}
        found: dict[str, str] = await asyncio.to_thread(self.pod.with_env(**env).run, script, how, job)
        await self.nezha.until(lambda: self.nezha.metric("nezha_connections", port="cache") == 0)
        await self.nezha.quiet()
        return found


@pytest.fixture(params=list(CLIENTS))
def reader(request: pytest.FixtureRequest, pod: Pod, nezha: Running) -> Reader:
    return Reader(request.param, pod, nezha)


@pytest.fixture(scope="module")
def objects(moto: Moto) -> dict[str, str]:
    """1,000 objects of 1 to 20 KB, one of 20 MB and one of 169,001,437 bytes: their keys and digests."""
    rng = random.Random(3)
    bodies = {f"train/n{number:04}.jpeg": rng.randbytes(rng.randint(1_000, 20_000)) for number in range(1000)}
    bodies |= {"cifar-10.tar.gz": pattern(20_000_000), "cifar-100.tar.gz": pattern(BIG_BYTES)}
    for key, body in bodies.items():
        moto.put(key, body)
    return {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}


async def test_cold_and_warm_reads_are_true_and_warm_ones_move_no_object(
    reader: Reader, nezha: Running, objects: dict[str, str]
) -> None:
    keys = list(objects)[READ.get(reader.name, OTHERS_READ)]
    wanted = {key: objects[key] for key in keys}
    assert await reader.read(keys) == wanted
    size = nezha.metric("nezha_store_bytes")
    cold = nezha.metric("nezha_origin_bytes_total", origin="imagenet")
    asked = nezha.metric("nezha_origin_requests_total", origin="imagenet", code="304")
    assert nezha.metric("nezha_store_objects") == len(keys)

    assert await reader.read(keys) == wanted
    moved = nezha.metric("nezha_origin_bytes_total", origin="imagenet") - cold
    assert moved <= LISTED_BYTES.get(reader.name, 0)
    assert nezha.metric("nezha_origin_requests_total", origin="imagenet", code="304") - asked >= len(keys)
    assert nezha.metric("nezha_store_bytes") == size


@pytest.mark.parametrize("reader", ["boto3-get", "boto3-download", "s3fs-open"], indirect=True)
async def test_after_an_overwrite_only_the_new_bytes_come(reader: Reader, moto: Moto, nezha: Running) -> None:
    sizes = {"again/big": 20_000_000, "again/small": 7_000}
    for seed in (1, 2):
        bodies = {key: pattern(size, seed) for key, size in sizes.items()}
        for key, body in bodies.items():
            await asyncio.to_thread(moto.put, key, body)
        digests = {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}
        assert await reader.read(digests) == digests
    assert nezha.metric("nezha_store_objects") == len(sizes)


@pytest.mark.parametrize("reader", ["boto3-get", "boto3-download", "s3fs-open"], indirect=True)
async def test_a_wrong_secret_gets_403_and_no_cached_byte(reader: Reader, moto: Moto, nezha: Running) -> None:
    bodies = {"kept/big": pattern(20_000_000), "kept/small": pattern(7_000)}
    for key, body in bodies.items():
        await asyncio.to_thread(moto.put, key, body)
    await reader.read(bodies)
    sent = nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache")
    assert await reader.read(bodies, AWS_SECRET_ACCESS_KEY="nobodys-secret") == dict.fromkeys(bodies, "403")
    assert nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache") == sent


@pytest.mark.parametrize("how", ["put", "stream", "multipart", "delete"])
async def test_what_was_read_before_a_write_is_not_read_after_it(
    pod: Pod, moto: Moto, how: str, tmp_path: Path
) -> None:
    old, new = pattern(20_000_000, 1), pattern(20_000_003, 2)
    await asyncio.to_thread(moto.put, f"written/{how}", old)
    await asyncio.to_thread((tmp_path / "new").write_bytes, new)
    job = {"bucket": BUCKET, "key": f"written/{how}", "file": str(tmp_path / "new")}
    said: dict[str, Any] = await asyncio.to_thread(pod.run, "boto3_writes", how, job)
    assert said["before"] == hashlib.sha256(old).hexdigest()
    after = ("404", None) if how == "delete" else (hashlib.sha256(new).hexdigest(), len(new))
    assert (said["after"], said["listed"]) == after
