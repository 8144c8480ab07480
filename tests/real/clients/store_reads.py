"""A job that reads objects of another store than S3 with one of its SDKs, as the SDK is by itself.

In:  {"bucket": ..., "reads": [{"keys": [...], "credential": ..., "range": [start, stop] or null}, ...]}.  Out: for each
read {key: SHA-256 of its bytes, or the status that came instead}. An empty credential is that of nobody. `bucket` is
ACCOUNT/CONTAINER for Azure, a repository for Hugging Face.
"""

# ruff: noqa: PLC0415  # each SDK is imported only where it is asked

import datetime
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Reader = Callable[[str], bytes]


def google_cloud_storage(job: Job) -> Reader:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage
    from google.oauth2.credentials import Credentials

    shown = Credentials(job["credential"]) if job["credential"] else AnonymousCredentials()
    bucket = storage.Client(project="p", credentials=shown).bucket(job["bucket"])
    start, stop = job["range"] or (None, None)
    return lambda key: bucket.blob(key).download_as_bytes(start=start, end=None if stop is None else stop - 1)


def gcsfs(job: Job) -> Reader:
    import gcsfs
    from google.oauth2.credentials import Credentials

    shown = Credentials(job["credential"]) if job["credential"] else "anon"
    store = gcsfs.GCSFileSystem(project="p", token=shown, skip_instance_cache=True)
    start, stop = job["range"] or (None, None)
    return lambda key: bytes(store.cat_file(f"{job['bucket']}/{key}", start=start, end=stop))


def pyarrow_gcs(job: Job) -> Reader:
    from pyarrow import fs

    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    shown = {"access_token": job["credential"], "credential_token_expiration": later}
    retries = datetime.timedelta(seconds=5)
    store = fs.GcsFileSystem(retry_time_limit=retries, **(shown if job["credential"] else {"anonymous": True}))
    return lambda key: _pyarrow(store, f"{job['bucket']}/{key}", job)


def _pyarrow(store: Any, path: str, job: Job) -> bytes:
    if job["range"] is None:
        with store.open_input_stream(path) as stream:
            return bytes(stream.read())
    start, stop = job["range"]
    with store.open_input_file(path) as file:
        return bytes(file.read_at(stop - start, start))


def azure_storage_blob(job: Job) -> Reader:
    from azure.storage.blob import BlobServiceClient

    account, container = job["bucket"].split("/")
    service = BlobServiceClient(f"https://{account}.blob.core.windows.net", credential=job["credential"] or None)
    start, stop = job["range"] or (None, None)
    length = None if stop is None else stop - start
    return lambda key: bytes(service.get_blob_client(container, key).download_blob(start, length).readall())


def adlfs(job: Job) -> Reader:
    import adlfs

    account, container = job["bucket"].split("/")
    is_sas = "sig=" in job["credential"]
    shown = {"sas_token" if is_sas else "account_key": job["credential"]} if job["credential"] else {"anon": True}
    store = adlfs.AzureBlobFileSystem(account_name=account, skip_instance_cache=True, **shown)
    start, stop = job["range"] or (None, None)
    return lambda key: bytes(store.cat_file(f"{container}/{key}", start=start, end=stop))


def pyarrow_azure(job: Job) -> Reader:
    from pyarrow import fs

    account, container = job["bucket"].split("/")
    is_sas = "sig=" in job["credential"]
    shown = {"sas_token": f"?{job['credential']}"} if is_sas else {"account_key": job["credential"]}
    store = fs.AzureFileSystem(account, **shown)
    return lambda key: _pyarrow(store, f"{container}/{key}", job)


def huggingface_hub(job: Job) -> Reader:
    from huggingface_hub import hf_hub_download

    def read(key: str) -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            shown = job["credential"] or False
            return Path(hf_hub_download(job["bucket"], key, token=shown, cache_dir=directory)).read_bytes()

    return read


def _status(error: BaseException) -> str:
    """The HTTP status that an SDK's error speaks of, in whatever way it does."""
    while True:
        for holder in (error, getattr(error, "response", None)):
            for name in ("status_code", "code"):
                if isinstance(found := getattr(holder, name, None), int):
                    return str(int(found))
        if match := re.search(r"\b(4\d\d|5\d\d)\b", str(error)):
            return match[1]
        if isinstance(error, PermissionError) or "orbidden" in str(error):
            return "403"
        if "cannot be refreshed" in str(error):  # google-auth: what it does on a 401
            return "401"
        following = error.__cause__ or error.__context__
        if following is None:
            raise error
        error = following


READERS = {
    reader.__name__: reader
    for reader in (google_cloud_storage, gcsfs, pyarrow_gcs, azure_storage_blob, adlfs, pyarrow_azure, huggingface_hub)
}


def main() -> None:
    job = json.load(sys.stdin)
    found = []
    for wanted in job["reads"]:
        read = READERS[sys.argv[1]](job | wanted)
        found.append({key: _result(read, key) for key in wanted["keys"]})
    print(json.dumps(found))


def _result(read: Reader, key: str) -> str:
    try:
        return hashlib.sha256(read(key)).hexdigest()
    except Exception as error:  # noqa: BLE001  # of whatever SDK
        return _status(error)


if __name__ == "__main__":
    main()
