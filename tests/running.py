"""Runs the product inside a test: the real server on real ports, in the test's own event loop."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nezha.loading import load
from nezha.server import Server, prepare
from nezha.settings import Settings
from tests.origin import Origin
from tests.rawclient import RawClient, Response

HOST = "web.test"


def web(origin: Origin, **more: Any) -> dict[str, Any]:
    """The settings of an http origin: `HOST`, reached at a scripted origin."""
    return {"name": "web", "dialect": "http", "hosts": [HOST], "connect": origin.url, **more}


def settings_for(directory: Path, origins: Sequence[Mapping[str, Any]], tracing: Any = None, **cache: Any) -> Settings:
    """Settings as a user writes them, on ephemeral loopback ports, everything kept under `directory`."""
    document = {
        "cache": {"listen": "127.0.0.1:0", "directory": str(directory / "cache"), "size": "2GiB", "min_free": 0}
        | cache,
        "admission": {"listen": "127.0.0.1:0"},
        "tls": {"directory": str(directory / "tls")},
        "tracing": tracing,
        "origins": list(origins),
    }
    return load(yaml.safe_dump(document), {})


@dataclass
class Running:
    """A running Nezha and the ways to it."""

    server: Server
    directory: Path

    @property
    def port(self) -> int:
        return self.server.cache_port

    def trust(self) -> ssl.SSLContext:
        """A client's TLS context that trusts Nezha's CA and nothing else."""
        return ssl.create_default_context(cafile=str(self.directory / "tls" / "ca.crt"))

    async def client(self, *, name: str | None = None) -> RawClient:
        """A connection to the cache port: plain, or TLS with `name` as SNI."""
        if name is None:
            return await RawClient.open("127.0.0.1", self.port)
        return await RawClient.open("127.0.0.1", self.port, tls=self.trust(), server_hostname=name)

    async def get(
        self, path: str, *, host: str = HOST, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Response:
        """One request without a body over plain HTTP, on a connection of its own."""
        async with await self.client() as client:
            return await client.get(path, host, list((headers or {}).items()), method)

    async def until(self, is_so: Callable[[], bool], seconds: float = 60.0) -> None:
        """Until something that Nezha does in the background has been done."""
        async with asyncio.timeout(seconds):
            while not is_so():  # noqa: ASYNC110  # the product tells a test nothing; each look is bounded by the deadline
                await asyncio.sleep(0.002)

    async def quiet(self) -> None:
        """Until no fill runs: all that came is stored."""
        await self.until(lambda: self.metric("nezha_fills_running") == 0)

    async def joined(self) -> None:
        """Until whoever asked before waits with its leader: what comes in meanwhile has been worked off."""
        for _ in range(3):
            await self.get("/healthz", host="nezha")

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric as Prometheus would scrape it; 0 where it was never counted."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        total = 0.0
        for line in self.server.metrics.render().decode().splitlines():
            series, _, value = line.rpartition(" ")
            bare, _, rest = series.partition("{")
            if bare == name and wanted <= set(rest.rstrip("}").split(",")):
                total += float(value)
        return total


@contextlib.asynccontextmanager
async def running(
    directory: Path,
    *origins: Mapping[str, Any],
    now: Any = time.time,
    tracing: Any = None,
    **cache: Any,
) -> AsyncIterator[Running]:
    """A Nezha with these origins (as in the settings file) and this clock, drained at the end."""
    settings = settings_for(directory, origins, tracing, **{"drain": "5s", **cache})
    server = Server(await asyncio.to_thread(prepare, settings), now)
    await server.open()
    try:
        yield Running(server, directory)
    finally:
        await server.close()
