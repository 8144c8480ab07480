"""A Secret as the shelf of the CAs: what is read together is replaced together, and whoever is late is told."""

import asyncio
import base64
from pathlib import Path

import pytest

from nezha.errors import Conflict, SettingsError
from nezha.kube.secret import SecretShelf
from nezha.pki.keeper import ADMISSION, Keeper
from tests.kube.apiserver import ApiServer

SECRETS = "/api/v1/namespaces/nezha/secrets"
NAMES = ("ca.crt", "ca.key")


@pytest.fixture
async def shelf(server: ApiServer, tmp_path: Path) -> SecretShelf:
    """The Secret of the manifests, still empty."""
    server.put(SECRETS, "nezha-ca", {"type": "Opaque"})
    return SecretShelf("nezha", "nezha-ca", await asyncio.to_thread(server.kubeconfig, tmp_path))


async def test_what_is_saved_is_loaded_and_nothing_else_is_lost(server: ApiServer, shelf: SecretShelf) -> None:
    server.put(SECRETS, "nezha-ca", {"data": {"other": base64.b64encode(b"kept").decode()}})
    empty = await asyncio.to_thread(shelf.load, NAMES)
    assert empty.files == {}
    version = await asyncio.to_thread(shelf.save, {"ca.crt": b"C", "ca.key": b"K"}, empty.version)
    found = await asyncio.to_thread(shelf.load, NAMES)
    assert (found.files, found.version) == ({"ca.crt": b"C", "ca.key": b"K"}, version)
    await asyncio.to_thread(shelf.save, {"ca.crt": None, "ca.key": b"K"}, version)
    assert (await asyncio.to_thread(shelf.load, (*NAMES, "other"))).files == {"ca.key": b"K", "other": b"kept"}


async def test_whoever_is_late_changes_nothing(shelf: SecretShelf) -> None:
    empty = await asyncio.to_thread(shelf.load, NAMES)
    await asyncio.to_thread(shelf.save, {"ca.crt": b"1", "ca.key": b"1"}, empty.version)
    with pytest.raises(Conflict):
        await asyncio.to_thread(shelf.save, {"ca.crt": b"2", "ca.key": b"2"}, empty.version)
    assert (await asyncio.to_thread(shelf.load, NAMES)).files["ca.key"] == b"1"


async def test_a_change_between_reading_and_writing_is_a_conflict(server: ApiServer, shelf: SecretShelf) -> None:
    empty = await asyncio.to_thread(shelf.load, NAMES)
    server.fail("PUT", f"{SECRETS}/nezha-ca", 409)
    with pytest.raises(Conflict):
        await asyncio.to_thread(shelf.save, {"ca.crt": b"1", "ca.key": b"1"}, empty.version)


async def test_a_change_of_the_other_ca_is_none_of_this_one(shelf: SecretShelf) -> None:
    mine = await asyncio.to_thread(shelf.load, NAMES)
    theirs = await asyncio.to_thread(shelf.load, ("admission-ca.key",))
    await asyncio.to_thread(shelf.save, {"admission-ca.key": b"A"}, theirs.version)
    assert (await asyncio.to_thread(shelf.load, NAMES)).version == mine.version
    await asyncio.to_thread(shelf.save, {"ca.crt": b"1", "ca.key": b"1"}, mine.version)


async def test_replicas_that_start_together_share_one_ca(shelf: SecretShelf) -> None:
    def start(stem: str) -> str:
        return Keeper(shelf, ["a.test"], 60.0, stem).open().rotation.signing.id

    pods = await asyncio.gather(*(asyncio.to_thread(start, "ca") for _ in range(4)))
    admission = await asyncio.gather(*(asyncio.to_thread(start, ADMISSION) for _ in range(4)))
    assert len(set(pods)) == len(set(admission)) == 1
    assert set(pods) != set(admission)


@pytest.mark.parametrize(("status", "remedy"), [(404, "make an empty Secret"), (403, "service account")])
async def test_a_secret_that_cannot_be_read_is_reported_with_its_remedy(
    server: ApiServer, shelf: SecretShelf, status: int, remedy: str
) -> None:
    server.fail("GET", f"{SECRETS}/nezha-ca", status)
    with pytest.raises(SettingsError, match=f"tls.secret: .*{remedy}"):
        await asyncio.to_thread(shelf.load, NAMES)
