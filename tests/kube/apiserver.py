"""A small API server over real HTTP: pages, watches with versions and bookmarks, conflicts; it goes wrong on demand.

    async with ApiServer() as server:
        server.put("/api/v1/namespaces", "a", {...})
        client = Client(server.kubeconfig(tmp_path))

It has no types and no rules: any collection, any object. What it keeps to is what Nezha relies on: versions that rise,
409 for a stale one, 410 for one that is forgotten, server-side apply as a merge of fields.
"""

import asyncio
import contextlib
import copy
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from aiohttp import web

Object = dict[str, Any]
_PATH = re.compile(
    r"(?P<api>/api/v1|/apis/[^/]+/[^/]+)(/namespaces/(?P<space>[^/]+))?/(?P<plural>[^/]+)(/(?P<name>[^/]+))?"
)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any = None


@dataclass
class Fault:
    """What is done to requests that match, `times` times: an HTTP status."""

    method: str
    path: str
    status: int
    times: int


@dataclass
class _Change:
    version: int
    kind: str
    collection: str
    found: Object


@dataclass
class ApiServer:
    """See the module. `serves_bundles`: whether ClusterTrustBundles are served; `may`: the answer to access reviews."""

    serves_bundles: str = "v1"
    may: bool = True
    asked: list[Asked] = field(default_factory=list)
    objects: dict[str, Object] = field(default_factory=dict)
    port: int = 0

    def __post_init__(self) -> None:
        self._version = 100
        self._oldest = 0
        self._changes: list[_Change] = []
        self._faults: list[Fault] = []
        self._changed = asyncio.Event()
        self._cut = asyncio.Event()
        self._runner: web.AppRunner | None = None

    # -- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; after `stop` on the same port again, with all that it held."""
        application = web.Application(client_max_size=4 << 20)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._cut = asyncio.Event()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """An outage."""
        self.end_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, directory: Path) -> Path:
        """A file that leads here."""
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": "secret"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path = directory / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    # -- what it holds, as somebody else changes it

    def put(self, collection: str, name: str, content: Object | None = None, **metadata: Any) -> Object:
        """Makes or replaces an object."""
        found = copy.deepcopy(content or {})
        found["metadata"] = {**found.get("metadata", {}), "name": name, **metadata}
        if within := re.search("/namespaces/([^/]+)/[^/]+$", collection):
            found["metadata"]["namespace"] = within[1]
        return self._keep(collection, f"{collection}/{name}", found)

    def get(self, path: str) -> Object | None:
        """An object."""
        return self.objects.get(path)

    def remove(self, path: str) -> None:
        """Deletes an object."""
        found = self.objects.pop(path)
        self._version += 1
        found = {**found, "metadata": {**found["metadata"], "resourceVersion": str(self._version)}}
        self._tell("DELETED", path.rpartition("/")[0], found)

    def forget(self) -> None:
        """Drops its history: a watch from any earlier version gets 410."""
        self._version += 1
        self._oldest = self._version
        self._changes.clear()

    def bookmark(self) -> None:
        """Tells every watch how far it is."""
        self._tell("BOOKMARK", "", {"metadata": {"resourceVersion": str(self._version)}})

    def end_watches(self) -> None:
        """Ends those that are open, as it does after some minutes."""
        self._cut.set()
        self._cut = asyncio.Event()

    def fail(self, method: str, path: str, status: int, times: int = 1) -> None:
        """Answers such requests with `status`; `path` is a regular expression."""
        self._faults.append(Fault(method, path, status, times))

    # -- what it was asked

    def count(self, method: str, path: str, **query: str) -> int:
        """How many such requests came; `path` is a regular expression."""
        return sum(
            each.method == method
            and re.fullmatch(path, each.path) is not None
            and all(each.query.get(name) == value for name, value in query.items())
            for each in self.asked
        )

    def watches(self, path: str) -> list[str]:
        """The versions from which watches of `path` began."""
        return [each.query["resourceVersion"] for each in self.asked if each.path == path and "watch" in each.query]

    async def until(self, is_so: Callable[[], object], seconds: float = 10.0) -> None:
        """Until something that others do here has been done."""
        async with asyncio.timeout(seconds):
            while not is_so():  # noqa: ASYNC110  # each look is bounded by the deadline
                await asyncio.sleep(0.002)

    # -- HTTP

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(text) if (text := await request.text()) else None
        self.asked.append(Asked(request.method, request.path, dict(request.query), body))
        for fault in self._faults:
            if fault.times and fault.method == request.method and re.fullmatch(fault.path, request.path):
                fault.times -= 1
                return _status(fault.status)
        if request.path.startswith("/apis/certificates.k8s.io/") and request.path.count("/") == 3:
            return self._discover(request.path.rpartition("/")[2])
        if request.path.endswith("/selfsubjectaccessreviews"):
            return web.json_response({"status": {"allowed": self.may}}, status=201)
        if request.path == "/version":
            return web.json_response({"major": "1"})
        match = _PATH.fullmatch(request.path)
        assert match, request.path
        if match["name"] is None and request.method == "GET":
            return await (self._watch(request) if "watch" in request.query else self._list(request))
        return self._one(request.method, match, body, request.content_type)

    def _discover(self, version: str) -> web.Response:
        if version != self.serves_bundles:
            return _status(404)
        return web.json_response({"resources": [{"name": "clustertrustbundles"}]})

    async def _list(self, request: web.Request) -> web.Response:
        chosen = [found for path, found in sorted(self.objects.items()) if _is_in(request, path, found)]
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 500))
        metadata: Object = {"resourceVersion": str(self._version)}
        if start + limit < len(chosen):
            metadata["continue"] = str(start + limit)
        return web.json_response({"metadata": metadata, "items": chosen[start : start + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        if version < self._oldest:
            return _status(410)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        cut = self._cut
        with contextlib.suppress(ConnectionError):
            async for change in self._follow(version, cut):
                if change.kind == "BOOKMARK" or _is_in(request, f"{change.collection}/x", change.found):
                    line = json.dumps({"type": change.kind, "object": change.found})
                    await response.write(line.encode() + b"\n")
            await response.write_eof()
        return response

    async def _follow(self, version: int, cut: asyncio.Event) -> AsyncIterator[_Change]:
        seen = 0
        while True:
            changed = self._changed
            for change in self._changes[seen:]:
                if change.version > version or change.kind == "BOOKMARK":
                    yield change
            seen = len(self._changes)
            if cut.is_set():
                return
            waiting = [asyncio.ensure_future(each.wait()) for each in (changed, cut)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()

    def _one(self, method: str, match: re.Match[str], body: Any, kind: str) -> web.Response:
        within = f"/namespaces/{match['space']}" if match["space"] else ""
        collection = f"{match['api']}{within}/{match['plural']}"
        name = match["name"] or (body or {}).get("metadata", {}).get("name") or f"generated-{self._version}"
        path = f"{collection}/{name}"
        held = self.objects.get(path)
        if method == "POST":
            if held is not None:
                return _status(409)
            body["metadata"] |= {"name": name, **({"namespace": match["space"]} if match["space"] else {})}
            return web.json_response(self._keep(collection, path, body), status=201)
        if method == "PATCH" and kind == "application/apply-patch+yaml":
            return web.json_response(self._keep(collection, path, _merged(held or {}, body)))
        if held is None:
            return _status(404)
        if method == "DELETE":
            self.remove(path)
        if method == "PUT":
            if body["metadata"].get("resourceVersion", version := held["metadata"]["resourceVersion"]) != version:
                return _status(409)
            return web.json_response(self._keep(collection, path, body))
        if method == "PATCH":
            return self._patch(collection, path, held, body)
        return web.json_response(held)

    def _patch(self, collection: str, path: str, held: Object, operations: list[Object]) -> web.Response:
        found = copy.deepcopy(held)
        for operation in operations:
            *way, last = operation["path"].strip("/").split("/")
            place: Any = found
            for step in way:
                place = place[int(step)] if isinstance(place, list) else place[step]
            if operation["op"] == "test" and place.get(last) != operation["value"]:
                return _status(422)
            place[last] = operation["value"]
        return web.json_response(self._keep(collection, path, found))

    def _keep(self, collection: str, path: str, found: Object) -> Object:
        held = self.objects.get(path)
        if held is not None and _bare(held) == _bare(found):
            return held  # nothing changed: no version, no event
        self._version += 1
        found = copy.deepcopy(found)
        found["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = found
        self._tell("ADDED" if held is None else "MODIFIED", collection, found)
        return found

    def _tell(self, kind: str, collection: str, found: Object) -> None:
        self._changes.append(_Change(self._version, kind, collection, copy.deepcopy(found)))
        self._changed.set()
        self._changed = asyncio.Event()


def _status(code: int) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": f"scripted {code}"}, status=code)


def _is_in(request: web.Request, path: str, found: Object) -> bool:
    """Whether an object belongs to the collection that is asked for, of one namespace or of all, and is selected."""
    asked, place = _PATH.fullmatch(request.path), _PATH.fullmatch(path)
    assert asked
    if place is None or (asked["api"], asked["plural"]) != (place["api"], place["plural"]):
        return False
    if asked["space"] not in (None, place["space"]):
        return False
    field, _, wanted = request.query.get("fieldSelector", "").partition("=")
    if field == "status.phase":
        return bool(found["status"]["phase"] == wanted)
    label, _, value = request.query.get("labelSelector", "").partition("=")
    metadata = found["metadata"]
    return wanted in ("", metadata["name"]) and (not label or metadata.get("labels", {}).get(label) == value)


def _bare(found: Object) -> Object:
    metadata = {name: value for name, value in found["metadata"].items() if name != "resourceVersion"}
    return {**found, "metadata": metadata}


def _merged(held: Object, given: Object) -> Object:
    found = dict(held)
    for name, value in given.items():
        found[name] = _merged(held.get(name, {}), value) if isinstance(value, dict) else value
    return found
