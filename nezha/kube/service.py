"""The addresses of the Service in front of the cache port, which host aliases point at."""

from collections.abc import Callable
from ipaddress import ip_address

from nezha.kube.client import Client
from nezha.kube.mirror import Mirror, Selection
from nezha.kube.resources import SERVICE, Object, named


class ServiceAddresses:
    """The ClusterIPs of one Service, as the API server last said; both families of a dual-stack one."""

    def __init__(self, client: Client, namespace: str, name: str, on_change: Callable[[], None]) -> None:
        self._key = namespace, name
        selection = Selection(SERVICE.path(namespace), fields=named(name))
        self.mirror = Mirror(client, selection, cluster_addresses, on_change)

    @property
    def addresses(self) -> tuple[str, ...]:
        """None while the Service is unknown, gone, or headless."""
        return self.mirror.objects.get(self._key, ())

    @property
    def problem(self) -> str | None:
        """Why there are none."""
        if self.addresses:
            return None
        namespace, name = self._key
        if not self.mirror.is_synced:
            return self.mirror.problem
        found = "has no ClusterIP: make it one of type ClusterIP" if self._key in self.mirror.objects else "is missing"
        return f"the Service {name} in the namespace {namespace} {found}"


def cluster_addresses(service: Object) -> tuple[str, ...]:
    """The canonical ClusterIPs of a Service, the primary family first."""
    spec = service.get("spec", {})
    given = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return tuple(str(ip_address(each)) for each in given if each not in (None, "", "None"))
