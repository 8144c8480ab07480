"""A job that does with one S3 client, as it comes, what it is told: `python -m tests.real.clients.s3_client NAME`.

In, a line each:  {"op": ..., "key": ..., "start": ..., "stop": ..., "file": ..., "url": ..., "env": {...}}.
Out, a line each: {"found": ...}, {"error": ...} or {"unable": true}. A client is made for each `env`.

    get       SHA-256 of the object's bytes          put       writes the bytes of `file`
    range     SHA-256 of [start, stop)               head      the object's size
    list      the names under `key`                  url       SHA-256 of what `url` (or the client's own URL) gives
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.real.clients import programs, s3_sdks
from tests.real.clients.client import Client, Unable

CLIENTS: dict[str, type[Client]] = {
    "boto3 get_object": s3_sdks.Boto3,
    "boto3 download": s3_sdks.Boto3Transfer,
    "boto3 with awscrt": s3_sdks.AwscrtTransfer,
    "aiobotocore": s3_sdks.Aiobotocore,
    "s3fs": s3_sdks.S3fs,
    "awscli": s3_sdks.Awscli,
    "pyarrow S3FileSystem": s3_sdks.PyarrowS3,
    "s3torchconnector": s3_sdks.S3Torchconnector,
    "minio": s3_sdks.Minio,
    "obstore": s3_sdks.Obstore,
    "polars": s3_sdks.Polars,
    "deltalake": s3_sdks.Deltalake,
    "rclone": programs.Rclone,
    "requests": programs.Requests,
    "httpx": programs.Httpx,
    "aiohttp": programs.Aiohttp,
    "curl": programs.Curl,
    "wget": programs.Wget,
    "node fetch": programs.Node,
    "webdataset": programs.Webdataset,
}


_made: dict[str, Client] = {}


def done(kind: type[Client], job: dict[str, Any]) -> Any:
    env = job.get("env", {})
    os.environ.update(env)
    client = _made.get(str(env)) or kind()
    _made[str(env)] = client
    match job:
        case {"op": "get", "url": url} if isinstance(client, programs.Url):
            return _digest(client.fetch(url))
        case {"op": "range", "url": url, "start": start, "stop": stop} if isinstance(client, programs.Url):
            return _digest(client.fetch(url, start, stop))
        case {"op": "head", "url": url} if isinstance(client, programs.Url):
            return client.size(url)
        case {"op": "put", "url": url, "file": file} if isinstance(client, programs.Url):
            return client.send(url, Path(file).read_bytes())
        case {"op": "get", "key": key}:
            return _digest(client.get(key))
        case {"op": "range", "key": key, "start": start, "stop": stop}:
            return _digest(client.range(key, start, stop))
        case {"op": "head", "key": key}:
            return client.head(key)
        case {"op": "list", "key": key}:
            return sorted(client.list(key))
        case {"op": "put", "key": key, "file": file}:
            return client.put(key, Path(file).read_bytes())
        case {"op": "url", "key": key}:
            return _digest(programs.Requests().fetch(client.sign(key)))
        case _:
            raise Unable


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def main() -> None:
    kind = CLIENTS[sys.argv[1]]
    answers, sys.stdout = sys.stdout, sys.stderr  # what else prints does not get in between
    for line in sys.stdin:
        try:
            said = {"found": done(kind, json.loads(line))}
        except Unable:
            said = {"unable": True}
        except BaseException as error:  # noqa: BLE001  # each client has its own; what it says is for the reader
            said = {"error": f"{type(error).__name__}: {error}"[-600:]}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
