"""What injected pods are pointed at, and who knows it: the values between the webhook and its surroundings.

In a cluster the Kubernetes actor is the `Surroundings`; outside one, `Standing` takes the operator's word.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from nezha.settings import Settings
from nezha.units import shortest_ip

TRUST_NAME = "nezha-trust"
"""The name of the ClusterTrustBundle, and of the ConfigMap in each namespace, that hold the bundle."""

TRUST_KEY = "ca-bundle.crt"
"""The bundle's key in that ConfigMap, and its file name in a pod: PEM, the public roots and Nezha's CA."""


@dataclass(frozen=True, slots=True)
class ClusterTrust:
    """A ClusterTrustBundle without a signer: the kubelet projects it into a pod of any namespace."""

    name: str = TRUST_NAME


@dataclass(frozen=True, slots=True)
class NamespaceTrust:
    """A ConfigMap in the pod's own namespace that holds the bundle under `TRUST_KEY`."""

    config_map: str = TRUST_NAME


Trust = ClusterTrust | NamespaceTrust


@dataclass(frozen=True, slots=True)
class Target:
    """What a pod injected now is pointed at."""

    addresses: tuple[str, ...]
    """The cache Service's ClusterIPs, canonical; the first counts where only one may."""
    hosts: tuple[str, ...]
    """The DNS names of all configured origins, in lower case: what Nezha's certificates are for."""
    trust: Trust | None
    """The bundle that is there for the pod's namespace; None while there is none."""
    wants_trust: bool = True
    """Whether pods are made to trust Nezha at all (`admission.trust`)."""
    dialects: frozenset[str] = frozenset()
    """The dialects of the configured origins, for the switches their clients need."""
    is_ready: bool = True
    """Whether the cache can answer now."""


class Surroundings(Protocol):
    """What only the cluster knows. Both answers come from memory, at once: a review never waits for the API server."""

    def addresses(self) -> tuple[str, ...]:
        """The ClusterIPs of the cache's Service (both families of a dual-stack one); empty while they are unknown."""
        ...

    def trust(self, namespace: str) -> Trust | None:
        """The bundle that pods of `namespace` can mount; None while it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Surroundings that do not change: those named in the settings, on the operator's word."""

    known: tuple[str, ...] = ()
    bundle: Trust | None = NamespaceTrust()

    def addresses(self) -> tuple[str, ...]:
        return self.known

    def trust(self, namespace: str) -> Trust | None:
        del namespace  # it stands in all of them
        return self.bundle


@dataclass(frozen=True, slots=True)
class Aim:
    """The target of the moment: what is configured, what is known and whether it would help."""

    hosts: tuple[str, ...]
    dialects: frozenset[str]
    wants_trust: bool
    surroundings: Surroundings
    is_ready: Callable[[], bool]

    @classmethod
    def of(
        cls, settings: Settings, names: Iterable[str], surroundings: Surroundings, is_ready: Callable[[], bool]
    ) -> Self:
        """What the settings aim at, where `names` are the configured hosts; an IP literal among them has no alias."""
        return cls(
            hosts=tuple(name for name in names if not shortest_ip(name)),
            dialects=frozenset(origin.dialect for origin in settings.origins),
            wants_trust=settings.admission.trust,
            surroundings=surroundings,
            is_ready=is_ready,
        )

    def at(self, namespace: str) -> Target:
        """The target of pods in `namespace`."""
        return Target(
            addresses=self.surroundings.addresses(),
            hosts=self.hosts,
            trust=self.surroundings.trust(namespace) if self.wants_trust else None,
            wants_trust=self.wants_trust,
            dialects=self.dialects,
            is_ready=self.is_ready(),
        )

    def obstacle(self) -> str | None:
        """Why no pod anywhere would be injected now, were it not by aliases of a rule's own; None where none is."""
        if not self.is_ready():
            return "the cache is not ready"
        return None if self.surroundings.addresses() else "the cache's address is not known"


@dataclass(frozen=True, slots=True)
class Notice:
    """A pod that passed unchanged although a rule names it: what an Event tells its owner."""

    namespace: str
    kind: str
    name: str
    """Of the pod, or of its controller where the pod has no name yet (`generateName`)."""
    uid: str
    """Of the same object; empty where the API server has given it none yet."""
    api_version: str
    reason: str
    """One word in CamelCase, such as `NotInjected`."""
    message: str


Notify = Callable[[Notice], None]
"""Takes a notice and returns at once. It is never called in a dry run."""
