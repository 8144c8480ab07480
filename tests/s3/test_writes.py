"""Whatever writes through Nezha, and whatever runs meanwhile: the next read never shows the old bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin, Talk, answer
from tests.rawclient import request_bytes
from tests.running import Running, running
from tests.wire import Received

HOST = "data.s3.us-east-1.amazonaws.com"
OLD, NEW = Pattern(6_000_000, 1), Pattern(6_000_001, 2)
OLD_BYTES, NEW_BYTES = pattern(6_000_000, 1), pattern(6_000_001, 2)
FORM = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Written:
    """A request that changes `/k`, as S3's clients send it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    host: str = field(default=HOST)


WRITES = {
    "put": Written("PUT", "/k", body=b"new"),
    "put by path": Written("PUT", "/data/k", body=b"new", host="s3.amazonaws.com"),
    "put in another encoding": Written("PUT", "/%6b", body=b"new"),
    "delete": Written("DELETE", "/k"),
    "delete of a version": Written("DELETE", "/k?versionId=v1"),
    "delete of many": Written("POST", "/?delete", body=b"<Delete><Object><Key>k</Key></Object></Delete>"),
    "end of a multipart upload": Written("POST", "/k?uploadId=u", body=b"<CompleteMultipartUpload/>"),
    "copy": Written("PUT", "/k", (("x-amz-copy-source", "/other/j"),)),
    "rename away": Written("PUT", "/j?renameObject", (("x-amz-rename-source", "k"),)),
    "form": Written("POST", "/", (("Content-Type", FORM),), b"--x\r\n...k...\r\n--x--"),
    "restore": Written("POST", "/k?restore", body=b"<RestoreRequest/>"),
}


def then(origin: Origin, *, after: asyncio.Event | None = None) -> Talk:
    """A script that changes the object, and says so; where `after` is given, behind a head that came before."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Received) -> None:
        if after is None:
            origin.serve("*", Object(body=NEW, etag='"v2"'))
            writer.write(answer(200, body=b"<Done/>"))
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n")
        await writer.drain()
        await after.wait()
        origin.serve("*", Object(body=NEW, etag='"v2"'))
        writer.write(b"7\r\n<Done/>\r\n0\r\n\r\n")

    return talk


@asynccontextmanager
async def store(tmp_path: Path, **cache: object) -> AsyncIterator[tuple[Origin, Running]]:
    """An object, and a Nezha that believes for a day and more whatever it has stored."""
    async with Origin() as origin:
        origin.serve("*", Object(body=OLD, etag='"v1"'))
        s3 = {"name": "s3", "dialect": "s3", "buckets": ["data"], "regions": ["us-east-1"], "connect": origin.url}
        async with running(tmp_path, {**s3, "fresh": "1d", "grant": "1d", "immutable": True}, **cache) as nezha:
            yield origin, nezha


async def write(nezha: Running, written: Written) -> None:
    async with await nezha.client() as client:
        raw = request_bytes(written.method, written.target, written.host, written.headers, written.body)
        assert (await client.exchange(raw)).body.strip() == b"<Done/>"


async def read(nezha: Running, target: str = "/k") -> bytes:
    return (await nezha.get(target, host=HOST)).body


@pytest.mark.parametrize("name", list(WRITES))
async def test_what_was_stored_before_a_write_is_not_read_after_it(tmp_path: Path, name: str) -> None:
    async with store(tmp_path) as (origin, nezha):
        for target in ("/k", "/k", "/k?versionId=null"):
            assert await read(nezha, target) == OLD_BYTES
        await nezha.quiet()
        asked = origin.count()
        assert await read(nezha) == OLD_BYTES
        assert origin.count() == asked  # nobody is asked: what follows is the write's doing
        origin.script("*", [then(origin)])
        await write(nezha, WRITES[name])
        for target in ("/k", "/k", "/k?versionId=null"):
            assert await read(nezha, target) == NEW_BYTES


@pytest.mark.parametrize("name", list(WRITES))
async def test_what_a_fill_brings_that_ran_during_a_write_is_not_read_after_it(tmp_path: Path, name: str) -> None:
    async with store(tmp_path) as (origin, nezha), await nezha.client() as leader:
        going = asyncio.Event()
        origin.fault("/k", Fault(hold=going, hold_after=1_000_000), nth=1)
        await leader.send(request_bytes("GET", "/k", HOST))
        await origin.held()
        origin.script("*", [then(origin)])
        await write(nezha, WRITES[name])
        going.set()
        assert (await leader.read_response()).body == OLD_BYTES  # from its own version, to the end
        await nezha.quiet()
        assert await read(nezha) == NEW_BYTES


@pytest.mark.parametrize("name", list(WRITES))
async def test_what_was_read_while_a_write_was_answered_is_not_read_after_it(tmp_path: Path, name: str) -> None:
    async with store(tmp_path, memory="1MiB") as (origin, nezha):
        done = asyncio.Event()
        origin.script("*", [then(origin, after=done)])
        writing = asyncio.create_task(write(nezha, WRITES[name]))
        await origin.arrived(1)
        for _ in range(2):
            assert await read(nezha) == OLD_BYTES
        await nezha.quiet()
        done.set()
        await writing
        assert await read(nezha) == NEW_BYTES


async def test_what_was_read_before_a_write_that_failed_half_way_is_asked_for_again(tmp_path: Path) -> None:
    async with store(tmp_path) as (origin, nezha):
        await read(nezha)
        origin.fault("/k", Fault(drop=True), when=lambda request: request.method == "PUT")
        async with await nezha.client() as client:
            assert (await client.exchange(request_bytes("PUT", "/k", HOST, body=b"new"))).status == 502
        origin.serve("*", Object(body=NEW, etag='"v2"'))  # it had been done
        assert await read(nezha) == NEW_BYTES
