"""A live copy of a collection: complete, resumed, listed anew only where it must be, and unharmed by an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nezha.kube.backoff import Backoff
from nezha.kube.client import Client
from nezha.kube.mirror import Mirror, Selection
from nezha.tasks import Tasks
from tests.kube.apiserver import ApiServer

PATH = "/api/v1/namespaces/a/configmaps"


@asynccontextmanager
async def following(client: Client, **selection: Any) -> AsyncIterator[Mirror[str]]:
    """A mirror of what the objects' `data.value` is, once it is complete."""
    tasks, changed = Tasks(), asyncio.Event()
    mirror = Mirror(
        client,
        Selection(PATH, **selection),
        lambda found: str(found["data"]["value"]),
        changed.set,
        Backoff(first=0.01, longest=0.05),
    )
    tasks.start(mirror.run(), "mirror")
    try:
        yield mirror
    finally:
        await tasks.cancel()


def put(server: ApiServer, name: str, value: str, **metadata: Any) -> None:
    """A ConfigMap, as somebody else makes or changes it."""
    server.put(PATH, name, {"data": {"value": value}}, **metadata)


def held(mirror: Mirror[str]) -> dict[str, str]:
    """What the mirror holds, by name."""
    return {name: value for (_, name), value in mirror.objects.items()}


async def test_a_collection_is_listed_in_pages_and_then_followed(server: ApiServer, client: Client) -> None:
    for number in range(7):
        put(server, f"n{number}", "old")
    async with following(client, page=3) as mirror:
        await server.until(lambda: mirror.is_synced)
        assert held(mirror) == {f"n{number}": "old" for number in range(7)}
        assert server.count("GET", PATH, limit="3") == 3
        put(server, "n0", "new")
        put(server, "n7", "new")
        server.remove(f"{PATH}/n1")
        await server.until(lambda: "n1" not in held(mirror) and "n7" in held(mirror))
        assert held(mirror)["n0"] == "new"


async def test_only_what_is_selected_is_followed(server: ApiServer, client: Client) -> None:
    put(server, "this", "1")
    put(server, "that", "2")
    async with following(client, fields="metadata.name=this") as mirror:
        await server.until(lambda: mirror.is_synced)
        put(server, "that", "3")
        put(server, "this", "4")
        await server.until(lambda: held(mirror) == {"this": "4"})


async def test_a_watch_that_ends_is_resumed_where_it_ended(server: ApiServer, client: Client) -> None:
    put(server, "a", "1")
    async with following(client) as mirror:
        await server.until(lambda: len(server.watches(PATH)) == 1)
        put(server, "a", "2")
        await server.until(lambda: held(mirror) == {"a": "2"})
        server.end_watches()
        await server.until(lambda: len(server.watches(PATH)) == 2)
        put(server, "a", "3")
        await server.until(lambda: held(mirror) == {"a": "3"})
        assert server.watches(PATH) == ["101", "102"]
        assert server.count("GET", PATH, limit="100") == 1


async def test_a_bookmark_moves_the_version_from_which_a_watch_is_resumed(server: ApiServer, client: Client) -> None:
    put(server, "a", "1")
    async with following(client):
        await server.until(lambda: server.watches(PATH))
        server.put("/api/v1/nodes", "elsewhere", {})
        server.bookmark()
        server.end_watches()
        await server.until(lambda: len(server.watches(PATH)) == 2)
        assert server.watches(PATH) == ["101", "102"]


async def test_a_forgotten_version_is_listed_anew(server: ApiServer, client: Client) -> None:
    put(server, "a", "1")
    put(server, "b", "1")
    async with following(client) as mirror:
        await server.until(lambda: server.watches(PATH))
        server.end_watches()
        server.remove(f"{PATH}/b")
        put(server, "a", "2")
        server.forget()
        await server.until(lambda: held(mirror) == {"a": "2"})
        assert server.count("GET", PATH, limit="100") == 2


async def test_a_410_in_the_middle_of_a_list_begins_it_again(server: ApiServer, client: Client) -> None:
    for number in range(4):
        put(server, f"n{number}", "1")
    server.fail("GET", PATH, 410)
    async with following(client, page=2) as mirror:
        await server.until(lambda: mirror.is_synced)
        assert len(mirror.objects) == 4


async def test_while_the_api_server_is_away_what_was_known_stays(server: ApiServer, client: Client) -> None:
    put(server, "a", "1")
    async with following(client) as mirror:
        await server.until(lambda: mirror.is_synced)
        await server.stop()
        await server.until(lambda: mirror.problem is not None)
        assert held(mirror) == {"a": "1"}
        put(server, "a", "2")
        await server.start()
        await server.until(lambda: held(mirror) == {"a": "2"} and mirror.problem is None)
        assert server.count("GET", PATH, limit="100") == 1, "it was resumed, not listed anew"


async def test_a_refusal_is_told_and_asked_again(server: ApiServer, client: Client) -> None:
    server.fail("GET", PATH, 403, times=3)
    async with following(client) as mirror:
        await server.until(lambda: "403" in (mirror.problem or ""))
        assert not mirror.is_synced
        await server.until(lambda: mirror.is_synced and mirror.problem is None)
