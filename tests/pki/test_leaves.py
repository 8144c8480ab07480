"""A listener gets a live context for each configured name: made once, off the loop, and renewed in time."""

import asyncio
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from nezha.errors import SettingsError
from nezha.pki.authority import Authority
from nezha.pki.keeper import load_or_create
from nezha.pki.leaves import Leaves
from tests.pki import handshake, trusting

NAMES = ["bucket.s3.amazonaws.com", "data.example", "10.0.0.1", "2001:DB8::1"]
DAY = 86_400.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return load_or_create(tmp_path_factory.mktemp("tls"), NAMES)


@pytest.fixture
def executor() -> Iterator["GatedExecutor"]:
    with GatedExecutor() as executor:
        yield executor


class Clock:
    def __init__(self) -> None:
        self.time = time.time()

    def __call__(self) -> float:
        return self.time


class GatedExecutor(Executor):
    """Makes leaves only once `gate` is open; counts them."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.submitted = 0
        self._threads = ThreadPoolExecutor()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1

        def gated() -> Any:
            assert self.gate.wait(10)
            return fn(*args, **kwargs)

        return self._threads.submit(gated)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)


def leaf_of(context: ssl.SSLContext | None, authority: Authority, name: str) -> x509.Certificate:
    """The leaf that a client which trusts the CA accepts for `name`."""
    assert context is not None
    der = handshake(context, trusting(authority.certificate_pem), name).getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def names_of(leaf: x509.Certificate) -> list[str]:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


async def test_a_configured_name_gets_a_leaf_that_clients_accept(authority: Authority) -> None:
    leaves = Leaves(authority, NAMES)
    for asked in ("data.example", "DATA.Example", "data.example."):
        leaf = leaf_of(await leaves.context(asked), authority, "data.example")
        assert names_of(leaf) == ["data.example"]
    leaf_of(await leaves.context("bucket.s3.amazonaws.com"), authority, "bucket.s3.amazonaws.com")


@pytest.mark.parametrize(
    "asked", ["", ".", "evil.example", "below.data.example", "example", "data.example..", "10.0.0.2"]
)
async def test_another_name_gets_none(authority: Authority, asked: str) -> None:
    leaves = Leaves(authority, NAMES)
    assert await leaves.context(asked) is None
    assert leaves.peek(asked) is None


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::1"])
async def test_without_sni_the_leaf_holds_all_configured_addresses(authority: Authority, address: str) -> None:
    leaf = leaf_of(await Leaves(authority, NAMES).context(None), authority, address)
    assert names_of(leaf) == ["10.0.0.1", "2001:db8::1"]


async def test_without_sni_and_addresses_there_is_none(tmp_path: Path) -> None:
    authority = await asyncio.to_thread(load_or_create, tmp_path, ["data.example"])
    leaves = Leaves(authority, ["data.example"])
    assert await leaves.context(None) is None


async def test_an_address_may_be_asked_for_in_any_spelling(authority: Authority) -> None:
    leaves = Leaves(authority, NAMES)
    assert await leaves.context("2001:db8:0::1") is await leaves.context("2001:DB8::1")


async def test_the_context_speaks_http_1_1_over_tls_1_2_or_later(authority: Authority) -> None:
    context = await Leaves(authority, NAMES).context("data.example")
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    client = trusting(authority.certificate_pem)
    client.set_alpn_protocols(["h2", "http/1.1"])
    connected = handshake(context, client, "data.example")
    assert connected.selected_alpn_protocol() == "http/1.1"
    assert connected.compression() is None
    silent = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    silent.maximum_version = ssl.TLSVersion.TLSv1_2
    connected = handshake(context, silent, "data.example")
    assert (connected.version(), connected.selected_alpn_protocol()) == ("TLSv1.2", None)


async def test_all_leaves_share_one_key_that_no_other_process_has(authority: Authority) -> None:
    leaves = Leaves(authority, NAMES)
    one = leaf_of(await leaves.context("data.example"), authority, "data.example")
    two = leaf_of(await leaves.context(None), authority, "10.0.0.1")
    other = leaf_of(await Leaves(authority, NAMES).context("data.example"), authority, "data.example")
    assert one.public_key() == two.public_key() != other.public_key()


async def test_what_is_at_hand_is_given_without_a_thread(authority: Authority, executor: GatedExecutor) -> None:
    executor.gate.set()
    leaves = Leaves(authority, NAMES, executor=executor)
    assert leaves.peek("data.example") is None
    context = await leaves.context("data.example")
    assert leaves.peek("Data.Example.") is context
    assert await leaves.context("data.example") is context
    assert executor.submitted == 1


async def test_a_thousand_connections_at_once_make_one_leaf(authority: Authority, executor: GatedExecutor) -> None:
    leaves = Leaves(authority, NAMES, executor=executor)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(leaves.context("data.example")) for _ in range(1000)]
        other = group.create_task(leaves.context("bucket.s3.amazonaws.com"))
        await asyncio.sleep(0)
        executor.gate.set()
    assert len({task.result() for task in waiting}) == 1
    assert other.result() not in {None, waiting[0].result()}
    assert executor.submitted == 2


async def test_a_connection_that_leaves_does_not_take_the_leaf_from_the_others(
    authority: Authority, executor: GatedExecutor
) -> None:
    leaves = Leaves(authority, NAMES, executor=executor)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(leaves.context("data.example"))
        second = group.create_task(leaves.context("data.example"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert first.cancelled()
        executor.gate.set()
    assert second.result() is leaves.peek("data.example") is not None
    assert executor.submitted == 1


async def test_a_leaf_is_renewed_after_two_thirds_of_its_life(authority: Authority) -> None:
    clock = Clock()
    leaves = Leaves(authority, NAMES, now=clock, lifetime=timedelta(days=30))
    assert leaves.expires_at() is None
    first = await leaves.context("data.example")
    start = clock.time
    assert leaves.expires_at() == int(start + 30 * DAY)
    clock.time = start + 20 * DAY - 2
    assert leaves.peek("data.example") is await leaves.context("data.example") is first
    clock.time = start + 20 * DAY
    assert leaves.peek("data.example") is None
    second = await leaves.context("data.example")
    assert second is not first
    assert leaves.peek("data.example") is second
    assert leaves.expires_at() == int(start + 50 * DAY)


async def test_the_earliest_end_is_what_is_told(authority: Authority) -> None:
    clock = Clock()
    leaves = Leaves(authority, NAMES, now=clock)
    await leaves.context("data.example")
    earliest = leaves.expires_at()
    clock.time += DAY
    await leaves.context(None)
    assert leaves.expires_at() == earliest


async def test_near_the_end_of_the_ca_leaves_are_not_made_ever_more_often(authority: Authority) -> None:
    clock = Clock()
    leaves = Leaves(authority, NAMES, now=clock)
    clock.time = authority.expires_at - 30
    last = await leaves.context("data.example")
    clock.time += 25
    assert leaves.peek("data.example") is last
    assert leaves.expires_at() == authority.expires_at


async def test_an_expired_ca_is_reported_to_each_who_asks(authority: Authority) -> None:
    clock = Clock()
    leaves = Leaves(authority, NAMES, now=clock)
    clock.time = authority.expires_at
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"ca\.crt: the CA has expired: remove this file"):
            await leaves.context("data.example")
    clock.time -= DAY
    assert await leaves.context("data.example") is not None  # a failure is not remembered


async def test_the_leaf_key_never_touches_a_disk(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self: ssl.SSLContext, path: str) -> None:
        paths.append(os.readlink(path))
        load(self, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    leaf_of(await Leaves(authority, NAMES).context("data.example"), authority, "data.example")
    assert paths == ["/memfd:leaf (deleted)"]
    assert not any("memfd:leaf" in path for path in await asyncio.to_thread(open_files))


def open_files() -> list[str]:
    return [os.path.realpath(f"/proc/self/fd/{descriptor}") for descriptor in os.listdir("/proc/self/fd")]


async def test_where_memory_files_are_missing_a_private_file_is_unlinked_at_once(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self: ssl.SSLContext, path: str) -> None:
        modes.append(os.stat(path).st_mode & 0o777)
        load(self, path)

    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    leaf_of(await Leaves(authority, NAMES).context("data.example"), authority, "data.example")
    assert modes == [0o600]
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
