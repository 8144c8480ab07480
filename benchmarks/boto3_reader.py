"""Reads one object with boto3 again and again: `boto3_reader.py HOST BUCKET KEY READS SIGNED WAY`.

Prints JSON: the seconds of each read. Credentials and trust come from the environment; SIGNED is 0 or 1. WAY is
`get`, one request for the whole object, or `transfer`, boto3's own way for files: ranges of 8 MiB, 10 at a time.
"""

import json
import os
import sys
import time

import boto3
from botocore import UNSIGNED
from botocore.config import Config

CHUNK_BYTES = 1 << 20


def main() -> None:
    host, bucket, key, reads, is_signed, way = sys.argv[1:]
    more = {} if is_signed == "1" else {"signature_version": UNSIGNED}
    config = Config(s3={"addressing_style": "path"}, **more)
    client = boto3.client("s3", endpoint_url=f"https://{host}", region_name="us-east-1", config=config)
    seconds = []
    for _ in range(int(reads)):
        begun = time.perf_counter()
        if way == "transfer":
            client.download_file(bucket, key, os.devnull)
        else:
            for _chunk in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES):
                pass
        seconds.append(time.perf_counter() - begun)
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
