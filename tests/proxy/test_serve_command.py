"""The process: what `nezha serve` and its small companions say, how they end, and with which code."""

import asyncio
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient, request_bytes
from tests.running import HOST, web
from tests.serving import SECONDS, clean, command, document, run_here, serving, written

SIZE = 3_000_000


def run(*arguments: object, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that ends by itself."""
    ended = subprocess.run(
        command(*arguments), env=clean(environment), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def only_line(errors: str) -> str:
    lines = errors.splitlines()
    assert len(lines) == 1, errors
    assert lines[0].startswith("nezha: ")
    return lines[0]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_ready_is_said_when_both_ports_accept(tmp_path: Path, loop: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with serving(tmp_path, web(origin), cache={"loop": loop}) as nezha:
            ready = nezha.lines[0]  # nothing comes before it
            assert ready["level"] == "info"
            assert ready["cache"] == f"127.0.0.1:{ready['cache_port']}"
            async with await nezha.client() as client:
                assert (await client.get("/a", HOST)).body == b"hello"
                assert (await client.get("/readyz", "nezha")).status == 200
            trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "admission-ca.crt"))
            async with await RawClient.open("localhost", ready["admission_port"], trust) as client:
                assert (await client.get("/healthz")).status == 200
            nezha.process.send_signal(signal.SIGINT)
            assert await nezha.end() == 0
            assert [line["event"] for line in nezha.lines[-2:]] == ["draining", "stopped"]
            assert nezha.errors == ""


async def test_sigterm_lets_running_responses_end(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with Origin() as origin:
        for path in ("/pass", "/store"):
            origin.serve(path, Object(body=Pattern(SIZE), cache_control="max-age=60"))
        origin.fault("*", Fault(hold=release, hold_after=100_000))
        async with serving(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as passing, await nezha.client() as storing, await nezha.client() as idle:
                await passing.send(request_bytes("GET", "/pass", HOST, [("Cookie", "a")]))
                await storing.send(request_bytes("GET", "/store", HOST))
                assert (await idle.get("/readyz", "nezha")).status == 200
                for client in (passing, storing):
                    assert (await client.read_head()).status == 200
                    assert await client.read(100_000) == pattern(100_000)
                nezha.process.terminate()
                await nezha.event("draining")
                assert await idle.eof()
                async with await nezha.client() as prober:
                    assert (await prober.get("/readyz", "nezha")).status == 503
                assert nezha.process.returncode is None
                release.set()
                for client in (passing, storing):
                    assert await client.read(SIZE - 100_000) == pattern(SIZE)[100_000:]
                    assert await client.eof()
                assert await nezha.end() == 0
            assert nezha.lines[-1]["event"] == "stopped"
            with pytest.raises(ConnectionRefusedError):
                await nezha.client()


async def test_sigterm_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE)))
        origin.fault("/a", Fault(hold=asyncio.Event(), hold_after=100_000))
        short = {"drain": "200ms"}
        async with serving(tmp_path, web(origin), cache=short) as nezha, await nezha.client() as client:
            await client.send(request_bytes("GET", "/a", HOST))
            await client.read_head()
            nezha.process.terminate()
            assert await nezha.end() == 0
            assert nezha.lines[-1]["event"] == "stopped"
            assert nezha.lines[-1]["seconds"] < 5
            assert nezha.errors == ""


async def test_a_restart_keeps_the_cache_and_the_ca(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=600"))
        certificates = []
        for _ in range(2):
            async with serving(tmp_path, web(origin)) as nezha:
                async with await nezha.client() as client:
                    assert (await client.get("/a", HOST)).body == pattern(SIZE)
                    certificates.append((await client.get("/ca.crt", "nezha")).body)
                nezha.process.terminate()
                assert await nezha.end() == 0
        assert origin.count() == 1
        assert certificates[0] == certificates[1]


@pytest.mark.parametrize("section", ["cache", "admission"])
def test_a_port_in_use_is_named(tmp_path: Path, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        path = written(tmp_path, document(tmp_path, **{section: {"listen": f"127.0.0.1:{port}"}}))
        code, _, errors = run("serve", "--config", path)
        assert code == 2
        assert "in use" in only_line(errors)
        assert f"{section}.listen" in errors
        assert str(port) in errors


@pytest.mark.parametrize("section", ["cache", "tls"])
@pytest.mark.parametrize("place", ["file", "/proc/nezha"])
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path, section: str, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    directory = str(tmp_path / "file") if place == "file" else place
    path = written(tmp_path, document(tmp_path, **{section: {"directory": directory}}))
    code, output, errors = run("serve", "--config", path)
    assert code == 2
    assert directory in only_line(errors)
    assert '"ready"' not in output
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"cache": {"lisen": "127.0.0.1:0"}}, "cache.lisen: unknown key; did you mean listen?"),
        ({"cahce": {}}, "cahce: unknown key; did you mean cache?"),
        ({"cache": {"size": "much"}}, "cache.size: "),
        ({"origins": [{"name": "web", "dialect": "http", "hots": ["a"]}]}, "origins[0].hots: unknown key"),
        ("cache: [", "line 1"),
    ],
    ids=["key", "section", "value", "list", "YAML"],
)
def test_settings_that_cannot_be_used_are_named_with_their_path(tmp_path: Path, tree: object, said: str) -> None:
    path = written(tmp_path, tree)
    code, output, errors = run_here("serve", "--config", path)
    assert (code, output) == (2, "")
    assert errors.startswith(f"nezha: {path}: ")
    assert said in errors
    assert "Traceback" not in errors


def test_settings_come_from_the_environment_too(tmp_path: Path) -> None:
    path = written(tmp_path, document(tmp_path))
    code, _, errors = run("serve", environment={"NEZHA_CONFIG": str(path), "NEZHA_CACHE__SIZE": "huge"})
    assert code == 2
    assert "cache.size (from NEZHA_CACHE__SIZE): " in only_line(errors)
    code, _, errors = run("serve", environment={"NEZHA_CONFIG": str(tmp_path / "none.yaml")})
    assert code == 2
    assert str(tmp_path / "none.yaml") in only_line(errors)


def test_check_config_shows_what_would_be_served(tmp_path: Path) -> None:
    store = {"name": "store", "dialect": "s3", "endpoint": "minio.corp:9000", "buckets": ["data"]}
    plain = {"name": "web", "dialect": "http", "hosts": [HOST], "connect": "http://127.0.0.1:1"}
    path = written(tmp_path, document(tmp_path, store, plain))
    code, output, errors = run_here("check-config", path)
    assert (code, errors) == (0, "")
    for shown in (HOST, "minio.corp:9000", "data.minio.corp:9000", "http://127.0.0.1:1"):
        assert shown in output
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "tls").exists()
    path.write_text("cache: {lisen: x}\n")
    code, output, errors = run_here("check-config", path)
    assert (code, output) == (2, "")
    assert "cache.lisen: unknown key" in only_line(errors)


def test_version_names_nezha_and_what_it_stands_on() -> None:
    code, output, errors = run("version")
    assert (code, errors) == (0, "")
    first, second = output.splitlines()
    assert first.startswith("nezha ")
    assert {"python", "aiohttp", "uvloop", "diskcache", "cryptography"} <= set(json.loads(second))


@pytest.mark.parametrize("arguments", [(), ("sevre",), ("serve", "--confg", "x"), ("check-config",)])
def test_usage_is_explained(arguments: tuple[str, ...]) -> None:
    code, output, errors = run_here(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("usage: nezha")


async def test_the_log_is_json_and_holds_no_secret(tmp_path: Path) -> None:
    query = "&".join(
        [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=hidden-1%2F20260101", "X-Amz-Signature=hidden-2",
            "X-Amz-Security-Token=hidden-3", "sig=hidden-4", "token=hidden-5", "name=shown",
        ]
    )  # fmt: skip
    secrets = [("Authorization", "Bearer hidden-6"), ("Cookie", "hidden-7"), ("X-Amz-Security-Token", "hidden-8")]
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        origin.fault("/down", Fault(drop=True))
        async with serving(tmp_path, web(origin)) as nezha:
            async with await nezha.client() as client:
                for path in ("/a", "/down", "/missing", '/a"\\'):
                    for method in ("GET", "PUT"):
                        fields = [*secrets, ("Content-Length", "0")]
                        await client.get(f"{path}?{query}", HOST, fields, method)
                await client.send(b"GET /a?sig=hidden-9 HTTP/1.1\r\nHost: web.test\r\nhidden: \x00\r\n\r\n")
                assert (await client.read_response()).status == 400
            nezha.process.terminate()
            assert await nezha.end() == 0
            assert nezha.errors == ""
        assert not [line for line in nezha.lines if "hidden" in json.dumps(line)]
        assert all({"time", "level", "event"} <= line.keys() for line in nezha.lines)
        requests = [line for line in nezha.lines if line["event"] == "request"]
        assert len(requests) == 8
        assert all("name=shown" in line["target"] for line in requests)
        first = {"origin": "web", "method": "GET", "host": HOST, "status": 200, "client": "127.0.0.1", "bytes": 5}
        assert requests[0] | first == requests[0]
        assert {line["status"] for line in requests} >= {200, 404, 502}
        assert [line["status"] for line in nezha.lines if line["event"] == "bad_request"] == [400]
