"""A Secret as the shelf of the CAs, so that replicas share them. Optimistic: whoever is late gets Conflict.

The Secret is made by the chart, empty: Nezha needs no right to create Secrets.
"""

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nezha.errors import Conflict, SettingsError
from nezha.kube.client import Client, ClusterError
from nezha.kube.resources import SECRET, Object
from nezha.pki.shelf import Shelved

T = TypeVar("T")

READ_SECONDS = 5.0
"""How often the Secret is read at most, however often one looks."""


class SecretShelf:
    """`pki.shelf.Shelf` in a cluster. Every call blocks: for a thread without a loop."""

    def __init__(
        self, namespace: str, name: str, kubeconfig: Path | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._namespace = namespace
        self._name = name
        self._path = SECRET.path(namespace, name)
        self._kubeconfig = kubeconfig
        self._now = now
        self._held: tuple[float, Mapping[str, bytes]] | None = None

    def place(self, name: str) -> str:
        """As `Shelf.place`."""
        return f"tls.secret: {self._namespace}/{self._name}: {name}"

    def load(self, names: Collection[str]) -> Shelved:
        """As `Shelf.load`. What was read some seconds ago counts as read now: `save` compares with the Secret."""
        now = self._now()
        if self._held is None or now - self._held[0] >= READ_SECONDS:
            self._held = now, self._decode(self._run(self._get()))
        return _shelved(self._held[1], names)

    def save(self, files: Mapping[str, bytes | None], expected: str) -> str:
        """As `Shelf.save`."""
        self._held = None
        return self._run(self._save(files, expected))

    async def _get(self) -> Object:
        client = Client(self._kubeconfig)
        try:
            return await client.get(self._path)
        finally:
            await client.close()

    async def _save(self, files: Mapping[str, bytes | None], expected: str) -> str:
        client = Client(self._kubeconfig)
        try:
            secret = await client.get(self._path)
            held = self._decode(secret)
            if _shelved(held, files).version != expected:
                raise Conflict(f"{self._path}: another process has changed it")
            held |= {name: content for name, content in files.items() if content is not None}
            kept = {name: content for name, content in held.items() if files.get(name, content) is not None}
            encoded = {name: base64.b64encode(content).decode() for name, content in kept.items()}
            await client.replace(self._path, secret | {"data": encoded})  # with the version that was read
        finally:
            await client.close()
        return _shelved(kept, files).version

    def _decode(self, secret: Object) -> dict[str, bytes]:
        try:
            return {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
        except binascii.Error as error:
            raise SettingsError(f"tls.secret: {self._path}: {error}") from error

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run(work)
        except ClusterError as error:
            if error.code == 409:
                raise Conflict(f"{self._path}: another process has changed it") from error
            raise SettingsError(f"tls.secret: {error}{_REMEDIES.get(error.code, '')}") from error


_REMEDIES = {
    404: "; make an empty Secret of this name, as the chart does",
    403: "; let Nezha's service account get and update this Secret",
}


def _shelved(held: Mapping[str, bytes], names: Collection[str]) -> Shelved:
    """Of all that is held, what is asked for; two CAs share the Secret, and neither sees the other change."""
    files = {name: held[name] for name in sorted(names) if name in held}
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Shelved(files, digest.hexdigest())
