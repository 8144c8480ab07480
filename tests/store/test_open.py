"""Which directories a store can be opened in, and what it says of those that it cannot."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nezha.errors import StoreError
from tests.store.conftest import Mount
from tests.store.parts import SLICE, body, opened, sound


async def refusal(directory: Path) -> str:
    """What the store says of `directory`/cache."""
    with pytest.raises(StoreError) as caught:
        async with opened(directory):
            pass
    return str(caught.value)


async def test_a_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    async with opened(tmp_path / "not" / "there") as store:
        await store.keep("web//a", body(SLICE))
        assert await store.read("web//a") == body(SLICE)


async def test_a_file_is_no_directory(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "cache").write_bytes, b"x")
    message = await refusal(tmp_path)
    assert message == f"cache.directory {tmp_path}/cache: {tmp_path}/cache: File exists"


async def test_a_path_through_a_file_is_no_directory(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "file").write_bytes, b"x")
    assert "Not a directory" in await refusal(tmp_path / "file")


@pytest.mark.parametrize("name", ["index", "staging"])
async def test_a_file_where_the_store_has_a_directory_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "cache" / name
    await asyncio.to_thread(path.parent.mkdir)
    await asyncio.to_thread(path.write_bytes, b"x")
    assert f"{path}: Not a directory" in await refusal(tmp_path)


async def test_a_volume_that_cannot_be_written_is_named(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "1m", "ro")
    assert await refusal(directory) == f"cache.directory {directory}/cache: {directory}/cache: Read-only file system"


async def test_a_store_on_a_volume_that_became_read_only_is_named(mount: Mount) -> None:
    directory = await asyncio.to_thread(mount, "32m")
    async with opened(directory) as store:
        await store.keep("web//a", body(SLICE))
    remount = ["mount", "-o", "remount,ro", str(directory)]
    await asyncio.to_thread(subprocess.run, remount, check=True)
    assert (
        await refusal(directory) == f"cache.directory {directory}/cache: {directory}/cache/lock: Read-only file system"
    )


@pytest.mark.parametrize("place", ["cache", "cache/index/cache.db"])
def test_what_another_user_owns_is_named(tmp_path: Path, place: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("changing users needs root")
    asyncio.run(make_a_store(tmp_path / "home"))
    for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]:
        os.chown(path, 65534, 65534)
    os.chown(tmp_path / "home" / place, 0, 0)
    (tmp_path / "home" / place).chmod(0o755 if (tmp_path / "home" / place).is_dir() else 0o644)
    for above in [tmp_path, *tmp_path.parents[:-1]]:
        above.chmod(above.stat().st_mode | 0o005)
    script = (
        "import asyncio, os, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from tests.store.test_open import make_a_store\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: asyncio.run(make_a_store(Path(sys.argv[1])))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "home"), *sys.path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    home = tmp_path / "home"
    assert done.stdout == f"StoreError cache.directory {home}/cache: {home}/{place}: Permission denied\n", done


async def make_a_store(directory: Path) -> None:
    async with opened(directory) as store:
        await store.keep("web//a", body(SLICE))


async def test_two_stores_do_not_share_a_directory(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        assert "another process stores here" in await refusal(tmp_path)
        await first.keep("web//a", body(SLICE))
        assert await first.read("web//a") == body(SLICE)
    async with opened(tmp_path) as next_one:
        assert await next_one.read("web//a") == body(SLICE)


async def test_what_else_is_on_the_volume_is_no_matter_and_stays(tmp_path: Path) -> None:
    def others() -> list[Path]:
        cache = tmp_path / "cache"
        made = [cache / "lost+found", cache / ".snapshot", cache / "index" / "ab", cache / "index" / "lost+found"]
        made += [cache / "staging" / "lost+found", cache / "index" / "cd" / "a-directory.x"]
        for path in made:
            path.mkdir(parents=True, mode=0o000 if path.name == "lost+found" else 0o755)
        files = [cache / "README", cache / "index" / "README", cache / "index" / "ab" / "notes.txt"]
        for path in files:
            path.write_text("not ours")
        (cache / "staging" / "left").write_text("ours, and never adopted")
        (cache / "index" / "ef").symlink_to(cache / "nowhere")
        return [*made, *files]

    made = await asyncio.to_thread(others)
    async with opened(tmp_path) as store:
        await store.keep("web//a", body(SLICE))
        assert await store.read("web//a") == body(SLICE)
        assert store.metric("nezha_store_errors_total") == 0
    assert await asyncio.to_thread(lambda: [path for path in made if not path.exists()]) == []
    assert not await asyncio.to_thread((tmp_path / "cache" / "staging" / "left").exists)


async def test_an_empty_store_is_sound(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert (store.metric("nezha_store_bytes"), store.metric("nezha_store_objects")) == (0, 0)
        assert store.metric("nezha_store_usable") == 1
    assert (await asyncio.to_thread(sound, store.directory)).objects == 0


async def test_epochs_outlive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert store.store.epochs.of(("web", "")) == 0
        store.store.epochs.begin(("web", ""))
        store.store.epochs.begin(("s3", "bucket"))
        raised = store.store.epochs.of(("web", "")), store.store.epochs.of(("s3", "bucket"))
        assert all(raised)
    async with opened(tmp_path) as again:
        assert (again.store.epochs.of(("web", "")), again.store.epochs.of(("s3", "bucket"))) == raised
        assert again.store.epochs.of(("s3", "other")) == 0
        again.store.epochs.begin(("web", ""))
        assert again.store.epochs.of(("web", "")) > raised[0]
