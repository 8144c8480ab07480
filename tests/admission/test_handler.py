"""The webhook over TLS, from a process of its own: reviews, refusals, bounds, and the rules file under it."""

import asyncio
import base64
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from tests.rawclient import RawClient, Response, request_bytes
from tests.serving import Serving, serving

ADDRESS = "10.99.81.48"
ORIGIN = {"name": "web", "dialect": "http", "hosts": ["a.test", "b.test", "10.1.2.3"]}
RULE = {"name": "dataset", "app": "team", "label": "vision"}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-", "labels": {"team": "vision"}},
       "spec": {"containers": [{"name": "c", "image": "i"}]}}  # fmt: skip
JSON = "application/json"


@dataclass
class Port:
    """The admission port of a running process, and the files behind it."""

    serving: Serving
    directory: Path
    rules: Path

    async def client(self) -> RawClient:
        trust = ssl.create_default_context(cafile=str(self.directory / "tls" / "admission-ca.crt"))
        return await RawClient.open("localhost", self.serving.lines[0]["admission_port"], trust)

    async def post(self, body: bytes, kind: str = JSON) -> Response:
        async with await self.client() as client:
            return await client.exchange(request_bytes("POST", "/mutate", "nezha", [("Content-Type", kind)], body))

    async def replace(self, rules: Any) -> None:
        await asyncio.to_thread(swap, self.rules, rules)

    async def review(self, content: Any = POD, **request: Any) -> dict[str, Any]:
        """The response to a review of `content`."""
        answer = await self.post(review(content, **request))
        assert answer.status == 200, answer.body
        assert (answer.get("Content-Type") or "").startswith(JSON)
        found: dict[str, Any] = json.loads(answer.body)
        assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        response: dict[str, Any] = found["response"]
        assert (response["uid"], response["allowed"]) == ("u-1", True)
        return response

    async def counted(self, outcome: str) -> float:
        async with await self.serving.client() as client:
            page = (await client.get("/metrics", "nezha")).body.decode()
        label = f'nezha_reviews_total{{outcome="{outcome}"}} '
        return sum(float(line.removeprefix(label)) for line in page.splitlines() if line.startswith(label))


def review(content: Any = POD, **request: Any) -> bytes:
    fields = {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
              "namespace": "train", "object": content} | request  # fmt: skip
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": fields}).encode()


def patched(response: dict[str, Any], content: Any = POD) -> Any:
    assert response["patchType"] == "JSONPatch"
    return jsonpatch.apply_patch(content, json.loads(base64.b64decode(response["patch"])))


def hosts(response: dict[str, Any]) -> list[str]:
    (alias,) = patched(response)["spec"]["hostAliases"]
    names: list[str] = alias["hostnames"]
    return names


@contextlib.asynccontextmanager
async def port(directory: Path, rules: Any = (RULE,), **admission: Any) -> AsyncIterator[Port]:
    """A process whose ConfigMap is mounted as the kubelet does it; `rules` None leaves it away."""
    mounted = directory / "mounted"
    await asyncio.to_thread(mount, mounted, rules)
    section = {"rules_file": str(mounted / "config"), "address": ADDRESS, "listen": "127.0.0.1:0"} | admission
    async with serving(directory, ORIGIN, admission=section) as running:
        yield Port(running, directory, mounted)


def mount(mounted: Path, rules: Any) -> None:
    mounted.mkdir()
    (mounted / "config").symlink_to("..data/config")
    if rules is not None:
        swap(mounted, rules)


def swap(mounted: Path, rules: Any) -> None:
    """Swaps the text as the kubelet does: a new directory, and one rename of the link to it."""
    version = mounted / f"..{len(list(mounted.iterdir()))}"
    version.mkdir()
    (version / "config").write_text(rules if isinstance(rules, str) else yaml.safe_dump(list(rules)))
    (mounted / "..new").symlink_to(version.name)
    os.replace(mounted / "..new", mounted / "..data")


