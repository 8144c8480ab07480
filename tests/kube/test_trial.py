"""`nezha try`: each part against a real Nezha, and what it says where something is not as it should be."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nezha.kube import trial
from nezha.kube.findings import Finding
from nezha.kube.trial import Origin, Way, about_cache, about_certificates, about_injection, attempt, origin
from nezha.loading import load
from tests.running import HOST, running

WAY = Way("10.96.0.7", (HOST,), wants_trust=True, namespace="jobs")


ALIAS = {"ip": WAY.address, "hostnames": [HOST]}


def own(port: int, **more: Any) -> dict[str, Any]:
    """The chart's origin `helm-test`."""
    connect = f"http://127.0.0.1:{port}"
    return {"name": "helm-test", "dialect": "http", "hosts": [trial.HOST], "connect": connect, "fresh": "1h", **more}


@pytest.fixture
def server() -> Iterator[Origin]:
    """The origin of the part `cache`; made and ended outside the event loop, for it blocks."""
    with origin(0) as made:
        yield made


def verdicts(findings: list[Finding]) -> list[str]:
    return [each.verdict for each in findings]


async def test_the_first_read_is_a_miss_and_the_second_a_hit(tmp_path: Path, server: Origin) -> None:
    async with running(tmp_path, own(server.server_port)) as nezha:
        found = await asyncio.to_thread(lambda: list(about_cache(server, "127.0.0.1", nezha.port)))
    assert verdicts(found) == ["ok", "ok"]
    assert "fwd=uri-miss" in found[0].seen
    assert "hit" in found[1].seen


async def test_a_cache_that_keeps_nothing_is_found_out(tmp_path: Path, server: Origin) -> None:
    async with running(tmp_path, own(server.server_port, max_object=1)) as nezha:
        found = await asyncio.to_thread(lambda: list(about_cache(server, "127.0.0.1", nezha.port)))
    assert "wrong" in verdicts(found)
    assert any("asked" in each.seen for each in found)


async def test_certificates_are_those_of_its_ca_and_only_of_configured_names(tmp_path: Path, server: Origin) -> None:
    async with running(tmp_path, own(server.server_port, hosts=[HOST])) as nezha:
        ports = nezha.port, nezha.port
        names = [HOST, "other.test"]
        found = await asyncio.to_thread(lambda: list(about_certificates("127.0.0.1", names, ports)))
    assert verdicts(found) == ["ok", "wrong"]
    assert "TLSv1.3" in found[0].seen


def test_something_else_that_answers_is_found_out(server: Origin) -> None:
    ports = server.server_port, server.server_port
    assert [each.what for each in about_certificates("127.0.0.1", [HOST], ports)] == ["Nezha's CA"]
    with origin(0) as another:
        (found,) = about_cache(another, "127.0.0.1", server.server_port)
    assert "answered 404" in found.seen


@pytest.mark.parametrize(
    ("spec", "verdict", "says"),
    [
        ({"hostAliases": [ALIAS], "volumes": [{"name": "nezha-trust"}]}, "ok", "1 names"),
        ({"hostAliases": [ALIAS]}, "wrong", "is not made to trust"),
        ({"hostAliases": [{**ALIAS, "ip": "10.0.0.1"}]}, "wrong", f"not pointed at {WAY.address} for {HOST}"),
        ({}, "wrong", "is not pointed"),
    ],
)
def test_a_pod_is_judged_by_what_the_api_server_made_of_it(spec: dict[str, Any], verdict: str, says: str) -> None:
    found = about_injection({"spec": spec}, WAY)
    assert found.verdict == verdict
    assert says in found.seen


def test_outside_a_cluster_it_says_that_the_service_does_not_resolve() -> None:
    (found,) = attempt("health", load("admission: {service: nezha.nowhere}", {}), "default", seconds=0)
    assert found.verdict == "wrong"
    assert "does not resolve" in found.seen
