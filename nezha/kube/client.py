"""The door to the API server: JSON in, JSON out, one kind of error. The library gives credentials and transport.

What blocks (reading credentials, importing 0.3 s of library) runs in threads; a service account's token is read again
as the kubelet renews it. The environment's proxies are not used: the API server is inside.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from nezha.errors import NezhaError
from nezha.kube.resources import Object

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient
    from kubernetes.aio.client.rest import RESTResponse

REQUEST_SECONDS = 10.0
WATCH_SECONDS = 240
"""How long the API server holds a watch open before it ends it."""

_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_WHOLE = aiohttp.ClientTimeout(REQUEST_SECONDS)
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_SILENCE_SECONDS = 30
"""How much longer than that a connection without a word counts as alive."""


class ClusterError(NezhaError):
    """The API server said no, or nothing: `code` is its HTTP status, 0 without an answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def is_in_cluster() -> bool:
    """Whether this process runs in a pod with a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and _TOKEN.exists()


def credentials() -> tuple[Path | None] | None:
    """What a command that a person runs uses: a `Client`'s arguments, or None where there is no cluster.

    KUBECONFIG is the operator's and comes first; a server never looks at it.
    """
    if (named := os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0]) != "":
        return (Path(named),)
    return (None,) if is_in_cluster() else None


class Client:
    """Requests to one API server, by the pod's service account or by a kubeconfig file.

    Every method raises ClusterError and nothing else. Credentials are read with the first request, and again after
    that failed.
    """

    def __init__(self, kubeconfig: Path | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._loaded: ApiClient | None = None
        self._loading = asyncio.Lock()

    async def close(self) -> None:
        """Ends all connections."""
        if self._loaded is not None:
            await self._loaded.close()

    async def _api(self) -> "ApiClient":
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self._kubeconfig)
            return self._loaded

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Object:
        """One object, or one page of a list."""
        return await self._call(_Request("GET", path, query))

    async def list_metadata(self, path: str, query: Mapping[str, str | int]) -> Object:
        """One page of a list without specs and data: nothing is read that need not be."""
        return await self._call(_Request("GET", path, query, accept=_METADATA))

    async def create(self, path: str, body: Object, query: Mapping[str, str | int] | None = None) -> Object:
        """Makes an object in the collection `path`; 409 where its name is taken."""
        return await self._call(_Request("POST", path, query, body))

    async def replace(self, path: str, body: Object) -> Object:
        """Replaces an object; 409 where it is no longer the version that `body` names."""
        return await self._call(_Request("PUT", path, body=body))

    async def patch(self, path: str, operations: list[Object]) -> Object:
        """Applies RFC 6902 operations to an object."""
        return await self._call(_Request("PATCH", path, body=operations, kind="application/json-patch+json"))

    async def apply(self, path: str, body: Object) -> Object:
        """Makes the fields in `body` what they are there, whoever set them, and the object where it is missing.

        Unlike `create` it names the object in the path, so that a right by resourceNames allows it.
        """
        query = {"fieldManager": "nezha", "force": "true"}
        return await self._call(_Request("PATCH", path, query, body, "application/apply-patch+yaml"))

    async def delete(self, path: str) -> None:
        """Removes an object; one that is gone already is no error."""
        try:
            await self._call(_Request("DELETE", path))
        except ClusterError as error:
            if error.code != 404:
                raise

    @asynccontextmanager
    async def watch(self, path: str, query: Mapping[str, str | int]) -> AsyncIterator[AsyncIterator[Object]]:
        """The events of a collection, until the API server ends the watch. 410: its version is too old to resume."""
        query = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": WATCH_SECONDS}
        silence = WATCH_SECONDS + _SILENCE_SECONDS
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=silence)
        async with self._answer(_Request("GET", path, query, timeout=timeout)) as answer:
            yield _events(path, answer)

    async def _call(self, request: "_Request") -> Object:
        async with self._answer(request) as answer:
            found: Object = json.loads(await answer.read())
            return found

    @asynccontextmanager
    async def _answer(self, request: "_Request") -> "AsyncIterator[RESTResponse]":
        """A good answer's head, with its body still to come; errors on the way are translated here, once."""
        what = f"{request.method} {request.path}"
        headers = {"Accept": request.accept, "Content-Type": request.kind}
        try:
            api = await self._api()
            sent = await api.param_serialize(
                request.method, request.path, None, dict(request.query or {}), headers, request.body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            answer = await api.call_api(*sent, _request_timeout=request.timeout)
            try:
                if answer.status >= 400:
                    raise ClusterError(answer.status, f"{what}: {_message(answer, await answer.read())}")
                yield answer
            finally:
                answer.response.release()  # to the pool if it was read to its end, else closed
        except TimeoutError as error:
            raise ClusterError(0, f"{what}: the API server gave no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(0, f"{what}: {error or type(error).__name__}") from error
        except ValueError as error:
            raise ClusterError(0, f"{what}: an answer that is no JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str | int] | None = None
    body: Any = None
    kind: str = "application/json"
    accept: str = "application/json"
    timeout: aiohttp.ClientTimeout = _WHOLE


async def _events(path: str, answer: "RESTResponse") -> AsyncIterator[Object]:
    async for line in answer.response.content:
        event: Object = json.loads(line)
        if event["type"] == "ERROR":
            status = event["object"]
            raise ClusterError(status.get("code", 0), f"watch {path}: {status.get('message', status)}")
        yield event


def _message(answer: "RESTResponse", body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.reason}"


def _load(kubeconfig: Path | None) -> "ApiClient":
    """Reads credentials. Blocks, and imports what only a cluster needs."""
    from kubernetes import config  # noqa: PLC0415  # that of kubernetes.aio is asynchronous by name only
    from kubernetes.aio import client  # noqa: PLC0415

    configuration: Any = client.Configuration()
    configuration.client_session_kwargs = {"trust_env": False}
    try:
        if kubeconfig is None:
            config.load_incluster_config(configuration)
        else:
            config.load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError) as error:
        raise ClusterError(0, f"{kubeconfig or 'the service account'}: {error}") from error
    if (renew := configuration.refresh_api_key_hook) is not None:

        async def renew_in_thread(current: Any) -> None:
            try:
                await asyncio.to_thread(renew, current)
            except config.ConfigException as error:
                raise ClusterError(0, f"the service account's token: {error}") from error
            finally:
                current.refresh_api_key_hook = renew_in_thread  # it put itself back

        configuration.refresh_api_key_hook = renew_in_thread
    return client.ApiClient(configuration)
