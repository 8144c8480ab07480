"""What jobs read with the SDKs of Google Cloud Storage, Azure and Hugging Face, through Nezha, as in a pod.

Azurite verifies SharedKey and SAS. fake-gcs-server answers the SDKs' ordinary reads; it judges neither conditions nor
credentials, so that those are proven against the doubles, whose credentials are their own.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nezha.admission import trust
from nezha.loading import load
from nezha.routes import make_routes
from tests.doubles import gcs, huggingface
from tests.objects import pattern
from tests.real import servers, stores
from tests.real.pod import Pod
from tests.real.servers import Nezha

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SIZES = {"train/big.bin": 20_000_000, "train/a b.bin": 70_000}
PART = (1_000_000, 3_000_000)


@dataclass(frozen=True)
class Store:
    """A store to read from: Nezha's settings for it, a way past Nezha, and who may read."""

    settings: Mapping[str, Any]
    put: Callable[[str, bytes], None]
    bucket: str
    good: Mapping[str, str]
    bad: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def azurite(directory: Path) -> Iterator[Store]:
    with stores.azurite(directory) as server:
        settings = {"name": "store", "dialect": "azure", "accounts": [stores.ACCOUNT], "connect": server.url}
        wrong = "d3Jvbmd3cm9uZ3dyb25nd3Jvbmd3cm9uZw=="
        good = {"key": stores.ACCOUNT_KEY, "sas": server.sas()}
        bad = {"wrong key": wrong, "ended": server.sas(-60), "nobody": ""}
        yield Store(settings, server.put, f"{stores.ACCOUNT}/{stores.CONTAINER}", good, bad)


@contextlib.contextmanager
def gcs_double(_: Path) -> Iterator[Store]:
    origin = gcs.GcsOrigin()

    def put(key: str, body: bytes) -> None:
        old = origin.blobs.get(("models", key))
        origin.blobs["models", key] = gcs.Blob(body, old.generation + 1 if old else 1700000000000001)

    with stores.played(origin):
        settings = {"name": "store", "dialect": "gcs", "connect": origin.url}
        yield Store(settings, put, "models", {"token": "good"}, {"another": "other", "nobody": ""})


@contextlib.contextmanager
def fake_gcs(directory: Path) -> Iterator[Store]:
    with stores.fake_gcs(directory, "models") as server:
        settings = {"name": "store", "dialect": "gcs", "connect": server.url}
        yield Store(settings, server.put, "models", {"token": "any"})


@contextlib.contextmanager
def hub(_: Path) -> Iterator[Store]:
    origin = huggingface.HubOrigin()

    def put(key: str, body: bytes) -> None:
        origin.files[f"/org/model/resolve/main/{key.replace(' ', '%20')}"] = huggingface.File(body)

    with stores.played(origin):
        settings = {"name": "store", "dialect": "huggingface", "connect": origin.url}
        yield Store(settings, put, "org/model", {"token": "good"}, {"another": "other", "nobody": ""})


ROWS = [
    ("google_cloud_storage", gcs_double),
    ("google_cloud_storage", fake_gcs),
    ("gcsfs", gcs_double),
    ("gcsfs", fake_gcs),
    ("pyarrow_gcs", gcs_double),
    ("azure_storage_blob", azurite),
    ("adlfs", azurite),
    ("huggingface_hub", hub),
]


@dataclass(frozen=True)
class Job:
    """One SDK in a pod, and the store it reads."""

    how: str
    store: Store
    pod: Pod
    nezha: Nezha

    def read(self, *reads: dict[str, Any]) -> list[dict[str, str]]:
        whole = [{"keys": list(SIZES), "range": None} | each for each in reads]
        wanted = {"bucket": self.store.bucket, "reads": whole}
        found: list[dict[str, str]] = self.pod.run("store_reads", self.how, wanted)
        self.nezha.settle()
        return found

    def moved(self) -> float:
        return self.nezha.metric("nezha_origin_bytes_total", origin="store")

    def cached(self) -> float:
        return self.nezha.metric("nezha_response_bytes_total", origin="store", source="cache")


@pytest.fixture(params=ROWS, ids=lambda row: f"{row[0]}-{row[1].__name__}")
def job(request: pytest.FixtureRequest, address: str, tmp_path: Path) -> Iterator[Job]:
    how, play = request.param
    stores.sdk_python()
    (tmp_path / "store").mkdir()
    with play(tmp_path / "store") as store, tempfile.TemporaryDirectory(prefix="nezha-cache-") as data:
        with servers.nezha(address, Path(data), tmp_path / "nezha.log", [store.settings]) as nezha:
            names = make_routes(load(f"origins: [{dict(store.settings)}]", {})).names
            pod = stores.with_sdks(Pod.aliased(tmp_path, address, names, nezha.authority))
            switches = dict(trust.switches(frozenset({store.settings["dialect"]})))
            yield Job(how, store, pod.with_env(**switches, PYTHONWARNINGS="ignore"), nezha)
        assert nezha.complaints() == []


def digests(seed: int) -> dict[str, str]:
    return {key: hashlib.sha256(pattern(size, seed)).hexdigest() for key, size in SIZES.items()}


def fill(store: Store, seed: int) -> dict[str, str]:
    for key, size in SIZES.items():
        store.put(key, pattern(size, seed))
    return digests(seed)


def test_cold_warm_ranged_and_overwritten_reads_are_true_and_nobody_else_gets_a_byte(job: Job) -> None:
    wanted = fill(job.store, 1)
    total = sum(SIZES.values())
    good = [{"credential": credential} for credential in job.store.good.values()]
    bad = [{"credential": credential} for credential in job.store.bad.values()]

    refusals = job.read(*bad) if bad else []
    assert all(set(found.values()) <= {"401", "403", "404"} for found in refusals), refusals
    assert job.read(good[0]) == [wanted]
    cold = job.moved()
    assert job.nezha.metric("nezha_store_bytes") == total

    before = job.cached()
    part = {"credential": good[0]["credential"], "keys": ["train/big.bin"], "range": PART}
    found = job.read(*good, part, *bad)
    assert found[: len(good)] == [wanted] * len(good)
    if job.how != "huggingface_hub":  # which reads whole files only
        body = pattern(SIZES["train/big.bin"], 1)[slice(*PART)]
        assert found[len(good)] == {"train/big.bin": hashlib.sha256(body).hexdigest()}
    assert all(set(each.values()) <= {"401", "403", "404"} for each in found[len(good) + 1 :]), found
    assert job.cached() - before >= len(good) * total
    if "azure" not in job.how and job.how != "adlfs":
        assert job.moved() - cold < 0.05 * total
    print(f"{job.how}: cold {cold / total:.2f}, warm {(job.moved() - cold) / total:.2f} of the bytes from the store")

    assert fill(job.store, 2) != wanted
    assert job.read(*good) == [digests(2)] * len(good)
