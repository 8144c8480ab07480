"""What callers of the three stores show is nowhere but in memory: not on the disk, in a log, or on a page."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tests.doubles import azure, gcs, huggingface
from tests.origin import Origin
from tests.rawclient import request_bytes
from tests.serving import Serving, serving

BODY = b"of no secret" * 10_000
MEDIA = "/download/storage/v1/b/data/o/a?alt=media"
UPLOAD = "/upload/storage/v1/b/data/o?uploadType=resumable&upload_id=planted-upload"


def _signature(url: str) -> str:
    found = re.search(r"(?:ignature|sig)=([^&]+)", url)
    assert found is not None
    return unquote(found[1])


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def send(nezha: Serving, host: str, target: str, headers: Mapping[str, str], method: str = "GET") -> bytes:
    async with await nezha.client() as client:
        body = b"x" if method != "GET" else None
        await client.send(request_bytes(method, target, host, list(headers.items()), body))
        return (await client.read_response(method)).body


async def test_no_secret_is_on_the_disk_in_the_log_or_on_a_page(tmp_path: Path) -> None:
    origins: list[Origin] = [gcs.GcsOrigin(), azure.AzureOrigin(), huggingface.HubOrigin()]
    google, blobs, hub = origins
    assert isinstance(google, gcs.GcsOrigin)
    assert isinstance(blobs, azure.AzureOrigin)
    assert isinstance(hub, huggingface.HubOrigin)
    google.blobs["data", "a"] = gcs.Blob(BODY)
    blobs.blobs["models/a"] = azure.Blob(BODY)
    file = hub.files["/m/resolve/main/a"] = huggingface.File(BODY)
    hmac, shared = gcs.hmac_header("GOOG1GOOD", "/data/a"), azure.signed("GET", "/models/a")
    signed, sas = gcs.signed_url("GOOG1GOOD", "/data/a"), azure.sas("/models/a")
    presigned = huggingface.presigned(f"/repo/{file.hash}", uid="planted-holder")
    good = [
        (gcs.HOST, MEDIA, {"Authorization": "Bearer good"}),
        (gcs.HOST, "/data/a", hmac),
        (gcs.HOST, signed, {}),
        (azure.HOST, "/models/a", shared),
        (azure.HOST, sas, {"x-ms-version": azure.API}),
        (huggingface.FILES, presigned, {}),
    ]
    bad = [(host, MEDIA.replace("/a?", "/b?"), {"Authorization": "Bearer planted-token"}) for host in (gcs.HOST,)]
    bad += [(azure.HOST, "/models/a", {"Authorization": "Bearer planted-token", "x-ms-version": azure.API})]
    bad += [(huggingface.HUB, "/m/resolve/main/a", {"Authorization": "Bearer planted-token"})]
    planted = [
        "planted-token", "planted-upload", _signature(hmac["Authorization"]), _signature(signed), _signature(sas),
        shared["Authorization"].rpartition(":")[2], _signature(presigned),
    ]  # fmt: skip
    async with AsyncExitStack() as stack:
        for origin in origins:
            await stack.enter_async_context(origin)
        settings: list[dict[str, Any]] = [
            {"name": "gcs", "dialect": "gcs", "connect": google.url},
            {"name": "azure", "dialect": "azure", "accounts": [azure.ACCOUNT], "connect": blobs.url},
            {"name": "hub", "dialect": "huggingface", "connect": hub.url},
        ]
        nezha = await stack.enter_async_context(serving(tmp_path, *settings))
        for host, target, headers in good * 2:
            assert await send(nezha, host, target, headers) == BODY, target
        for host, target, headers in bad:
            assert await send(nezha, host, target, headers) != BODY
        await send(nezha, gcs.HOST, UPLOAD, {"Authorization": "Bearer planted-token"}, "PUT")
        pages = [await send(nezha, "nezha", path, {}) for path in ("/", "/metrics", "/readyz?verbose")]
        nezha.process.terminate()
        await nezha.end()
    held = await asyncio.to_thread(everything_in, tmp_path)
    log = json.dumps(nezha.lines) + nezha.errors
    assert BODY in held
    assert "gcs" in log
    for secret in planted:
        for form in {secret, quote(secret, safe="")}:
            assert len(form) > 8
            assert form.encode() not in held, "on the disk"
            assert form not in log, "in the log"
            assert not any(form.encode() in page for page in pages), "on a page"
