"""The whole part against a scripted API server: what the webhook is told, what is kept, and what an outage changes."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nezha.admission.target import TRUST_KEY, ClusterTrust, NamespaceTrust, Notice
from nezha.kube.actor import SETTLING_SECONDS, Cluster
from nezha.kube.publication import Publication
from nezha.settings import AdmissionSettings
from tests.kube.apiserver import ApiServer, Object

SERVICES = "/api/v1/namespaces/nezha/services"
NAMESPACES = "/api/v1/namespaces"
BUNDLES = "/apis/certificates.k8s.io/{}/clustertrustbundles"
BUNDLE = BUNDLES.format("v1") + "/nezha-trust"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/nezha/leases"
OPTED_IN = {"hostaliases-injector": "enabled"}


def pem(*names: str) -> str:
    """Certificates, as far as this part looks at them."""
    blocks = (base64.b64encode(name.encode()).decode() for name in names)
    return "".join(f"-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----\n" for block in blocks)


FIRST = Publication(pem("root", "first"), pem("first"), pem("admission"))


class Scene:
    """A running `Cluster`, what it publishes, and its API server."""

    def __init__(self, server: ApiServer, kubeconfig: Path, **settings: Any) -> None:
        self.server = server
        self.published = FIRST
        self.cluster = Cluster(AdmissionSettings(**settings), kubeconfig)

    async def until(self, is_so: Callable[[], object]) -> None:
        """Until that is so, or too late; the problems are told."""
        try:
            await self.server.until(is_so)
        except TimeoutError:
            raise AssertionError(f"not so; problems: {dict(self.cluster.problems())}") from None

    def bundle(self, namespace: str) -> str | None:
        """What the ConfigMap in a namespace holds."""
        found = self.server.get(f"{NAMESPACES}/{namespace}/configmaps/nezha-trust")
        return None if found is None else found["data"].get(TRUST_KEY)


@asynccontextmanager
async def scene(server: ApiServer, directory: Path, **settings: Any) -> AsyncIterator[Scene]:
    """A cluster part that has begun, in a cluster with Nezha's Service."""
    service(server, ["10.96.0.7"])
    made = Scene(server, await asyncio.to_thread(server.kubeconfig, directory), **settings)
    made.cluster.open(lambda: made.published)
    try:
        yield made
    finally:
        await made.cluster.close()


def service(server: ApiServer, addresses: list[str]) -> None:
    """Nezha's Service, as somebody makes or changes it."""
    server.put(SERVICES, "proxy-cache", {"spec": {"clusterIP": addresses[0], "clusterIPs": addresses}})


def configuration(server: ApiServer, **metadata: Any) -> None:
    """Nezha's webhook configuration as the manifests make it."""
    webhooks = [{"name": name, "clientConfig": {"service": {"name": "nezha"}}} for name in ("pods", "workloads")]
    server.put(WEBHOOKS, "nezha", {"webhooks": webhooks}, **metadata)


def ca_bundles(server: ApiServer) -> list[str | None]:
    """What the API server is told to trust, by webhook."""
    found = server.get(f"{WEBHOOKS}/nezha")
    assert found is not None
    given = (webhook["clientConfig"].get("caBundle") for webhook in found["webhooks"])
    return [each and base64.b64decode(each).decode() for each in given]


# -- the Service


async def test_aliases_point_at_both_addresses_of_a_dual_stack_service(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.cluster.addresses() == ("10.96.0.7",))
        service(server, ["10.96.0.8", "FD00:0::8"])
        await it.until(lambda: it.cluster.addresses() == ("10.96.0.8", "fd00::8"))


