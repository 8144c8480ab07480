"""`nezha status`, `ls` and `purge`: what operators see, and what is gone afterwards."""

import asyncio
import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from nezha.control import place
from nezha.errors import SettingsError
from tests.control.asking import operate
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.running import HOST, running, web
from tests.serving import serving

FRESH = "max-age=3600"
SIZE = 100_000


async def test_status_tells_what_the_process_holds(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        for _ in range(3):
            await nezha.get("/a")
        await nezha.quiet()
        said = await operate(tmp_path, "status", "--json")
        assert said.code == 0
        status = said.json
        assert (status["ready"], status["draining"], status["pid"]) == (True, False, os.getpid())
        assert status["store"] == {"usable": True, "objects": 1, "bytes": SIZE, "size_bytes": 2 << 30}
        assert {name: count for name, count in status["requests"].items() if count} == {"miss": 1, "hit": 2}
        assert status["cache_port"] == nezha.port
        lines = (await operate(tmp_path, "status")).out.splitlines()
        assert lines[1] == "store      1 objects, 97.7KiB of 2.0GiB"
        assert lines[-1] == "requests   3: 2 hit, 1 miss"


async def test_ls_lists_what_begins_so_in_the_order_of_keys(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for path in ("/b", "/a/2", "/a/1", "/a/"):
            origin.serve(path, Object(body=b"hello", cache_control=FRESH))
            await nezha.get(path)
        await nezha.quiet()
        listed = (await operate(tmp_path, "ls", "--json")).json
        assert [each["key"] for each in listed] == [
            f"web/{HOST}//a\\x2f", f"web/{HOST}//a/1", f"web/{HOST}//a/2", f"web/{HOST}//b",
        ]  # fmt: skip
        (version,) = listed[0]["versions"]
        assert (version["size"], version["stored"], version["etag"]) == (5, 5, '"v1"')
        some = await operate(tmp_path, "ls", f"web/{HOST}//a/1")
        (line,) = some.out.splitlines()
        assert line.split()[:2] == ["5B", "all"]
        assert line.endswith(f"web/{HOST}//a/1")
        nothing = await operate(tmp_path, "ls", "other/", "--json")
        assert (nothing.code, nothing.json) == (0, [])


async def test_ls_streams_more_than_a_page_and_stands_a_reader_that_leaves(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        origin.serve("*", Object(body=b"hello", cache_control=FRESH))
        async with await nezha.client() as client:
            for number in range(600):
                await client.get(f"/{number:04}", HOST)
        await nezha.quiet()
        listed = (await operate(tmp_path, "ls", "--json")).json
        assert [each["key"] for each in listed] == [f"web/{HOST}//{number:04}" for number in range(600)]
        gone = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m nezha ls --config {tmp_path}/operator.yaml | head -1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await gone.communicate()
        assert (len(out.splitlines()), errors) == (1, b"")


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ([f"web/{HOST}//a"], ["/a/1", "/a/2", "/b"]),
        ([f"web/{HOST}//a/"], ["/a", "/b"]),
        ([f"web/{HOST}//a*"], ["/b"]),
        (["--origin", "web"], []),
        ([f"web/{HOST}//c"], ["/a", "/a/1", "/a/2", "/b"]),
    ],
)
async def test_a_purge_drops_what_it_names_and_no_more(tmp_path: Path, arguments: list[str], left: list[str]) -> None:
    paths = ["/a", "/a/1", "/a/2", "/b"]
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for path in paths:
            origin.serve(path, Object(body=Pattern(SIZE), cache_control=FRESH))
            await nezha.get(path)
        await nezha.quiet()
        gone = (await operate(tmp_path, "purge", *arguments, "--json")).json
        assert gone == {"objects": 4 - len(left), "bytes": SIZE * (4 - len(left)), "fills": 0, "grants": 0}
        assert nezha.metric("nezha_purged_objects_total") == 4 - len(left)
        assert nezha.metric("nezha_store_objects") == len(left)
        assert nezha.metric("nezha_store_bytes") == SIZE * len(left)
        listed = (await operate(tmp_path, "ls", "--json")).json
        assert [each["key"] for each in listed] == [f"web/{HOST}/{path}" for path in left]
        for path in paths:
            origin.serve(path, Object(body=b"new", etag='"v2"', cache_control=FRESH))
            assert (await nezha.get(path)).body == (pattern(SIZE) if path in left else b"new")


async def test_what_was_purged_is_gone_after_a_kill_too(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        async with serving(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                await client.get("/a", HOST)
            said = await operate(tmp_path, "purge", f"web/{HOST}//a")
            assert (said.code, said.out) == (0, "purged 1 objects (97.7KiB); ended 0 fills and 0 grants\n")
            line = await nezha.event("purged")
            assert (line["key"], line["objects"], line["bytes"], line["done"]) == (f"web/{HOST}//a", 1, SIZE, True)
            nezha.process.kill()
            await nezha.end()
            socket_left = tmp_path / "cache" / place.NAME
            assert await asyncio.to_thread(socket_left.is_socket)  # of the dead process: the next one replaces it
        origin.serve("/a", Object(body=b"new", etag='"v2"', cache_control=FRESH))
        async with serving(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                assert (await client.get("/a", HOST)).body == b"new"
            assert (await operate(tmp_path, "status")).code == 0


async def test_nothing_to_purge_is_said_and_is_no_failure(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)):
        said = await operate(tmp_path, "purge", f"web/{HOST}//a")
        assert (said.code, said.out) == (
            0, f"nothing is stored under web/{HOST}//a; `nezha ls` shows what there is\n",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["purge", "web/web.test"], 2, "names no object"),
        (["purge", "--origin", "wbe"], 2, "no origin is called 'wbe'"),
        (["purge", "a/b/\\"], 2, "backslash"),
        (["ls", "\\"], 2, "backslash"),
        (["status"], 1, "no `nezha serve` runs"),
        (["ls"], 1, "no `nezha serve` runs"),
        (["purge", "a/b/c"], 1, "no `nezha serve` runs"),
    ],
)
async def test_an_error_is_one_line_and_its_code(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    said = await operate(tmp_path, *arguments)
    assert said.code == code
    assert says in said.only_error


async def test_the_socket_is_the_owner_s_only_and_goes_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "cache" / place.NAME
    async with Origin() as origin:
        async with running(tmp_path, web(origin)):
            mode = (await asyncio.to_thread(path.stat)).st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600
        assert not await asyncio.to_thread(path.exists)


async def test_a_directory_of_a_living_process_is_refused_where_locks_do_not_tell(tmp_path: Path) -> None:
    def twice() -> None:
        with place.opened(tmp_path) as fd:
            first = place.listen(tmp_path, fd)
            with first, pytest.raises(SettingsError, match="another process"):
                place.listen(tmp_path, fd)
            place.listen(tmp_path, fd).close()  # dead now: replaced

    await asyncio.to_thread(twice)


async def test_the_sockets_address_leads_to_it_for_as_long_as_it_serves(tmp_path: Path) -> None:
    """From Python 3.13 on asyncio looks it up: when it begins to serve, and when it ends."""

    def leads() -> bool:
        lines = Path("/proc/net/unix").read_text().splitlines()
        names = {line.split()[-1] for line in lines if line.endswith(f"/{place.NAME}")}
        found = {path.stat().st_ino for path in map(Path, names) if path.exists()}
        return (tmp_path / "cache" / place.NAME).stat().st_ino in found

    async with Origin() as origin, running(tmp_path, web(origin)):
        assert await asyncio.to_thread(leads)


async def test_a_socket_that_cannot_be_made_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "cache" / place.NAME / "in the way").mkdir, parents=True)
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).body == b"hello"


async def test_a_directory_deeper_than_a_socket_s_name_may_be_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    await asyncio.to_thread(deep.mkdir)
    async with Origin() as origin, running(deep, web(origin)):
        assert (await operate(deep, "status")).code == 0


@pytest.mark.parametrize("question", [b"nonsense\n", b"{}\n", b'{"command": "reboot"}\n', b"", b"[" * 100_000 + b"\n"])
async def test_what_is_no_question_is_answered_by_an_error(tmp_path: Path, question: bytes) -> None:
    def talk() -> dict[str, object]:
        with place.connect(tmp_path / "cache") as connection:
            connection.sendall(question)
            connection.shutdown(socket.SHUT_WR)
            answer: dict[str, object] = json.loads(connection.makefile().readline())
            return answer

    async with Origin() as origin, running(tmp_path, web(origin)):
        assert str((await asyncio.to_thread(talk))["error"]).startswith("not understood")
