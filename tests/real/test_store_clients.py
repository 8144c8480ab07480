"""What jobs read with the SDKs of Google Cloud Storage, Azure and Hugging Face, through Nezha, as in a pod.

Azurite verifies SharedKey and SAS. fake-gcs-server answers the SDKs' ordinary reads; it judges neither conditions nor
credentials, so that those are proven against the doubles, whose credentials are their own.
"""

import contextlib
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nezha.admission import trust
from nezha.loading import load
from nezha.routes import make_routes
from tests.doubles import gcs, huggingface
from tests.objects import pattern
from tests.real import servers, stores
from tests.real.client_table import DONE, markdown, settled
from tests.real.pod import Pod
from tests.real.servers import Nezha

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SIZES = {"train/big.bin": 20_000_000, "train/a b.bin": 70_000}
PART = (1_000_000, 3_000_000)
NOBODY_NOT = "pyarrow_azure"  # it shows some credential always
REFUSALS = {"401", "403", "404"}
CAS_VERSIONS = (1, 2)
COLUMNS = ("cold", "warm", "overwritten", "private", "range")
rows: dict[str, dict[str, str]] = {}


@dataclass(frozen=True)
class Store:
    """A store to read from: Nezha's settings for it, a way past Nezha, and who may read."""

    settings: Mapping[str, Any]
    put: Callable[[str, bytes], None]
    bucket: str
    good: Mapping[str, str]
    bad: Mapping[str, str] = field(default_factory=dict)
    hub: huggingface.HubOrigin | None = None


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
        yield Store(settings, put, "org/model", {"token": "good"}, {"another": "other", "nobody": ""}, origin)


ROWS = [
    ("google_cloud_storage", gcs_double),
    ("google_cloud_storage", fake_gcs),
    ("gcsfs", gcs_double),
    ("gcsfs", fake_gcs),
    ("pyarrow_gcs", gcs_double),
    ("azure_storage_blob", azurite),
    ("adlfs", azurite),
    ("pyarrow_azure", azurite),
    ("huggingface_hub", hub),
]


@dataclass(frozen=True)
class Job:
    """One SDK in a pod, and the store it reads."""

    how: str
    name: str
    store: Store
    pod: Pod
    nezha: Nezha
    disk: Path

    def read(self, *reads: dict[str, Any]) -> list[dict[str, str]]:
        whole = [{"keys": list(SIZES), "range": None} | each for each in reads]
        wanted = {"bucket": self.store.bucket, "reads": whole}
        found: list[dict[str, str]] = self.pod.run("store_reads", self.how, wanted)
        self.nezha.settle()
        return found


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
            name = f"{how.replace('_', '-')} ({play.__name__.replace('_', '-')})"
            pod = pod.with_env(**switches, PYTHONWARNINGS="ignore")
            yield Job(how, name, store, pod, nezha, Path(data) / "cache")
        assert nezha.complaints() == []


def fill(store: Store, seed: int) -> dict[str, str]:
    """Writes the objects behind Nezha's back; their digests."""
    bodies = {key: pattern(size, seed) for key, size in SIZES.items()}
    for key, body in bodies.items():
        store.put(key, body)
    return {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}


def test_cold_warm_ranged_and_overwritten_reads_are_true_and_nobody_else_gets_a_byte(job: Job) -> None:
    wanted, total = fill(job.store, 1), sum(SIZES.values())
    good = [{"credential": credential} for credential in job.store.good.values()]
    bad = [{"credential": credential} for credential in job.store.bad.values() if credential or job.how != NOBODY_NOT]
    part = good[0] | {"keys": ["train/big.bin"], "range": PART}
    parts = [] if job.how == "huggingface_hub" else [part]  # it reads whole files only

    found = iter(job.read(*bad, *good, *good, *parts, *bad))
    for _ in bad:
        assert set(next(found).values()) <= REFUSALS, "cold"
    for _ in (*good, *good):
        assert next(found) == wanted
    for _ in parts:
        body = pattern(SIZES["train/big.bin"], 1)[slice(*PART)]
        assert next(found) == {"train/big.bin": hashlib.sha256(body).hexdigest()}
    for _ in bad:
        assert set(next(found).values()) <= REFUSALS, "warm"
    assert job.nezha.metric("nezha_store_bytes") == total
    # All but the first read came from the store.
    assert job.nezha.metric("nezha_response_bytes_total", origin="store", source="cache") >= (2 * len(good) - 1) * total
    if job.store.settings["dialect"] != "azure":  # a SharedKey read is answered whole, and cut short
        assert job.nezha.metric("nezha_origin_bytes_total", origin="store") < 1.05 * total

    changed = fill(job.store, 2)
    assert job.read(*good) == [changed] * len(good)

    seen = {"cold": True, "warm": True, "overwritten": True, "private": bool(bad), "range": bool(parts)}
    rows[job.name] = {column: DONE for column, is_seen in seen.items() if is_seen}


