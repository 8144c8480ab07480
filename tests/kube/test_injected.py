"""Which running pods a rotated CA leaves behind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nezha.kube import injected
from nezha.kube.client import Client, ClusterError
from tests.kube.apiserver import ApiServer

PODS = "/api/v1/namespaces/jobs/pods"
ANNOTATED = {"nezha.io/injected": "training"}
AT = 1_792_771_200.0  # 2026-10-23T16:00:00Z


def put(server: ApiServer, name: str, *, phase: str = "Running", **metadata: Any) -> None:
    """A pod made an hour before `AT`, unless said otherwise."""
    given = {"creationTimestamp": "2026-10-23T15:00:00Z", "annotations": ANNOTATED} | metadata
    server.put(PODS, name, {"status": {"phase": phase}}, **given)


async def ask(server: ApiServer, directory: Path) -> list[str]:
    """As the command does, in a thread without a loop."""
    kubeconfig = await asyncio.to_thread(server.kubeconfig, directory)
    return list(await asyncio.to_thread(injected.injected_before, Client(kubeconfig), AT))


async def test_running_pods_injected_before_are_named(server: ApiServer, tmp_path: Path) -> None:
    put(server, "old")
    put(server, "young", creationTimestamp="2026-10-23T17:00:00Z")
    put(server, "plain", annotations={})
    put(server, "done", phase="Succeeded")
    assert await ask(server, tmp_path) == ["jobs/old"]


async def test_all_pages_are_read(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injected, "_PAGE", 2)
    for number in range(5):
        put(server, f"n{number}")
    assert await ask(server, tmp_path) == [f"jobs/n{number}" for number in range(5)]


async def test_a_refusal_is_an_error(server: ApiServer, tmp_path: Path) -> None:
    server.fail("GET", "/api/v1/pods", 403)
    with pytest.raises(ClusterError, match="403"):
        await ask(server, tmp_path)
