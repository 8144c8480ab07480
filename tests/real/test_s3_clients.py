"""What jobs read with boto3, s3fs, requests, curl and wget from a real S3 server, through Nezha, as in a pod.

The names are those of AWS and lead to Nezha's port 443, which speaks HTTPS and plain HTTP alike; the latter is asked
for as http://NAME:443. MinIO verifies every signature against the Host that the client signed.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.objects import pattern
from tests.real import servers
from tests.real.pod import Pod
from tests.real.servers import BIG_BYTES, BUCKET, Minio, Nezha

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PLAIN = f"http://s3.{servers.REGION}.amazonaws.com:443"
WRONG = "not-the-secret-of-anybody"


@dataclass(frozen=True)
class Client:
    """A way to read objects: a script of `clients/` and what it is told. With a `signature` it reads presigned URLs."""

    script: str
    how: str
    signature: str = ""
    endpoint: str | None = None
    small: int = 1000  # how many of the small objects it reads
    listed_bytes: int = 0  # of answers to LIST, which are no object's
    waste: float = 1.05  # what a cold read may move, as a multiple of what is stored

    def job(self, minio: Minio, keys: Iterable[str], secret_key: str) -> dict[str, Any]:
        if not self.signature:
            return {"bucket": BUCKET, "keys": list(keys)}
        signature, endpoint = self.signature, self.endpoint
        return {"urls": minio.presigned(BUCKET, keys, secret_key=secret_key, signature=signature, endpoint=endpoint)}

    def run(self, pod: Pod, job: dict[str, Any]) -> dict[str, str]:
        env = {"AWS_ENDPOINT_URL_S3": self.endpoint} if self.endpoint else {}
        found: dict[str, str] = pod.with_env(**env).run(self.script, self.how, job)
        return found


CLIENTS = {
    "boto3-get": Client("boto3_reads", "get"),
    "boto3-download": Client("boto3_reads", "download"),
    "boto3-plain-http": Client("boto3_reads", "get", endpoint=PLAIN, small=50),
    "s3fs-cat": Client("s3fs_reads", "cat"),
    # It leaves the GET of a large object for four signed ranges at once, none of which may be narrowed.
    "s3fs-get": Client("s3fs_reads", "get", listed_bytes=1_000_000, waste=1.25),
    "s3fs-open": Client("s3fs_reads", "open"),
    "requests": Client("url_reads", "requests", "s3"),
    "curl": Client("url_reads", "curl", "s3v4"),
    "wget": Client("url_reads", "wget", "s3v4"),
    "wget-plain-http": Client("url_reads", "wget", "s3v4", endpoint=PLAIN, small=50),
}


@dataclass(frozen=True)
class Reader:
    """A client in a pod, and the store's own way to sign."""

    client: Client
    pod: Pod
    minio: Minio

    def read(self, keys: Iterable[str]) -> dict[str, str]:
        """The digests of what it gets with the right credentials."""
        return self.client.run(self.pod, self.client.job(self.minio, keys, self.minio.secret_key))

    def read_with_wrong_secret(self, keys: Iterable[str]) -> dict[str, str]:
        """What somebody gets who knows the access key only."""
        job = self.client.job(self.minio, keys, WRONG)
        return self.client.run(self.pod.with_env(AWS_SECRET_ACCESS_KEY=WRONG), job)

    def read_anonymously(self, keys: Iterable[str]) -> dict[str, str]:
        """What somebody gets who shows nothing."""
        job = self.client.job(self.minio, keys, WRONG)
        bare = {key: url.partition("?")[0] for key, url in job.get("urls", {}).items()}
        return self.client.run(self.pod, {**job, "anonymous": True, "urls": bare})


@pytest.fixture(params=list(CLIENTS))
def reader(request: pytest.FixtureRequest, pod: Pod, minio: Minio) -> Reader:
    client = CLIENTS[request.param]
    if client.script == "url_reads" and client.how != "requests":
        servers.program(client.how)
    return Reader(client, pod, minio)


