"""A cache that only reads its CA waits for the process that makes it, follows its rotations, and changes nothing."""

import asyncio
from pathlib import Path

import pytest

from nezha.errors import SettingsError
from nezha.pki.bundle import pem
from nezha.pki.keeper import Keeper
from nezha.pki.shelf import Directory
from tests.origin import Origin
from tests.running import HOST, web
from tests.serving import Serving, serving

ONLY_CACHE = {"admission": {"enabled": False}, "tls": {"follow": True}}


async def test_a_cache_waits_for_its_ca_and_follows_it(tmp_path: Path) -> None:
    keeper = Keeper(Directory(tmp_path / "tls"), [HOST], 3600.0)
    async with Origin() as origin, serving(tmp_path, web(origin), first="waiting_for_ca", **ONLY_CACHE) as nezha:
        made = await asyncio.to_thread(keeper.open)
        assert (await nezha.event("ready"))["admission"] is None
        assert nezha.ready["admission_port"] == 0
        assert await authorities(nezha) == made.rotation.signing.certificate_pem
        rotated = await asyncio.to_thread(keeper.rotate, at_once=True)
        assert (await nezha.event("ca_changed"))["signing"] == rotated.rotation.signing.id
        assert await authorities(nezha) == pem(rotated.rotation.published)


async def authorities(nezha: Serving) -> bytes:
    """What the cache port says is to be trusted."""
    async with await nezha.client() as client:
        return (await client.get("/ca.crt", "nezha")).body


def test_a_ca_for_other_hosts_is_not_taken(tmp_path: Path) -> None:
    maker = Keeper(Directory(tmp_path), [HOST], 3600.0)
    follower = Keeper(Directory(tmp_path), [HOST, "other.test"], 3600.0)
    with pytest.raises(SettingsError, match=r"there is no CA"):
        follower.find()
    kept = maker.open()
    assert maker.find().version == kept.version
    with pytest.raises(SettingsError, match=r"ca\.crt: is for other hosts: start the process that keeps it"):
        follower.find()
    Keeper(Directory(tmp_path), follower.hosts, 3600.0).open()
    assert follower.find().rotation.signing.is_limited_to(follower.hosts)
