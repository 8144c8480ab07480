"""A scripted API server for each test, and a client of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nezha.kube.client import Client
from tests.kube.apiserver import ApiServer


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    """An API server that serves ClusterTrustBundles and allows everything."""
    async with ApiServer() as running:
        yield running


@pytest.fixture
async def client(server: ApiServer, tmp_path: Path) -> AsyncIterator[Client]:
    """A client by a kubeconfig."""
    made = Client(await asyncio.to_thread(server.kubeconfig, tmp_path))
    yield made
    await made.close()