async def test_a_service_that_is_gone_or_headless_has_no_address_and_says_why(
    server: ApiServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as it:
        service(server, ["None"])
        await it.until(lambda: "has no ClusterIP" in it.cluster.problems().get("service address", ""))
        assert it.cluster.addresses() == ()
        server.remove(f"{SERVICES}/proxy-cache")
        await it.until(lambda: "is missing" in it.cluster.problems().get("service address", ""))


async def test_an_address_in_the_settings_needs_no_service(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path, address="192.0.2.7") as it:
        assert it.cluster.addresses() == ("192.0.2.7",)
        await it.until(lambda: server.count("PATCH", BUNDLE))
        assert server.count("GET", SERVICES) == 0


# -- the bundle, cluster-wide


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_the_bundle_is_a_cluster_trust_bundle_where_that_is_served(
    server: ApiServer, tmp_path: Path, version: str
) -> None:
    server.serves_bundles = version
    async with scene(server, tmp_path) as it:
        assert it.cluster.trust("any") is None, "not before it is there"
        await it.until(lambda: it.cluster.trust("any") == ClusterTrust())
        found = server.get(f"{BUNDLES.format(version)}/nezha-trust")
        assert found is not None
        assert found["spec"] == {"trustBundle": FIRST.bundle}


async def test_an_edited_or_deleted_bundle_is_repaired(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.cluster.trust("any"))
        server.put(BUNDLES.format("v1"), "nezha-trust", {"spec": {"trustBundle": pem("other")}})
        await it.until(lambda: (server.get(BUNDLE) or {}).get("spec") == {"trustBundle": FIRST.bundle})
        server.remove(BUNDLE)
        await it.until(lambda: server.get(BUNDLE) and it.cluster.trust("any"))


async def test_a_rotation_is_published_and_a_bundle_without_the_signing_ca_is_none(
    server: ApiServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.cluster.trust("any"))
        it.published = replace(FIRST, bundle=pem("root", "first", "second"))
        it.cluster.wake()
        await it.until(lambda: (server.get(BUNDLE) or {})["spec"] == {"trustBundle": it.published.bundle})
        it.published = replace(it.published, signing=pem("second"))
        await it.until(lambda: it.cluster.trust("any") == ClusterTrust())  # it has seen what it wrote
        it.published = replace(it.published, signing=pem("third"))
        assert it.cluster.trust("any") is None


# -- the bundle, namespace by namespace


@pytest.fixture
def in_namespaces(server: ApiServer) -> ApiServer:
    """A cluster in which Nezha may not write ClusterTrustBundles."""
    server.may = False
    return server


async def test_each_namespace_that_opted_in_gets_a_bundle_and_loses_it_when_it_opts_out(
    in_namespaces: ApiServer, tmp_path: Path
) -> None:
    server = in_namespaces
    server.put(NAMESPACES, "early", labels=OPTED_IN)
    server.put(NAMESPACES, "other")
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.bundle("early") == FIRST.bundle)
        server.put(NAMESPACES, "late", labels=OPTED_IN)
        await it.until(lambda: it.bundle("late") == FIRST.bundle and it.cluster.trust("late") == NamespaceTrust())
        assert it.bundle("other") is None
        assert it.cluster.trust("other") is None
        server.remove(f"{NAMESPACES}/early")  # what a watch with a selector says of one that lost its label
        server.put(NAMESPACES, "early")
        await it.until(lambda: it.bundle("early") is None)
        assert it.bundle("late") == FIRST.bundle


async def test_an_edited_config_map_is_repaired_and_a_deleted_one_made_again(
    in_namespaces: ApiServer, tmp_path: Path
) -> None:
    server = in_namespaces
    server.put(NAMESPACES, "a", labels=OPTED_IN)
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.bundle("a") == FIRST.bundle)
        server.put(f"{NAMESPACES}/a/configmaps", "nezha-trust", {"data": {TRUST_KEY: "broken"}})
        await it.until(lambda: it.bundle("a") == FIRST.bundle)
        server.remove(f"{NAMESPACES}/a/configmaps/nezha-trust")
        await it.until(lambda: it.bundle("a") == FIRST.bundle)


async def test_a_namespace_that_refuses_the_bundle_does_not_keep_the_others_from_it(
    in_namespaces: ApiServer, tmp_path: Path
) -> None:
    server = in_namespaces
    for name in ("a", "b", "c"):
        server.put(NAMESPACES, name, labels=OPTED_IN)
    server.fail("PATCH", f"{NAMESPACES}/a/configmaps/nezha-trust", 403, times=4)
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.bundle("b") and it.bundle("c"))
        await it.until(lambda: "namespace a" in it.cluster.problems().get("trust bundle", ""))
        assert it.cluster.trust("a") is None, "a pod would wait for it in vain"
        await it.until(lambda: it.bundle("a") and "trust bundle" not in it.cluster.problems())


async def test_nothing_is_made_in_a_namespace_that_is_being_deleted(in_namespaces: ApiServer, tmp_path: Path) -> None:
    server = in_namespaces
    server.put(NAMESPACES, "going", labels=OPTED_IN, deletionTimestamp="2026-11-24T00:00:00Z")
    server.put(NAMESPACES, "staying", labels=OPTED_IN)
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.bundle("staying"))
        assert server.count("PATCH", f"{NAMESPACES}/going/.*") == 0
        assert it.cluster.trust("going") is None


async def test_without_trust_in_the_settings_nothing_is_distributed(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path, trust=False) as it:
        await it.until(lambda: it.cluster.is_leader() and not it.cluster.problems())
        assert server.count("GET", "/apis/certificates.*") == 0


# -- caBundle


async def test_the_api_server_is_told_which_ca_to_trust_and_of_a_new_one(server: ApiServer, tmp_path: Path) -> None:
    configuration(server)
    async with scene(server, tmp_path) as it:
        await it.until(lambda: ca_bundles(server) == [FIRST.webhook, FIRST.webhook])
        it.published = replace(FIRST, webhook=pem("admission", "next"))
        it.cluster.wake()
        await it.until(lambda: ca_bundles(server) == [it.published.webhook, it.published.webhook])
        configuration(server)
        await it.until(lambda: ca_bundles(server) == [it.published.webhook, it.published.webhook])


