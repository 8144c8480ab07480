"""One of several replicas leads: it renews, another takes over when it is silent, and never two by the same record."""

import pytest

from nezha.kube.client import Client, ClusterError
from nezha.kube.lease import DURATION_SECONDS, STEADY_SECONDS, Lease
from tests.kube.apiserver import ApiServer

PATH = "/apis/coordination.k8s.io/v1/namespaces/nezha/leases/nezha"


class Clock:
    """A monotonic clock that stands still unless moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Replica:
    """One replica's lease and how often it was told of a change."""

    def __init__(self, client: Client, name: str, clock: Clock) -> None:
        self.changes = 0
        self.lease = Lease(client, "nezha", name, self._told, now=clock)

    def leads(self) -> bool:
        """Whether it may write now."""
        return self.lease.is_leader

    def _told(self) -> None:
        self.changes += 1


def holder(server: ApiServer) -> str:
    """Who holds the lease in the API server."""
    found = server.get(PATH)
    assert found is not None
    return str(found["spec"]["holderIdentity"])


async def test_the_first_takes_it_and_the_second_looks_on(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = Replica(client, "first", clock), Replica(client, "second", clock)
    await first.lease.step()
    await second.lease.step()
    assert (first.leads(), second.leads()) == (True, False)
    assert (first.changes, second.changes) == (1, 0)
    assert holder(server) == "first"


async def test_the_empty_lease_of_the_manifests_is_taken(server: ApiServer, client: Client) -> None:
    server.put(PATH.rpartition("/")[0], "nezha", {})
    replica = Replica(client, "first", Clock())
    await replica.lease.step()
    assert replica.leads()


async def test_a_silent_holder_is_replaced_only_after_its_time(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = Replica(client, "first", clock), Replica(client, "second", clock)
    await first.lease.step()
    await second.lease.step()
    clock.seconds += DURATION_SECONDS - 0.1
    await second.lease.step()
    assert not second.leads()
    clock.seconds += 0.2
    await second.lease.step()
    assert second.leads()
    assert not first.leads(), "it stopped believing in itself before the other could begin"
    assert holder(server) == "second"


async def test_a_holder_that_renews_keeps_it(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = Replica(client, "first", clock), Replica(client, "second", clock)
    for _ in range(10):
        await first.lease.step()
        await second.lease.step()
        clock.seconds += DURATION_SECONDS / 2
    assert holder(server) == "first"
    assert not second.leads()


async def test_of_two_that_take_it_at_once_one_wins(server: ApiServer, client: Client) -> None:
    clock = Clock()
    server.put(PATH.rpartition("/")[0], "nezha", {})
    server.fail("PUT", PATH, 409)
    replica = Replica(client, "late", clock)
    await replica.lease.step()
    assert not replica.leads()


async def test_a_holder_that_cannot_renew_leads_only_a_little_longer(server: ApiServer, client: Client) -> None:
    clock = Clock()
    replica = Replica(client, "first", clock)
    await replica.lease.step()
    await server.stop()
    with pytest.raises(ClusterError):
        await replica.lease.step()
    assert replica.leads()
    clock.seconds += STEADY_SECONDS
    with pytest.raises(ClusterError):
        await replica.lease.step()
    assert not replica.leads()
    assert replica.changes == 2


async def test_a_released_lease_is_taken_at_once(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = Replica(client, "first", clock), Replica(client, "second", clock)
    await first.lease.step()
    await second.lease.step()
    await first.lease.release()
    await second.lease.step()
    assert second.leads()
    assert holder(server) == "second"
