"""Which running pods were injected before a time: those that a rotated CA leaves behind."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from nezha.kube.client import Client
from nezha.kube.resources import INJECTED, POD, Object

_PAGE = 500


def injected_before(client: Client, seconds: float) -> Sequence[str]:
    """As namespace/name, in order; `seconds` since the epoch. Blocks; raises ClusterError."""
    return asyncio.run(_find(client, seconds))


async def _find(client: Client, seconds: float) -> Sequence[str]:
    found = []
    query: dict[str, str | int] = {"fieldSelector": "status.phase=Running", "limit": _PAGE}
    try:
        while True:
            page = await client.list_metadata(POD.path(), query)
            found += [each["metadata"] for each in page.get("items") or ()]
            if not (more := page["metadata"].get("continue")):
                break
            query["continue"] = more
    finally:
        await client.close()
    return sorted(f"{each['namespace']}/{each['name']}" for each in found if _is_meant(each, seconds))


def _is_meant(metadata: Object, seconds: float) -> bool:
    made_at = datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
    return INJECTED in (metadata.get("annotations") or ()) and made_at < seconds