@pytest.mark.parametrize("job", [("google_cloud_storage", gcs_double)], ids=["gcs"], indirect=True)
def test_clients_of_every_form_of_gcs_read_the_same_bytes_once(job: Job) -> None:
    wanted, total = fill(job.store, 1), sum(SIZES.values())
    for how in ("google_cloud_storage", "pyarrow_gcs", "gcsfs"):
        assert replace(job, how=how).read({"credential": job.store.good["token"]}) == [wanted]
    assert job.nezha.metric("nezha_store_bytes") == total
    assert job.nezha.metric("nezha_store_objects") == len(SIZES)
    assert job.nezha.metric("nezha_origin_bytes_total", origin="store") < 1.05 * total


@pytest.mark.parametrize("version", CAS_VERSIONS)
@pytest.mark.parametrize("job", [("huggingface_hub", hub)], ids=["hub"], indirect=True)
def test_with_xet_each_read_is_asked_for_and_the_xorbs_come_from_the_store(job: Job, version: int) -> None:
    origin = job.store.hub
    assert origin is not None
    origin.cas_version = version
    job = replace(job, pod=job.pod.with_env(HF_HUB_DISABLE_XET="0"))  # the container's own, which stays
    wanted = fill(job.store, 1)
    good, *bad = ({"credential": each} for each in (job.store.good["token"], *job.store.bad.values()))
    refused = [dict.fromkeys(SIZES, "401")] * len(bad)

    assert job.read(*bad) == refused
    assert (origin.tokens, origin.xorb_bytes) == ({}, 0)
    assert job.read(good) == [wanted]
    cold = origin.xorb_bytes
    assert cold > sum(SIZES.values())  # chunks and their headers: nothing is compressed, and nothing read twice
    assert job.nezha.metric("nezha_store_bytes") == cold
    assert job.nezha.metric("nezha_store_objects") == len(origin.xorbs) > len(SIZES)
    asked = reconstructions(origin)
    assert asked.keys() == {f"v{each}" for each in {version, 2}}  # hf_xet tries the second version first

    assert job.read(good, *bad) == [wanted, *refused]
    assert origin.xorb_bytes == cold
    assert job.nezha.metric("nezha_response_bytes_total", origin="store", source="cache") == cold
    assert reconstructions(origin) == {each: 2 * count for each, count in asked.items()}
    assert list(origin.tokens.values()) == ["Bearer good"] * 2 * len(SIZES)

    changed = fill(job.store, 2)
    assert job.read(good) == [changed]
    assert origin.count("POST", "/v1/telemetry")
    held = b"".join(path.read_bytes() for path in job.disk.rglob("*") if path.is_file())
    for secret in (*origin.tokens, "Bearer", "Signature=", "unpacked_length"):
        assert secret.encode() not in held

    row = f"huggingface-hub with hf-xet (hub, reconstructions v{version})"
    rows[row] = dict.fromkeys(("cold", "warm", "overwritten", "private"), DONE)


def reconstructions(origin: huggingface.HubOrigin) -> dict[str, int]:
    """How often the CAS was asked for one, by the version of its API."""
    paths = [request.path.split("/") for request in origin.requests if request.header("host") == huggingface.CAS]
    return Counter(path[1] for path in paths if path[2] == "reconstructions")


def test_the_table_is_the_one_that_is_documented() -> None:
    if len(rows) < len(ROWS) + len(CAS_VERSIONS):
        servers.missing("not every client was asked")
    settled("stores", markdown(COLUMNS, dict(sorted(rows.items()))))
