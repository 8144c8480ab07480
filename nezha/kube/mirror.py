"""A live copy of one collection of the API: listed in pages, then watched from where the list ended.

A watch that ends is resumed from the last version seen (bookmarks keep that recent). 410 Gone, at either place, means
that the API server has forgotten that version: the collection is listed anew. While the API server is away, the
copy stays what it was.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from nezha.kube.backoff import Backoff
from nezha.kube.client import Client, ClusterError
from nezha.kube.resources import Object, key

V = TypeVar("V")
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is followed: a collection's path, and which of its objects."""

    path: str
    fields: str = ""
    labels: str = ""
    page: int = 100
    """Objects of one page: few where they are large."""

    @property
    def query(self) -> dict[str, str | int]:
        """The selectors as query parameters."""
        given = {"fieldSelector": self.fields, "labelSelector": self.labels}
        return {name: value for name, value in given.items() if value}


class Mirror(Generic[V]):
    """What `keep` makes of each object, by namespace and name; `on_change` is called after every difference."""

    def __init__(
        self,
        client: Client,
        selection: Selection,
        keep: Callable[[Object], V],
        on_change: Callable[[], None],
        delays: Backoff | None = None,
    ) -> None:
        self._client = client
        self._selection = selection
        self._keep = keep
        self._on_change = on_change
        self._delays = delays or Backoff()
        self._objects: dict[Key, V] = {}
        self._version: str | None = None
        self.is_synced = False
        """Whether it was ever complete."""
        self.problem: str | None = f"{selection.path}: not read yet"
        """Why it may be behind the API server; None while it is not."""

    @property
    def objects(self) -> Mapping[Key, V]:
        """The copy; it changes only between two `await`s of its reader."""
        return self._objects

    async def run(self) -> None:
        """Follows the collection until cancelled."""
        while True:
            try:
                if self._version is None:
                    self._version = await self._list()
                    self._tell(None)
                await self._watch()
            except ClusterError as error:
                if error.code == 410:
                    self._version = None
                else:
                    self._tell(str(error))
            await asyncio.sleep(self._delays.next())

    async def _list(self) -> str:
        found: dict[Key, V] = {}
        query = self._selection.query | {"limit": self._selection.page}
        while True:
            page = await self._client.get(self._selection.path, query)
            found |= {key(each): self._keep(each) for each in page.get("items") or ()}
            if not (more := page["metadata"].get("continue")):
                break
            query["continue"] = more
        is_other = found != self._objects or not self.is_synced
        self._objects = found
        self.is_synced = True
        if is_other:
            self._on_change()
        return str(page["metadata"]["resourceVersion"])

    async def _watch(self) -> None:
        query = self._selection.query | {"resourceVersion": self._version or ""}
        async with self._client.watch(self._selection.path, query) as events:
            self._tell(None)
            async for event in events:
                self._delays.reset()  # not before: a watch that is accepted and cut at once is no success
                self._apply(event["type"], event["object"])

    def _apply(self, kind: str, found: Object) -> None:
        self._version = found["metadata"]["resourceVersion"]
        match kind:
            case "ADDED" | "MODIFIED":
                self._objects[key(found)] = self._keep(found)
            case "DELETED":
                self._objects.pop(key(found), None)
            case _:
                return  # a bookmark: only the version moved on
        self._on_change()

    def _tell(self, problem: str | None) -> None:
        if self.problem != problem:
            self.problem = problem
            self._on_change()
