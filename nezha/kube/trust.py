"""The trust bundle where pods can mount it, in one of two ways. The leader writes; every replica watches.

`InCluster`: one ClusterTrustBundle, which the kubelet projects into any pod and keeps current. `InNamespaces`: a
ConfigMap in each namespace that opted in: made, repaired when it is edited, removed when the namespace opts out.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from nezha.admission.target import TRUST_KEY, TRUST_NAME, ClusterTrust, NamespaceTrust, Trust
from nezha.kube.client import Client, ClusterError
from nezha.kube.mirror import Mirror, Selection
from nezha.kube.publication import Publication, certificates, serves
from nezha.kube.resources import CONFIG_MAP, NAMESPACE, OPT_IN, Kind, Object, named

COMING_SECONDS = 10.0
"""How long a bundle that a namespace lacks counts as being on its way."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is remembered of a bundle found: not its 220 KB, which may stand in a thousand namespaces."""

    digest: str
    certificates: frozenset[str] = field(compare=False)

    @classmethod
    def of(cls, text: str) -> "Held":
        """What to remember of `text`."""
        return cls(_digest(text), certificates(text))


class Distribution(Protocol):
    """One way to bring the bundle to pods."""

    @property
    def mirrors(self) -> tuple[Mirror[Held] | Mirror[bool], ...]:
        """What must be followed for it."""
        ...

    @property
    def is_known(self) -> bool:
        """Whether it is known what there is: a bundle cluster-wide, or which namespaces have one."""
        ...

    async def step(self) -> None:
        """Brings what is published into being. Raises ClusterError."""
        ...

    def trust(self, namespace: str) -> Trust | None:
        """The bundle that pods of `namespace` can mount; None while there is none that serves."""
        ...


class InCluster:
    """The bundle as a ClusterTrustBundle, of the version that the API serves."""

    def __init__(
        self, client: Client, kind: Kind, publish: Callable[[], Publication], on_change: Callable[[], None]
    ) -> None:
        self._client = client
        self._kind = kind
        self._publish = publish
        selection = Selection(kind.path(), fields=named(TRUST_NAME))
        self._mirror = Mirror(client, selection, lambda found: Held.of(found["spec"].get("trustBundle", "")), on_change)

    @property
    def mirrors(self) -> tuple[Mirror[Held], ...]:
        """What must be followed."""
        return (self._mirror,)

    @property
    def is_known(self) -> bool:
        """Whether the bundle is there."""
        return self.trust("") is not None

    async def step(self) -> None:
        """Writes the bundle where another stands. Raises ClusterError."""
        bundle = self._publish().bundle
        found = self._mirror.objects.get(("", TRUST_NAME))
        if self._mirror.is_synced and (found is None or found.digest != _digest(bundle)):
            body = self._kind.new(TRUST_NAME, spec={"trustBundle": bundle})
            await self._client.apply(self._kind.path(name=TRUST_NAME), body)

    def trust(self, namespace: str) -> Trust | None:
        """The same for all namespaces."""
        del namespace
        found = self._mirror.objects.get(("", TRUST_NAME))
        return ClusterTrust() if found and serves(found.certificates, self._publish()) else None


class InNamespaces:
    """The bundle as a ConfigMap in each namespace that opted in."""

    def __init__(
        self,
        client: Client,
        publish: Callable[[], Publication],
        on_change: Callable[[], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._publish = publish
        self._now = now
        # ten a page: a page is parsed in one go on the event loop, and a bundle has 220 KB
        bundles = Selection(CONFIG_MAP.path(), fields=named(TRUST_NAME), page=10)
        self._bundles = Mirror(client, bundles, _held, on_change)
        self._namespaces = Mirror(client, Selection(NAMESPACE.path(), labels=OPT_IN), _is_staying, on_change)
        self._waiting: dict[str, float] = {}
        self._refused: dict[str, str] = {}

    @property
    def mirrors(self) -> tuple[Mirror[Held], Mirror[bool]]:
        """What must be followed."""
        return (self._bundles, self._namespaces)

    @property
    def is_known(self) -> bool:
        """Whether all namespaces and bundles were read."""
        return self._bundles.is_synced and self._namespaces.is_synced

    async def step(self) -> None:
        """Writes what is missing or different and removes what is left over. Raises ClusterError when all was tried."""
        if not self.is_known:
            return
        bundle = self._publish().bundle
        found = {namespace: held.digest for (namespace, _), held in self._bundles.objects.items()}
        left_over = found.keys() - {name for _, name in self._namespaces.objects}
        work: list[tuple[str, Awaitable[object]]] = [
            (name, self._put(name, bundle))
            for (_, name), is_staying in self._namespaces.objects.items()
            if is_staying and found.get(name) != _digest(bundle)
        ]
        work += [(name, self._client.delete(CONFIG_MAP.path(name, TRUST_NAME))) for name in left_over]
        refused = {}
        for namespace, write in work:
            try:
                await write
            except ClusterError as error:
                refused[namespace] = str(error)
        self._refused = refused
        if refused:
            namespace, reason = next(iter(refused.items()))
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise ClusterError(0, f"namespace {namespace}: {reason}{more}")

    async def _put(self, namespace: str, bundle: str) -> None:
        body = CONFIG_MAP.new(TRUST_NAME, namespace, data={TRUST_KEY: bundle})
        await self._client.apply(CONFIG_MAP.path(namespace, TRUST_NAME), body)

    def trust(self, namespace: str) -> Trust | None:
        """There once it is seen; for some seconds also on its way.

        A pod waits for a ConfigMap that is about to be made, so that one created in the same second as its namespace is
        not left out. A namespace whose bundle does not come (a quota, a missing right) stops counting.
        """
        held = self._bundles.objects.get((namespace, TRUST_NAME))
        if held is not None:
            self._waiting.pop(namespace, None)
            return NamespaceTrust() if serves(held.certificates, self._publish()) else None
        if namespace in self._refused or not self._namespaces.objects.get(("", namespace)):
            return None
        since = self._waiting.setdefault(namespace, self._now())
        return NamespaceTrust() if self._now() - since < COMING_SECONDS else None


def _held(found: Object) -> Held:
    return Held.of((found.get("data") or {}).get(TRUST_KEY, ""))


def _is_staying(namespace: Object) -> bool:
    """Whether it is not being deleted: nothing can be made in it then."""
    return "deletionTimestamp" not in namespace["metadata"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
