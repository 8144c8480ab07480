"""Extent files: whatever is not what was written is found, by its length or by its checksums."""

import asyncio
import errno
import os
import random
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nezha.errors import ExtentCorrupt, StoreError, StoreFull
from nezha.model import Extent
from nezha.store.bodies import CHECKED_BYTES, Staging, StoredExtent, checksums, open_extent, read_inline
from tests.store.conftest import Mount
from tests.store.parts import body, flip

SIZE = 2 * CHECKED_BYTES + 12_345  # three checksums


def written(path: Path, content: bytes) -> StoredExtent:
    path.write_bytes(content)
    return StoredExtent(Extent(0, len(content)), checksums(memoryview(content)), str(path))


def is_sound(stored: StoredExtent, *, verify: bool = True) -> bool:
    try:
        os.close(open_extent(stored, verify=verify))
    except ExtentCorrupt:
        return False
    return True


def test_a_whole_extent_is_opened(tmp_path: Path) -> None:
    content = body(SIZE)
    fd = open_extent(written(tmp_path / "x", content), verify=True)
    try:
        assert os.pread(fd, SIZE, 0) == content
    finally:
        os.close(fd)


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    content = body(2000)
    stored = written(tmp_path / "x", content)
    with (tmp_path / "x").open("r+b", buffering=0) as file:
        for at in range(len(content)):
            os.pwrite(file.fileno(), bytes([content[at] ^ 1]), at)
            assert not is_sound(stored), at
            os.pwrite(file.fileno(), content[at : at + 1], at)
    assert is_sound(stored)


@pytest.mark.parametrize(
    "at",
    [
        *(0, 1, CHECKED_BYTES - 1, CHECKED_BYTES, 2 * CHECKED_BYTES - 1, 2 * CHECKED_BYTES, SIZE - 1),
        *random.Random(3).sample(range(2, SIZE - 2), 10),
    ],
)
def test_a_flipped_byte_is_found_in_whichever_mib_it_is(tmp_path: Path, at: int) -> None:
    stored = written(tmp_path / "x", body(SIZE))
    flip(tmp_path / "x", at)
    assert not is_sound(stored)
    assert is_sound(stored, verify=False)  # which is what `never` asks for


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("length", [0, 1, CHECKED_BYTES, SIZE - 1, SIZE + 1, 2 * SIZE])
def test_another_length_is_found_with_and_without_verification(tmp_path: Path, length: int, verify: bool) -> None:
    stored = written(tmp_path / "x", body(SIZE))
    os.truncate(tmp_path / "x", length)
    assert not is_sound(stored, verify=verify)


def test_a_hole_is_no_body(tmp_path: Path) -> None:
    stored = written(tmp_path / "x", body(SIZE))
    os.truncate(tmp_path / "x", 0)
    os.truncate(tmp_path / "x", SIZE)
    assert not is_sound(stored)


def test_swapped_files_are_found(tmp_path: Path) -> None:
    first, second = written(tmp_path / "1", body(SIZE, 1)), written(tmp_path / "2", body(SIZE, 2))
    (tmp_path / "1").rename(tmp_path / "3")
    (tmp_path / "2").rename(tmp_path / "1")
    (tmp_path / "3").rename(tmp_path / "2")
    assert not is_sound(first)
    assert not is_sound(second)


@pytest.mark.parametrize("kind", ["missing", "directory", "link", "pipe"])
@pytest.mark.parametrize("verify", [True, False])
def test_what_is_no_file_is_found(tmp_path: Path, kind: str, verify: bool) -> None:
    path = tmp_path / "x"
    stored = written(path, body(4096))
    path.rename(tmp_path / "y")
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "y")
    elif kind == "pipe":
        os.mkfifo(path)  # opening it must not wait for a writer
    assert not is_sound(stored, verify=verify)


def test_no_descriptor_to_be_had_is_not_the_extent_s_fault(tmp_path: Path) -> None:
    stored = written(tmp_path / "x", body(4096))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(StoreError) as caught:
            open_extent(stored, verify=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not isinstance(caught.value, ExtentCorrupt)
    assert is_sound(stored)


def test_no_descriptor_is_lost_to_corrupt_extents(tmp_path: Path) -> None:
    stored = written(tmp_path / "x", body(4096))
    flip(tmp_path / "x", 5)
    before = len(os.listdir("/proc/self/fd"))
    assert not any(is_sound(stored) for _ in range(20))
    os.truncate(tmp_path / "x", 1)
    assert not any(is_sound(stored) for _ in range(20))
    assert len(os.listdir("/proc/self/fd")) == before


# -- inline


def test_an_inline_extent_is_checked_like_a_file() -> None:
    content = body(500)
    crcs = checksums(memoryview(content))
    whole = Extent(0, len(content))
    assert read_inline(StoredExtent(whole, crcs, inline=content), verify=True) == content
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 128]) + content[at + 1 :]
        with pytest.raises(ExtentCorrupt):
            read_inline(StoredExtent(whole, crcs, inline=damaged), verify=True)
        assert read_inline(StoredExtent(whole, crcs, inline=damaged), verify=False) == damaged
    for damaged in (b"", content[:-1], content + b"x"):
        for verify in (True, False):
            with pytest.raises(ExtentCorrupt):
                read_inline(StoredExtent(whole, crcs, inline=damaged), verify=verify)


# -- staging


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


async def listed(directory: Path) -> list[Path]:
    return await asyncio.to_thread(lambda: sorted(directory.iterdir()))


async def test_a_staged_file_holds_the_bytes_and_tells_their_checksums(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    content = body(SIZE)
    staging = Staging(tmp_path / "staging", executor)
    await asyncio.to_thread(staging.make, is_swept=True)
    path, crcs = await staging.write(memoryview(content))
    other, _ = await staging.write(memoryview(b"other"))
    assert crcs == checksums(memoryview(content))
    assert await asyncio.to_thread(Path(path).read_bytes) == content
    assert await asyncio.to_thread(Path(other).read_bytes) == b"other"
    staging.abandon(path)
    staging.abandon(path)  # where it was adopted meanwhile: no matter
    await staging.write(memoryview(b""))  # behind those, in their thread
    assert path not in map(str, await listed(tmp_path / "staging"))
    await asyncio.to_thread(staging.make, is_swept=False)
    assert len(await listed(tmp_path / "staging")) == 2
    await asyncio.to_thread(staging.make, is_swept=True)
    assert await listed(tmp_path / "staging") == []


async def test_a_body_that_does_not_fit_leaves_nothing_behind(mount: Mount, executor: ThreadPoolExecutor) -> None:
    directory = await asyncio.to_thread(mount, "1m")
    staging = Staging(directory, executor)
    with pytest.raises(StoreFull, match=os.strerror(errno.ENOSPC)):
        await staging.write(memoryview(body(SIZE)))
    assert await listed(directory) == []


async def test_a_staging_directory_that_is_gone_is_an_error_of_the_store(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    with pytest.raises(StoreError, match="staging"):
        await Staging(tmp_path / "staging", executor).write(memoryview(b"abc"))