def test_cold_and_warm_reads_are_true_and_warm_ones_move_no_object(
    reader: Reader, nezha: Nezha, big: dict[str, str], small: dict[str, str]
) -> None:
    objects = big | dict(list(small.items())[: reader.client.small])
    assert reader.read(objects) == objects
    nezha.settle()
    size = nezha.metric("nezha_store_bytes")
    cold = nezha.metric("nezha_origin_bytes_total", origin="imagenet")
    assert nezha.metric("nezha_store_objects") == len(objects)
    assert size <= cold <= reader.client.waste * size + reader.client.listed_bytes

    asked = nezha.metric("nezha_origin_requests_total", origin="imagenet", code="304")
    sent = nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache")
    assert reader.read(objects) == objects
    nezha.settle()
    moved = nezha.metric("nezha_origin_bytes_total", origin="imagenet") - cold
    assert moved <= reader.client.listed_bytes
    # Every object of a store is asked for with its reader's own credential, and a 304 is all that comes back.
    assert nezha.metric("nezha_origin_requests_total", origin="imagenet", code="304") - asked >= len(objects)
    assert nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache") - sent == size
    assert nezha.metric("nezha_requests_total", origin="imagenet", outcome="revalidated") >= len(objects)


def test_after_an_overwrite_only_the_new_bytes_come(reader: Reader, minio: Minio, nezha: Nezha) -> None:
    sizes = {"again/big": BIG_BYTES, "again/small": 70_000}
    for seed in (1, 2):
        bodies = {key: pattern(size, seed) for key, size in sizes.items()}
        for key, body in bodies.items():
            minio.put(BUCKET, key, body)
        digests = {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}
        assert reader.read(digests) == digests
        assert reader.read(digests) == digests
    nezha.settle()
    assert nezha.metric("nezha_store_objects") == len(sizes)


def test_a_read_during_overwrites_is_of_one_version(pod: Pod, minio: Minio) -> None:
    readers = [Reader(CLIENTS[name], pod, minio) for name in ("boto3-get", "boto3-download", "requests")]
    bodies = [pattern(BIG_BYTES, seed) for seed in (1, 2)]
    digests = {hashlib.sha256(body).hexdigest() for body in bodies}
    minio.put(BUCKET, "changing", bodies[0])
    with ThreadPoolExecutor(len(readers)) as threads:
        for body in bodies[::-1] * 3:
            reads = [threads.submit(reader.read, ["changing"]) for reader in readers]
            minio.put(BUCKET, "changing", body)
            for read in reads:
                # 412: boto3's download asks for each range of one version only, and may be told that it is no more
                assert read.result()["changing"] in {*digests, "412"}
    last = {"changing": hashlib.sha256(bodies[0]).hexdigest()}
    assert [reader.read(last) for reader in readers] == [last] * len(readers)


def test_who_may_not_read_gets_403_and_no_cached_byte(
    reader: Reader, nezha: Nezha, big: dict[str, str], small: dict[str, str]
) -> None:
    objects = big | dict(list(small.items())[:20])
    refused = dict.fromkeys(objects, "403")
    assert reader.read(objects) == objects
    nezha.settle()
    sent = nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache")
    assert reader.read_with_wrong_secret(objects) == refused
    assert reader.read_anonymously(objects) == refused
    nezha.settle()
    assert nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache") == sent
    assert reader.read(objects) == objects


@pytest.mark.parametrize("how", ["put", "stream", "multipart", "delete"])
def test_what_was_read_before_a_write_is_not_read_after_it(
    pod: Pod, minio: Minio, nezha: Nezha, how: str, tmp_path: Path
) -> None:
    key, old, new = f"written/{how}", pattern(20_000_000, 1), pattern(20_000_003, 2)
    minio.put(BUCKET, key, old)
    (tmp_path / "new").write_bytes(new)
    said = pod.run("boto3_writes", how, {"bucket": BUCKET, "key": key, "file": str(tmp_path / "new")})
    assert said["before"] == hashlib.sha256(old).hexdigest()
    if how == "delete":
        assert (said["after"], said["listed"]) == ("404", None)
        return
    assert (said["after"], said["listed"]) == (hashlib.sha256(new).hexdigest(), len(new))
    assert said["expect"] == ["100-continue"]
    assert said["encoding"] == ([] if how == "put" else ["aws-chunked"])
    assert said["framing"] == ([] if how == "put" else ["chunked"])
    assert said["writes"] == (3 if how == "multipart" else 1)
    with minio.client() as client:
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == new
