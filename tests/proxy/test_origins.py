"""How Nezha reaches origins: connections kept and given up, TLS, an egress proxy, never itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from nezha.pki.keeper import load_or_create
from nezha.pki.leaves import Leaves
from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.running import running, web

SIZE = 6_000_000


async def tls_origin(directory: Path) -> tuple[Origin, Path]:
    """An HTTPS origin on loopback, and the CA file that vouches for it."""
    authority = await asyncio.to_thread(load_or_create, directory, ["127.0.0.1"])
    context = await Leaves(authority, ["127.0.0.1"], lifetime=timedelta(days=1)).context(None)
    return Origin(tls=context), directory / "ca.crt"


@contextlib.asynccontextmanager
async def egress() -> AsyncIterator[tuple[str, list[str]]]:
    """A forward proxy that knows CONNECT and nothing else; its URL, and what it was asked for."""
    asked: list[str] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        authority = head.split(b" ")[1].decode()
        asked.append(authority)
        host, port = authority.split(":")
        there, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as both:
            both.create_task(copy(reader, out))
            both.create_task(copy(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_an_origin_behind_tls_is_verified_by_its_ca_file(tmp_path: Path) -> None:
    origin, ca_file = await tls_origin(tmp_path / "origin")
    async with origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control="max-age=60"))
        async with running(tmp_path, web(origin, ca_file=str(ca_file))) as nezha:
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert (await nezha.get("/a")).body == pattern(SIZE)
            assert origin.count() == 1
        async with running(tmp_path / "distrusting", web(origin)) as nezha:
            refused = await nezha.get("/a")
            assert refused.status == 502
            assert b"TLS" in refused.body


async def test_an_egress_proxy_carries_plain_and_tls_origins(tmp_path: Path) -> None:
    secure, ca_file = await tls_origin(tmp_path / "origin")
    async with Origin() as plain, secure, egress() as (url, asked):
        for number, origin in enumerate((plain, secure)):
            origin.serve("/a", Object(body=Pattern(SIZE)))
            settings = web(origin, proxy=url, **({"ca_file": str(ca_file)} if origin is secure else {}))
            async with running(tmp_path / f"{number}", settings) as nezha:
                assert (await nezha.get("/a")).body == pattern(SIZE)
        assert asked == [f"127.0.0.1:{plain.port}", f"127.0.0.1:{secure.port}"]


async def test_connections_are_kept_and_used_again(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"a"))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(5):
                await nezha.get("/a")
            assert (origin.count(), origin.connections) == (5, 1)


async def test_a_kept_connection_that_has_ended_costs_no_error(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"a"))
        origin.fault("/a", Fault(drop=True), nth=2)
        async with running(tmp_path, web(origin)) as nezha:
            assert (await nezha.get("/a")).status == 200
            assert (await nezha.get("/a")).status == 200
            assert origin.connections == 2


async def test_nezha_is_never_its_own_origin(tmp_path: Path) -> None:
    async with Origin() as origin:
        async with running(tmp_path, web(origin)) as other:
            pass
        listen = f"127.0.0.1:{other.port}"
        async with running(tmp_path, web(origin, connect=f"http://{listen}"), listen=listen) as nezha:
            refused = await nezha.get("/a")
            assert refused.status == 502
            assert b"Nezha's own address" in refused.body