async def test_a_pod_is_pointed_at_the_address_for_all_names(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:
        response = await admission.review()
        pod = patched(response)
        assert pod["spec"]["hostAliases"] == [{"ip": ADDRESS, "hostnames": ["a.test", "b.test"]}]
        assert pod["spec"]["volumes"][0]["configMap"]["name"] == "nezha-trust"
        assert "warnings" not in response
        again = await admission.review(pod)
        assert "patch" not in again
        assert await admission.counted("injected") == 1
        assert await admission.counted("untouched") == 1
        assert await admission.serving.metric("nezha_review_seconds_count") == 2
        assert await admission.serving.metric("nezha_injection_ready") == 1
        async with await admission.client() as client:
            assert (await client.get("/healthz")).body == b"ok\n"
            assert (await client.get("/metrics")).status == 404
            assert (await client.get("/mutate")).status == 405


async def test_a_workload_is_stamped(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:
        job = {"metadata": {"labels": {"team": "vision"}}, "spec": {"template": {"spec": {}}}}
        response = await admission.review(job, kind={"group": "batch", "version": "v1", "kind": "Job"})
        template = patched(response, job)["spec"]["template"]
        assert template == {"spec": {}, "metadata": {"annotations": {"nezha.io/inject": "dataset"}}}


async def test_a_dry_run_is_answered_the_same(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:
        assert await admission.review(dryRun=True) == await admission.review()


async def test_an_unknown_address_lets_pods_pass_and_says_so(tmp_path: Path) -> None:
    async with port(tmp_path, address="auto") as admission:
        response = await admission.review()
        assert response["warnings"] == ["nezha: not injected: the cache's address is not known yet"]
        assert "patch" not in response
        assert await admission.counted("unready") == 1
        assert await admission.serving.metric("nezha_injection_ready") == 0
        told = await admission.serving.event("review")
        assert (told["outcome"], told["rule"], told["namespace"]) == ("unready", "dataset", "train")
        # what the rule says itself needs no address
        await admission.replace([RULE | {"hostAliases": [{"ip": "10.0.0.9", "hostnames": ["a.test"]}]}])
        await admission.serving.event("rules_read")
        assert hosts(await admission.review()) == ["a.test"]


REFUSED = [
    (b"", JSON, 400),
    (b"{", JSON, 400),
    (b"{}", JSON, 400),
    (review().replace(b"/v1", b"/v1beta1", 1), JSON, 400),
    (review(uid=""), JSON, 400),
    (review(None), JSON, 400),
    (review({"metadata": {"labels": {"team": "vision"}}, "spec": {"containers": 7}}), JSON, 400),
    (review(), "text/plain", 415),
    (review(), "application/jsonp", 415),
    (review() + b" " * (3 * 2**20), JSON, 413),
]


async def test_what_is_no_review_is_refused(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:
        for number, (body, kind, status) in enumerate(REFUSED, 1):
            answer = await admission.post(body, kind)
            assert (answer.status, len(answer.body.splitlines())) == (status, 1), body[:200]
            assert await admission.counted("invalid") == number
        assert (await admission.post(review(), "application/json; charset=utf-8")).status == 200


async def test_a_body_without_an_announced_length_is_bounded_too(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:
        head = (
            b"POST /mutate HTTP/1.1\r\nHost: n\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        async with await admission.client() as client:
            with contextlib.suppress(ConnectionError):  # it may answer and close before all is sent
                await client.send(head + b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(64)))
            assert (await client.read_response("POST")).status == 413
        await admission.review()


async def test_the_largest_pod_is_reviewed(tmp_path: Path) -> None:
    large = {**POD, "metadata": POD["metadata"] | {"annotations": {"a": "x" * 2_900_000}}}  # type: ignore[operator]
    async with port(tmp_path) as admission:
        assert patched(await admission.review(large), large)["spec"]["hostAliases"]


async def test_reviews_come_many_at_once(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:

        async def some() -> None:
            async with await admission.client() as client:
                for _ in range(20):
                    raw = request_bytes("POST", "/mutate", "nezha", [("Content-Type", JSON)], review())
                    assert hosts(json.loads((await client.exchange(raw)).body)["response"]) == ["a.test", "b.test"]

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(some())
        assert await admission.counted("injected") == 400


async def test_unfinished_bodies_do_not_take_the_memory(tmp_path: Path) -> None:
    started = request_bytes("POST", "/mutate", "nezha", [("Content-Type", JSON), ("Content-Length", "100")])
    async with port(tmp_path) as admission, contextlib.AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(await admission.client()) for _ in range(64)]
        for client in waiting:
            await client.send(started)
        answer = await admission.post(review())
        while answer.status == 200:  # the last of them may not have been read yet
            answer = await admission.post(review())
        assert answer.status == 503
        for client in waiting:
            client.abort()
        async with asyncio.timeout(10):
            while (await admission.post(review())).status != 200:
                pass


async def test_the_rules_are_read_again_when_they_change(tmp_path: Path) -> None:
    other = {"metadata": {"labels": {"kind": "train"}}, "spec": {"containers": []}}
    async with port(tmp_path) as admission:
        assert (await admission.serving.event("rules_read"))["rules"] == 1
        assert "patch" not in await admission.review(other)
        await admission.replace([RULE, {"name": "b", "app": "kind", "label": "train"}])
        assert (await admission.serving.event("rules_read"))["rules"] == 2
        assert "patch" in await admission.review(other)


async def test_a_bad_text_keeps_the_rules_and_is_told_everywhere(tmp_path: Path) -> None:
    async with port(tmp_path) as admission:
        await admission.serving.event("rules_read")
        await admission.replace("- name: dataset\n  app: team")
        refused = await admission.serving.event("rules_refused")
        assert (refused["level"], refused["kept"], refused["message"]) == ("warning", 1, "[0].label: is required")
        assert "patch" in await admission.review()
        assert await admission.serving.metric("nezha_rules_current") == 0
        async with await admission.serving.client() as client:
            ready = await client.get("/readyz?verbose", "nezha")
            assert ready.status == 200  # the cache serves as before
            assert b"rules kept as they were: [0].label: is required" in ready.body
        await admission.replace([RULE])
        await admission.serving.event("rules_read")
        assert await admission.serving.metric("nezha_rules_current") == 1
        async with await admission.serving.client() as client:
            assert b"rules" not in (await client.get("/readyz?verbose", "nezha")).body


async def test_without_a_file_only_annotations_count_until_it_comes(tmp_path: Path) -> None:
    async with port(tmp_path, rules=None) as admission:
        await admission.serving.event("no_rules")
        assert "patch" not in await admission.review()
        asked = {**POD, "metadata": {"annotations": {"nezha.io/inject": "true"}}}
        assert "patch" in await admission.review(asked)
        await admission.replace([RULE | {"hostAliases": [{"ip": "10.0.0.9", "hostnames": ["_", "a.test"]}]}])
        await admission.serving.event("rules_read")
        skipped = await admission.serving.event("hostnames_skipped")
        assert (skipped["rule"], skipped["names"]) == ("dataset", ["_"])
        assert hosts(await admission.review()) == ["a.test"]
