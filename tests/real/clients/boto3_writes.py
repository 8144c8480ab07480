"""A job that reads an object, writes it, and reads it again, with boto3.

`put` sends the bytes as they are, `stream` in aws-chunked, `multipart` in parts of 8 MiB; `delete` removes the object.
In:  {"bucket": ..., "key": ..., "file": path of the new bytes}.
Out: {"before", "after": SHA-256 or status, "listed": size or null, "writes": number of PUTs, "expect", "encoding",
"framing": what their heads said}.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

PART_BYTES = 8 << 20


class Job:
    """One object's reads and writes; keeps the heads of the writes."""

    def __init__(self, bucket: str, key: str, *, checksums: str) -> None:
        self.client: Any = boto3.client("s3", config=Config(request_checksum_calculation=checksums))
        self.named = {"Bucket": bucket, "Key": key}
        self.heads: list[dict[str, str]] = []
        self.client.meta.events.register("before-send.s3", self.keep)

    def keep(self, request: Any, **_: Any) -> None:
        if request.method == "PUT":
            self.heads.append({name.lower(): _text(value) for name, value in request.headers.items()})

    def said(self, name: str) -> list[str]:
        return sorted({head[name] for head in self.heads if name in head})

    def read(self) -> str:
        try:
            return hashlib.sha256(self.client.get_object(**self.named)["Body"].read()).hexdigest()
        except ClientError as error:
            return str(error.response["ResponseMetadata"]["HTTPStatusCode"])

    def listed(self) -> int | None:
        page = self.client.list_objects_v2(Bucket=self.named["Bucket"], Prefix=self.named["Key"])
        return next((row["Size"] for row in page.get("Contents", []) if row["Key"] == self.named["Key"]), None)

    def put(self, file: Path) -> None:
        self.client.put_object(**self.named, Body=file.read_bytes())

    def stream(self, file: Path) -> None:
        with file.open("rb") as body:
            self.client.put_object(**self.named, Body=body)

    def multipart(self, file: Path) -> None:
        config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)
        self.client.upload_file(str(file), *self.named.values(), Config=config)

    def delete(self, _: Path) -> None:
        self.client.delete_object(**self.named)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def main() -> None:
    how = sys.argv[1]
    given = json.load(sys.stdin)
    # Without a checksum of its own boto3 sends the body as it is.
    job = Job(given["bucket"], given["key"], checksums="when_required" if how == "put" else "when_supported")
    before = job.read()
    {"put": job.put, "stream": job.stream, "multipart": job.multipart, "delete": job.delete}[how](Path(given["file"]))
    names = {"expect": "expect", "encoding": "content-encoding", "framing": "transfer-encoding"}
    said = {name: job.said(field) for name, field in names.items()}
    found = {"before": before, "after": job.read(), "listed": job.listed(), "writes": len(job.heads)}
    json.dump({**found, **said}, sys.stdout)


if __name__ == "__main__":
    main()
