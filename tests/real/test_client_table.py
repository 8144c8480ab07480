"""Every S3 client, as it is by default, does through Nezha what it does with its store: a row of a table each."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nezha.pki.bundle import public_roots
from tests.objects import pattern
from tests.real import servers
from tests.real.client_table import DONE, markdown, settled
from tests.real.clients.s3_client import CLIENTS
from tests.real.pod import ROOT
from tests.real.servers import BUCKET, PARTS, STORES, Minio, Nezha
from tests.real.trust_pod import TrustPod

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

COLUMNS = ("cold", "warm", "overwritten", "private", "range", "presigned", "written", "HEAD", "LIST")
URL_CLIENTS = {"requests", "httpx", "aiohttp", "curl", "wget", "node fetch", "webdataset"}
TABLES = {"polars", "deltalake"}  # they read what they understand only
PROGRAMS = {"rclone": "rclone", "curl": "curl", "wget": "wget", "node fetch": "node", "webdataset": "curl"}
SIZE = 9_000_003  # two parts of 8 MiB
PART = (1_000_000, 2_000_000)
WRONG = "not-the-secret-of-anybody"
OVERHEAD = 0.02  # of what a warm read may move: lists, a footer, an error
rows: dict[str, dict[str, str]] = {}


@dataclass
class Job:
    """A client in a pod, who does what he is told."""

    name: str
    running: Any
    minio: Minio
    nezha: Nezha
    files: Path
    row: dict[str, str] = field(default_factory=dict)

    @property
    def is_url(self) -> bool:
        return self.name in URL_CLIENTS

    def tell(self, op: str, key: str, *, secret: str | None = None, **more: Any) -> dict[str, Any]:
        """What comes of it."""
        job = {"op": op, "key": key, **more, "env": {"AWS_SECRET_ACCESS_KEY": secret or self.minio.secret_key}}
        if self.is_url and op != "url":
            job["url"] = self.minio.url_of(op, BUCKET, key, secret or self.minio.secret_key)
        self.running.stdin.write(json.dumps(job) + "\n")
        self.running.stdin.flush()
        line = self.running.stdout.readline()
        assert line, self.running.stderr.read()[-3000:]
        said: dict[str, Any] = json.loads(line)
        return said

    def read(self, key: str, body: bytes) -> None:
        """A whole read gives these bytes."""
        assert self.tell("get", key) == {"found": digest(body)}
        self.nezha.store_all()

    def write(self, key: str, body: bytes) -> bool:
        """A write through Nezha; False where the client does not write."""
        file = self.files / "body"
        file.write_bytes(body)
        said = self.tell("put", key, file=str(file))
        assert "error" not in said, said
        return "unable" not in said

    def moved(self) -> float:
        """Body bytes that have come from the store."""
        return self.nezha.metric("nezha_origin_bytes_total", origin="imagenet")

    def note(self, column: str, said: Mapping[str, Any], wanted: object) -> None:
        """A cell, where the client can do it at all."""
        if "unable" not in said:
            assert said == {"found": wanted}, column
            self.row[column] = DONE


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def body_for(name: str, seed: int) -> bytes:
    """An object that the client can read: bytes, or for those of tables a column of numbers."""
    if name not in TABLES:
        return pattern(SIZE + seed, seed)
    return ("n\n" + "".join(f"{number}\n" for number in range(seed, 600_000 + seed))).encode()


@pytest.fixture(scope="module")
def nezha(address: str, minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nezha]:
    origin = {"name": "imagenet", "dialect": "s3", "buckets": [BUCKET], "regions": [servers.REGION]}
    log = tmp_path_factory.mktemp("table") / "nezha.log"
    with (
        tempfile.TemporaryDirectory(prefix="nezha-table-") as data,
        servers.nezha(address, Path(data), log, [{**origin, "connect": minio.url}]) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def pod(address: str, nezha: Nezha, tmp_path_factory: pytest.TempPathFactory) -> TrustPod:
    python = PARTS / f"trust-{sys.version_info[0]}.{sys.version_info[1]}" / "bin" / "python"
    if not python.exists():
        servers.missing(f"{python} is not installed (tests/real/install.sh)")
    names = [*STORES, *(f"{BUCKET}.{store}" for store in STORES)]
    bundle = public_roots() + nezha.authority.read_bytes()
    return TrustPod.made(python, tmp_path_factory.mktemp("pod"), dict.fromkeys(names, address), bundle)


@pytest.mark.parametrize("name", list(CLIENTS))
def test_a_client_does_through_nezha_what_it_does_with_its_store(
    name: str, pod: TrustPod, nezha: Nezha, minio: Minio, tmp_path: Path
) -> None:
    if name in PROGRAMS:
        servers.program(PROGRAMS[name])
    env = {
        "PYTHONPATH": str(ROOT),
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
        "AWS_DEFAULT_REGION": servers.REGION,
    }
    with pod.start("-m", "tests.real.clients.s3_client", name, **env) as running:
        job = Job(name, running, minio, nezha, tmp_path)
        prefix = f"table/{name.replace(' ', '-')}/"
        if name == "deltalake":
            table_of_versions(job, f"{prefix}k")
        else:
            reads(job, f"{prefix}k.csv")
            if name == "polars":  # it keeps what it has made of the environment
                with pod.start("-m", "tests.real.clients.s3_client", name, **env) as another:
                    private(replace(job, running=another), f"{prefix}k.csv")
            else:
                private(job, f"{prefix}k.csv")
            parts_and_lists(job, prefix, f"{prefix}k.csv")
            writes(job, f"{prefix}w.csv")
    rows[name] = job.row


def reads(job: Job, key: str) -> None:
    """Cold, warm, and overwritten behind Nezha."""
    for seed, columns in ((1, ("cold", "warm")), (2, ("overwritten",))):
        body = body_for(job.name, seed)
        job.minio.put(BUCKET, key, body)
        before = job.moved()
        job.read(key, body)
        after_cold = job.moved()
        job.read(key, body)
        assert after_cold - before >= len(body)
        assert job.moved() - after_cold <= OVERHEAD * len(body)
        job.row |= dict.fromkeys(columns, DONE)


def private(job: Job, key: str) -> None:
    """Somebody else is refused, and gets nothing that is stored."""
    sent = job.nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache")
    assert "error" in job.tell("get", key, secret=WRONG)
    job.nezha.store_all()
    assert job.nezha.metric("nezha_response_bytes_total", origin="imagenet", source="cache") == sent
    job.row["private"] = DONE


def parts_and_lists(job: Job, prefix: str, key: str) -> None:
    """A range, a URL, HEAD and LIST of the stored object."""
    body, before = body_for(job.name, 2), job.moved()
    start, stop = PART
    job.note("range", job.tell("range", key, start=start, stop=stop), digest(body[start:stop]))
    if job.is_url:
        job.row["presigned"] = DONE
    else:
        job.note("presigned", job.tell("url", key), digest(body))
    job.nezha.store_all()
    assert job.moved() - before <= OVERHEAD * len(body)
    job.note("HEAD", job.tell("head", key), len(body))
    job.note("LIST", job.tell("list", prefix), [key])


def writes(job: Job, key: str) -> None:
    """What was just written is what is read."""
    for seed in (3, 4):
        if not job.write(key, body_for(job.name, seed)):
            return
        job.read(key, body_for(job.name, seed))
    job.row["written"] = DONE


def table_of_versions(job: Job, key: str) -> None:
    """Deltalake's objects never change: each write makes new ones, and a list of them."""
    for seed in (1, 2):
        body = body_for(job.name, seed)
        assert job.write(key, body)
        before = job.moved()
        job.read(key, body)
        after_cold = job.moved()
        job.read(key, body)
        assert after_cold > before
        assert job.moved() - after_cold <= OVERHEAD * len(body)
    private(job, key)
    job.row |= dict.fromkeys(("cold", "warm", "written", "LIST"), DONE)


def test_the_table_is_the_one_that_is_documented() -> None:
    if set(rows) != set(CLIENTS):
        servers.missing(f"no row of {', '.join(sorted(set(CLIENTS) - set(rows)))}")
    table = markdown(COLUMNS, rows)
    print(f"\n{table}")
    settled("s3", table)