async def test_a_configuration_that_cert_manager_keeps_is_left_alone(server: ApiServer, tmp_path: Path) -> None:
    configuration(server, annotations={"cert-manager.io/inject-ca-from": "nezha/webhook"})
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.cluster.trust("any") and not it.cluster.problems())
        assert ca_bundles(server) == [None, None]


# -- several replicas, and outages


async def test_only_the_leader_writes_and_both_know(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path) as first:
        await first.until(first.cluster.is_leader)
        async with scene(server, tmp_path) as second:
            second.published = replace(FIRST, bundle=pem("root", "first", "more"))
            await second.until(lambda: second.cluster.trust("any"))
            assert not second.cluster.is_leader()
            assert (server.get(BUNDLE) or {})["spec"] == {"trustBundle": FIRST.bundle}


async def test_the_next_replica_leads_at_once_when_the_leader_ends(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path) as first:
        await first.until(first.cluster.is_leader)
    async with scene(server, tmp_path) as second:
        await second.until(second.cluster.is_leader)


async def test_while_the_api_server_is_away_the_webhook_is_told_what_it_was_told_before(
    server: ApiServer, tmp_path: Path
) -> None:
    async with scene(server, tmp_path) as it:
        await it.until(lambda: it.cluster.trust("any") and it.cluster.addresses())
        await server.stop()
        await it.until(lambda: "trust bundle" in it.cluster.problems())
        assert it.cluster.addresses() == ("10.96.0.7",)
        assert it.cluster.trust("any") == ClusterTrust()
        await server.start()
        await it.until(lambda: not it.cluster.problems())


async def test_it_is_settled_when_it_could_inject_or_has_waited_long_enough(server: ApiServer, tmp_path: Path) -> None:
    seconds = 0.0
    service(server, ["10.96.0.7"])
    kubeconfig = await asyncio.to_thread(server.kubeconfig, tmp_path)
    cluster = Cluster(AdmissionSettings(), kubeconfig, now=lambda: seconds)
    assert not cluster.is_settled()
    cluster.open(lambda: FIRST)
    await server.until(cluster.is_settled)
    assert (cluster.addresses(), cluster.trust("any")) == (("10.96.0.7",), ClusterTrust())
    await cluster.close()
    late = Cluster(AdmissionSettings(), kubeconfig, now=lambda: seconds)
    seconds = SETTLING_SECONDS
    assert late.is_settled()


async def test_it_begins_although_the_api_server_is_away(server: ApiServer, tmp_path: Path) -> None:
    await server.stop()
    async with scene(server, tmp_path) as it:
        await it.until(lambda: {"service address", "trust bundle", "lease"} <= it.cluster.problems().keys())
        assert (it.cluster.addresses(), it.cluster.trust("any")) == ((), None)
        await server.start()
        await it.until(lambda: it.cluster.addresses() and it.cluster.trust("any"))


# -- Events


def notice(name: str = "train") -> Notice:
    """A pod that passed unchanged."""
    return Notice("jobs", "Job", name, "u-1", "batch/v1", "NotInjected", "AWS_CA_BUNDLE is set to something else")


def events(server: ApiServer) -> list[Object]:
    """The Events written so far."""
    return [found for path, found in server.objects.items() if path.startswith(f"{NAMESPACES}/jobs/events/")]


async def test_a_notice_becomes_one_event_however_often_it_is_given(server: ApiServer, tmp_path: Path) -> None:
    async with scene(server, tmp_path) as it:
        for _ in range(1000):
            it.cluster.notify(notice())
        it.cluster.notify(notice("other"))
        await it.until(lambda: len(events(server)) == 2)
        first = min(events(server), key=lambda found: found["metadata"]["resourceVersion"])
        assert first["involvedObject"] == {
            "apiVersion": "batch/v1", "kind": "Job", "namespace": "jobs", "name": "train", "uid": "u-1"
        }  # fmt: skip
        assert (first["type"], first["reason"]) == ("Warning", "NotInjected")
        assert first["message"] == "AWS_CA_BUNDLE is set to something else"


async def test_events_that_cannot_be_written_are_dropped_and_the_next_ones_are_not(
    server: ApiServer, tmp_path: Path
) -> None:
    server.fail("POST", f"{NAMESPACES}/jobs/events", 403)
    async with scene(server, tmp_path) as it:
        it.cluster.notify(notice("lost"))
        it.cluster.notify(notice("told"))
        await it.until(lambda: events(server))
        assert [found["involvedObject"]["name"] for found in events(server)] == ["told"]


async def test_the_queue_of_notices_is_bounded(server: ApiServer, tmp_path: Path) -> None:
    made = Scene(server, await asyncio.to_thread(server.kubeconfig, tmp_path))
    for number in range(10_000):
        made.cluster.notify(notice(f"n{number}"))
    made.cluster.open(lambda: made.published)
    await made.until(lambda: len(events(server)) >= 3)
    await made.cluster.close()
    assert server.count("POST", f"{NAMESPACES}/jobs/events") < 300
