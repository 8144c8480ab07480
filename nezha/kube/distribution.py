"""Which of the two ways to distribute the bundle this cluster, and Nezha's rights in it, allow."""

from collections.abc import Callable

from nezha.admission.target import TRUST_NAME
from nezha.kube.client import Client, ClusterError
from nezha.kube.publication import Publication
from nezha.kube.resources import Kind, Object
from nezha.kube.trust import Distribution, InCluster, InNamespaces

_GROUP = "certificates.k8s.io"
_PLURAL = "clustertrustbundles"
_VERSIONS = ("v1", "v1beta1")


async def choose(client: Client, publish: Callable[[], Publication], on_change: Callable[[], None]) -> Distribution:
    """A ClusterTrustBundle where the API serves it and Nezha may write it, else ConfigMaps. Raises ClusterError.

    The rights decide, not a setting: they are granted for one of the two, and are there before Nezha is.
    """
    for version in _VERSIONS:
        kind = Kind(f"{_GROUP}/{version}", _PLURAL, "ClusterTrustBundle")
        if await _is_served(client, kind) and await _may_write(client):
            return InCluster(client, kind, publish, on_change)
    return InNamespaces(client, publish, on_change)


async def _is_served(client: Client, kind: Kind) -> bool:
    try:
        served = await client.get(f"/apis/{kind.api}")
    except ClusterError as error:
        if error.code == 404:
            return False
        raise
    return any(each["name"] == kind.plural for each in served.get("resources") or ())


async def _may_write(client: Client) -> bool:
    asked: Object = {"group": _GROUP, "resource": _PLURAL, "verb": "patch", "name": TRUST_NAME}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    body = review | {"spec": {"resourceAttributes": asked}}
    found = await client.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(found["status"]["allowed"])
