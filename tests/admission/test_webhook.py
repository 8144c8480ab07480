"""The webhook with surroundings that a process alone does not have: what is noticed, and what happens on our error."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import ClientSession, web

from nezha.admission.handler import Webhook
from nezha.admission.rules import Rule
from nezha.admission.target import ClusterTrust, Notice, Target
from nezha.metrics import Metrics

TARGET = Target(("10.0.0.1",), ("a.test",), ClusterTrust())
UNREADY = Target(("10.0.0.1",), ("a.test",), None)
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "j-1", "controller": True}
ABOUT: dict[str, Any] = {"namespace": "train", "reason": "NotInjected"}
MESSAGE = "not injected: the trust bundle is not there for its namespace yet"


class Hook:
    """A webhook on a port, and what it told."""

    def __init__(self, url: str, session: ClientSession, metrics: Metrics, notices: list[Notice]) -> None:
        self.notices = notices
        self._url = url
        self._session = session
        self._metrics = metrics

    async def review(self, metadata: dict[str, Any], **request: Any) -> dict[str, Any]:
        pod = {"metadata": {"labels": {"team": "vision"}} | metadata, "spec": {"containers": [{"name": "c"}]}}
        fields = {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE", "namespace": "train", "object": pod}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": fields | request}
        async with self._session.post(f"{self._url}/mutate", json=body) as answer:
            assert answer.status == 200
            response: dict[str, Any] = (await answer.json())["response"]
            return response

    def counted(self, outcome: str) -> bool:
        return f'nezha_reviews_total{{outcome="{outcome}"}} 1.0' in self._metrics.render().decode()


@contextlib.asynccontextmanager
async def hook(target: Callable[[str], Target]) -> AsyncIterator[Hook]:
    metrics, notices = Metrics(), list[Notice]()
    webhook = Webhook(lambda: (Rule("r", "team", "vision"),), target, metrics, notices.append)
    runner = web.AppRunner(webhook.application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session:
            yield Hook(f"http://127.0.0.1:{runner.addresses[0][1]}", session, metrics, notices)
    finally:
        await runner.cleanup()


async def test_an_error_of_ours_lets_the_pod_through() -> None:
    def fail(namespace: str) -> Target:
        raise RuntimeError(namespace)

    async with hook(fail) as webhook:
        response = await webhook.review({"name": "p"})
        assert (response["allowed"], response["uid"], "patch" in response) == (True, "u", False)
        assert response["warnings"] == ["nezha: not injected: an error in Nezha; its log tells more"]
        assert webhook.counted("error")
        assert webhook.notices == []


async def test_trust_is_asked_for_in_the_pods_namespace() -> None:
    async with hook(lambda namespace: TARGET if namespace == "train" else UNREADY) as webhook:
        assert "patch" in await webhook.review({"name": "p"})
        assert "patch" not in await webhook.review({"name": "p"}, namespace="other")


async def test_who_made_a_pod_that_passes_is_told() -> None:
    async with hook(lambda _: UNREADY) as webhook:
        other = {"apiVersion": "v1", "kind": "Node", "name": "n"}
        await webhook.review({"generateName": "train-", "ownerReferences": [other, OWNER]})
        await webhook.review({"name": "p", "uid": "p-1"})
        await webhook.review({"generateName": "p-"})
    job, pod, nameless = webhook.notices
    assert job == Notice(kind="Job", name="train", uid="j-1", api_version="batch/v1", message=MESSAGE, **ABOUT)
    assert pod == Notice(kind="Pod", name="p", uid="p-1", api_version="v1", message=MESSAGE, **ABOUT)
    assert nameless == Notice(kind="Pod", name="p-", uid="", api_version="v1", message=MESSAGE, **ABOUT)


async def test_a_dry_run_leaves_no_trace_in_the_cluster() -> None:
    async with hook(lambda _: UNREADY) as webhook:
        assert (await webhook.review({"name": "p"}, dryRun=True))["warnings"] == [f"nezha: {MESSAGE}"]
        assert webhook.notices == []
        assert webhook.counted("unready")


async def test_what_is_injected_or_left_alone_is_no_notice() -> None:
    async with hook(lambda _: TARGET) as webhook:
        await webhook.review({"name": "p"})
        await webhook.review({"name": "p", "labels": {}})
        assert webhook.notices == []
