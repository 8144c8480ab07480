"""What is wrong with the redirect in this cluster, in plain words, each with its remedy.

The looks are functions of the objects that they are about; one that may not be read is told as unknown.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nezha.admission.target import TRUST_KEY, TRUST_NAME
from nezha.kube.client import Client, ClusterError
from nezha.kube.findings import Finding, ok, unknown, wrong
from nezha.kube.resources import (
    CONFIG_MAP,
    INJECTED,
    NAMESPACE,
    OPT_IN,
    POD,
    SERVICE,
    WEBHOOK,
    WEBHOOK_CONFIGURATION,
    Kind,
    Object,
)
from nezha.kube.service import cluster_addresses

_BUNDLES = tuple(
    Kind(f"certificates.k8s.io/{version}", "clustertrustbundles", "ClusterTrustBundle") for version in ("v1", "v1beta1")
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about: Nezha's Service, and the pod or namespace that somebody wonders about."""

    service: str
    namespace: str | None = None
    pod: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, and Nezha's addresses, as far as they are known."""

    findings: tuple[Finding, ...]
    addresses: tuple[str, ...]


def examine(client: Client, question: Question) -> Diagnosis:
    """Looks at the cluster. Blocks; raises nothing."""
    return asyncio.run(_examine(client, question))


async def _examine(client: Client, question: Question) -> Diagnosis:
    try:
        await client.get("/version")
    except ClusterError as error:
        remedy = "set KUBECONFIG, or run this in a pod with a service account"
        await client.close()
        return Diagnosis((unknown("the API server", str(error), remedy),), ())
    try:
        name, _, space = question.service.partition(".")
        service = await _read(client, SERVICE.path(space, name))
        addresses = cluster_addresses(service) if isinstance(service, dict) else ()
        findings = [
            _seen("the Service", service, lambda found: about_service(found, question.service)),
            _seen("the webhook", await _read(client, WEBHOOK.path(name=WEBHOOK_CONFIGURATION)), about_webhook),
        ]
        if question.namespace:
            findings += await _about_place(client, question, addresses)
        else:
            findings.append(await _about_namespaces(client))
        return Diagnosis(tuple(findings), addresses)
    finally:
        await client.close()


async def _about_place(client: Client, question: Question, addresses: Collection[str]) -> list[Finding]:
    assert question.namespace
    space = question.namespace
    cluster_wide = [await _read(client, kind.path(name=TRUST_NAME)) for kind in _BUNDLES]
    own = await _read(client, CONFIG_MAP.path(space, TRUST_NAME))
    findings = [
        _seen("the namespace", await _read(client, NAMESPACE.path(name=space)), about_namespace),
        about_trust(space, cluster_wide, own),
    ]
    if question.pod:
        found = await _read(client, POD.path(space, question.pod))
        findings.append(_seen("the pod", found, lambda pod: about_pod(pod, addresses)))
    return findings


async def _about_namespaces(client: Client) -> Finding:
    what = "namespaces"
    try:
        found = await client.list_metadata(NAMESPACE.path(), {"labelSelector": OPT_IN})
    except ClusterError as error:
        return unknown(what, str(error))
    names = [each["metadata"]["name"] for each in found.get("items") or ()]
    if names:
        return ok(what, f"opted in: {', '.join(sorted(names))}")
    return wrong(what, "none has opted in", f"kubectl label namespace NAME {OPT_IN}")


async def _read(client: Client, path: str) -> Object | ClusterError:
    try:
        return await client.get(path)
    except ClusterError as error:
        return error


def _seen(what: str, found: Object | ClusterError, look: Callable[[Object], Finding]) -> Finding:
    if not isinstance(found, ClusterError):
        return look(found)
    if found.code == 404:
        return wrong(what, "is missing", "install the chart, or upgrade it")
    return unknown(what, str(found))


def about_service(service: Object, called: str) -> Finding:
    """Whether aliases have something to point at."""
    what = f"the Service {called}"
    if addresses := cluster_addresses(service):
        return ok(what, f"has the address {', '.join(addresses)}")
    return wrong(what, "has no ClusterIP", "make it of type ClusterIP: an alias needs an address that stays")


def about_webhook(configuration: Object) -> Finding:
    """Whether the API server can call Nezha."""
    what = "the webhook"
    webhooks = configuration.get("webhooks") or ()
    missing = [each["name"] for each in webhooks if not each["clientConfig"].get("caBundle")]
    if missing or not webhooks:
        seen = f"the API server does not know Nezha's CA ({', '.join(missing) or 'no webhooks'})"
        return wrong(
            what, seen, "look at /readyz?verbose: Nezha writes caBundle, or cert-manager where it is annotated"
        )
    return ok(what, f"{len(webhooks)} registered, with a CA")


def about_namespace(namespace: Object) -> Finding:
    """Whether a namespace has opted in."""
    metadata = namespace["metadata"]
    name, (label, _, value) = metadata["name"], OPT_IN.partition("=")
    if (metadata.get("labels") or {}).get(label) == value:
        return ok(f"namespace {name}", "has opted in")
    return wrong(f"namespace {name}", "has not opted in", f"kubectl label namespace {name} {OPT_IN}")


def about_trust(space: str, cluster_wide: Iterable[Object | ClusterError], own: Object | ClusterError) -> Finding:
    """Whether there is a bundle that pods of a namespace can mount."""
    what = "the trust bundle"
    found = [*cluster_wide, own]
    if any(isinstance(each, dict) and (each.get("spec") or {}).get("trustBundle") for each in found):
        return ok(what, f"stands cluster-wide as the ClusterTrustBundle {TRUST_NAME}")
    if isinstance(own, dict) and (own.get("data") or {}).get(TRUST_KEY):
        return ok(what, f"stands in {space} as the ConfigMap {TRUST_NAME}")
    if refused := next((each for each in found if isinstance(each, ClusterError) and each.code != 404), None):
        return unknown(what, str(refused))
    remedy = "look at /readyz?verbose of Nezha: it says why it could not write the bundle"
    return wrong(what, f"is neither cluster-wide nor in {space}", remedy)


def about_pod(pod: Object, addresses: Collection[str]) -> Finding:
    """Whether a pod was injected, and for the Nezha of today."""
    metadata, spec = pod["metadata"], pod["spec"]
    what = f"pod {metadata['namespace']}/{metadata['name']}"
    annotations: Mapping[str, Any] = metadata.get("annotations") or {}
    labels = ", ".join(f"{name}={value}" for name, value in sorted((metadata.get("labels") or {}).items())) or "none"
    if INJECTED not in annotations:
        remedy = "label it as a rule in the ConfigMap hostaliases-config says, and make it anew; its Events say more"
        return wrong(what, f"was not injected; its labels: {labels}", remedy)
    given = {alias["ip"] for alias in spec.get("hostAliases") or ()}
    if addresses and not given & set(addresses):
        seen = f"points at {', '.join(sorted(given))}, but the Service has {', '.join(addresses)} now"
        return wrong(
            what, seen, "make the pod anew; keep the Service when Nezha is replaced, for its address is in pods"
        )
    return ok(what, f"was injected by the rule {annotations[INJECTED]}")
