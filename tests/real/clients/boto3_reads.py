"""A job that reads S3 with boto3: `get` (one GET an object) or `download` (a HEAD, then parallel signed ranges).

In:  {"bucket": ..., "keys": [...], "anonymous": false}.
Out: {key: SHA-256 of its bytes, or the status that came instead}.
"""

import hashlib
import io
import json
import sys
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from s3transfer.exceptions import S3DownloadFailedError


def get(client: Any, bucket: str, key: str) -> str:
    body = client.get_object(Bucket=bucket, Key=key)["Body"]
    digest = hashlib.sha256()
    for chunk in body.iter_chunks(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def download(client: Any, bucket: str, key: str) -> str:
    copy = io.BytesIO()
    client.download_fileobj(bucket, key, copy)
    return hashlib.sha256(copy.getbuffer()).hexdigest()


def main() -> None:
    read = {"get": get, "download": download}[sys.argv[1]]
    job = json.load(sys.stdin)
    client = boto3.client("s3", config=Config(signature_version=UNSIGNED) if job.get("anonymous") else None)
    found: dict[str, str] = {}
    for key in job["keys"]:
        try:
            found[key] = read(client, job["bucket"], key)
        except ClientError as error:
            found[key] = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
        except S3DownloadFailedError:  # a range's If-Match did not hold any more
            found[key] = "412"
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
