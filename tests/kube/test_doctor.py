"""`nezha doctor`: what is wrong in plain words, each with its remedy, and what may not be looked at."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nezha.cli import main
from nezha.kube.doctor import about_namespace, about_pod, about_service, about_trust, about_webhook
from nezha.kube.findings import Finding
from nezha.kube.here import look_here
from tests.kube.apiserver import ApiServer
from tests.origin import Origin, answer
from tests.running import HOST, running, web

ELSEWHERE = "127.0.0.2"  # where the name does not lead: then HTTPS is not tried, for which the origin would not answer
Told = list[dict[str, Any]]


def namespace(**labels: str) -> dict[str, Any]:
    """A namespace."""
    return {"metadata": {"name": "jobs", "labels": labels}}


def pod(address: str | None = None, **annotations: str) -> dict[str, Any]:
    """A pod, with an alias to an address."""
    aliases = [{"ip": address, "hostnames": [HOST]}] if address else []
    metadata = {"name": "train", "namespace": "jobs", "labels": {"team": "a"}, "annotations": annotations}
    return {"metadata": metadata, "spec": {"hostAliases": aliases}}


BUNDLE = {"spec": {"trustBundle": "PEM"}}
CONFIG_MAP = {"data": {"ca-bundle.crt": "PEM"}}
CALLED = {"webhooks": [{"name": "pods", "clientConfig": {"caBundle": "Q0E="}}]}
UNCALLED = {"webhooks": [{"name": "pods", "clientConfig": {}}]}
INJECTED = {"nezha.io/injected": "training"}


@pytest.mark.parametrize(
    ("found", "verdict", "says"),
    [
        (about_namespace(namespace(**{"hostaliases-injector": "enabled"})), "ok", "opted in"),
        (about_namespace(namespace()), "wrong", "kubectl label namespace jobs hostaliases-injector=enabled"),
        (about_service({"spec": {"clusterIPs": ["10.0.0.1", "fd00::1"]}}, "a.b"), "ok", "10.0.0.1, fd00::1"),
        (about_service({"spec": {"clusterIP": "None"}}, "a.b"), "wrong", "no ClusterIP"),
        (about_webhook(CALLED), "ok", "1 registered"),
        (about_webhook(UNCALLED), "wrong", "does not know Nezha's CA (pods)"),
        (about_trust("jobs", [BUNDLE], {}), "ok", "cluster-wide"),
        (about_trust("jobs", [], CONFIG_MAP), "ok", "in jobs as the ConfigMap"),
        (about_trust("jobs", [], {}), "wrong", "neither cluster-wide nor in jobs"),
        (about_pod(pod("10.0.0.1", **INJECTED), ["10.0.0.1"]), "ok", "by the rule training"),
        (about_pod(pod(), ["10.0.0.1"]), "wrong", "its labels: team=a"),
        (
            about_pod(pod("10.0.0.9", **INJECTED), ["10.0.0.1"]),
            "wrong",
            "points at 10.0.0.9, but the Service has 10.0.0.1",
        ),
    ],
)
def test_each_object_is_judged_with_its_remedy(found: Finding, verdict: str, says: str) -> None:
    assert found.verdict == verdict
    assert says in f"{found.seen} {found.remedy}"
    assert bool(found.remedy) == (verdict == "wrong")


# -- by the command


@pytest.fixture
def doctor(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """`nezha doctor --json` with arguments, against the scripted API server: its exit code and what it told."""

    async def run(*arguments: str) -> tuple[int, Told]:
        monkeypatch.setenv("KUBECONFIG", str(await asyncio.to_thread(server.kubeconfig, tmp_path)))
        code = await asyncio.to_thread(main, ["doctor", "--json", *arguments])
        return code, json.loads(capsys.readouterr().out)

    return run


def healthy(server: ApiServer) -> None:
    """A cluster in which all is well."""
    server.put("/api/v1/namespaces/nezha/services", "proxy-cache", {"spec": {"clusterIP": "10.0.0.1"}})
    server.put("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", "nezha", CALLED)
    server.put("/apis/certificates.k8s.io/v1/clustertrustbundles", "nezha-trust", BUNDLE)
    server.put("/api/v1/namespaces", "jobs", labels={"hostaliases-injector": "enabled"})
    server.put("/api/v1/namespaces/jobs/pods", "train", pod("10.0.0.1", **INJECTED))


async def test_a_healthy_cluster_has_nothing_wrong(server: ApiServer, doctor: Any) -> None:
    healthy(server)
    code, told = await doctor("-n", "jobs", "--pod", "train")
    assert (code, {each["verdict"] for each in told}) == (0, {"ok"})


async def test_an_empty_cluster_is_told_what_it_lacks(server: ApiServer, doctor: Any) -> None:
    code, told = await doctor("-n", "jobs", "--pod", "train")
    wrong = {each["what"] for each in told if each["verdict"] == "wrong"}
    assert code == 1
    assert wrong == {"the Service", "the webhook", "the namespace", "the trust bundle", "the pod"}


async def test_what_may_not_be_looked_at_is_unknown_and_no_failure(server: ApiServer, doctor: Any) -> None:
    healthy(server)
    server.fail("GET", "/api/v1/namespaces/jobs/pods/train", 403)
    code, told = await doctor("-n", "jobs", "--pod", "train")
    assert code == 0
    assert [each["what"] for each in told if each["verdict"] == "unknown"] == ["the pod"]


async def test_without_a_namespace_it_names_those_that_opted_in(server: ApiServer, doctor: Any) -> None:
    healthy(server)
    _, told = await doctor()
    assert "opted in: jobs" in [each["seen"] for each in told]


async def test_an_api_server_that_is_away_is_told_as_such(server: ApiServer, doctor: Any) -> None:
    await server.stop()
    code, told = await doctor()
    assert code == 0
    assert [(each["what"], each["verdict"]) for each in told] == [("the API server", "unknown")]


# -- from a pod


async def here(port: int, *, trust: Path | None = None, address: str = "127.0.0.1") -> dict[str, dict[str, Any]]:
    """`nezha doctor` where all names lead to 127.0.0.1 and `port`; what it told of this machine, by its subject."""
    environment = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "SSL_CERT_FILE")}
    if trust:
        environment["SSL_CERT_FILE"] = str(trust)
    words = ["-m", "tests.redirect", f"127.0.0.1:{port}", "nezha/__main__.py"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, "doctor", "--json", "--host", HOST, "--address", address,
        env=environment | {"PYTHONPATH": "."}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return {each["what"]: each for each in json.loads(output)}


async def test_a_redirected_and_trusting_machine_has_nothing_wrong(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        told = await here(nezha.port, trust=tmp_path / "tls" / "ca.crt")
    assert {each["verdict"] for what, each in told.items() if what != "the cluster"} == {"ok"}
    assert {f"{HOST} leads to Nezha", f"{HOST} is trusted over HTTPS", "the clock"} <= told.keys()


async def test_a_machine_without_the_bundle_is_told_how_to_trust(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        told = await here(nezha.port)
    assert told[f"{HOST} is trusted over HTTPS"]["verdict"] == "wrong"
    assert "SSL_CERT_FILE" in told[f"{HOST} is trusted over HTTPS"]["remedy"]


async def test_a_clock_that_is_off_is_told() -> None:
    async with Origin() as origin:
        origin.script("/readyz", [answer(200, [], b"ok  listening\nready\n")])
        origin.script("/healthz", [answer(200, [("Date", "Mon, 01 Jan 2024 00:00:00 GMT")])])
        told = await here(origin.port, address=ELSEWHERE)
    assert told["Nezha"]["verdict"] == "ok"
    assert told["the clock"]["verdict"] == "wrong"
    assert "ahead of Nezha's" in told["the clock"]["seen"]


async def test_what_nezha_complains_of_is_told() -> None:
    async with Origin() as origin:
        origin.script("/readyz", [answer(200, [], b"ok  listening\n--  trust bundle: forbidden\nready\n")])
        told = await here(origin.port, address=ELSEWHERE)
    assert (told["Nezha"]["verdict"], told["Nezha"]["seen"]) == ("wrong", "trust bundle: forbidden")


async def test_a_name_that_leads_elsewhere_is_told() -> None:
    found = await asyncio.to_thread(lambda: list(look_here(["localhost"], ["127.255.0.1"])))
    redirect = found[-1]
    assert redirect.verdict == "wrong"
    assert "instead of 127.255.0.1" in redirect.seen
    assert "hostaliases-injector=enabled" in redirect.remedy
