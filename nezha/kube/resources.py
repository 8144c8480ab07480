"""Which resources of the API are used, as values: their paths, and the names that Nezha gives its own."""

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""An object of the API as JSON."""

OPT_IN = "hostaliases-injector=enabled"
"""The label, as a selector, by which a namespace opts in."""

INJECTED = "nezha.io/injected"
"""The annotation of an injected pod: the rule that named it."""

WEBHOOK_CONFIGURATION = "nezha"
"""The name of Nezha's MutatingWebhookConfiguration."""

LEASE = "nezha"
"""The name of the Lease whose holder writes for all replicas."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: `api` is its group and version (`v1`, `apps/v1`), `plural` its name in a path."""

    api: str
    plural: str
    kind: str

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The path of the collection, or of one object in it."""
        prefix = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"{prefix}{within}/{self.plural}" + (f"/{name}" if name else "")

    def new(self, name: str, namespace: str | None = None, **content: Any) -> Object:
        """An object of this kind that says whose it is."""
        metadata: Object = {"name": name, "labels": {"app.kubernetes.io/managed-by": "nezha"}}
        if namespace:
            metadata["namespace"] = namespace
        return {"apiVersion": self.api, "kind": self.kind, "metadata": metadata, **content}


CONFIG_MAP = Kind("v1", "configmaps", "ConfigMap")
EVENT = Kind("v1", "events", "Event")
LEASES = Kind("coordination.k8s.io/v1", "leases", "Lease")
NAMESPACE = Kind("v1", "namespaces", "Namespace")
POD = Kind("v1", "pods", "Pod")
SECRET = Kind("v1", "secrets", "Secret")
SERVICE = Kind("v1", "services", "Service")
WEBHOOK = Kind("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration")


def named(name: str) -> str:
    """The field selector for one name: with it, a right by resourceNames suffices to list and watch."""
    return f"metadata.name={name}"


def key(found: Object) -> tuple[str, str]:
    """Namespace (empty for what has none) and name."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
