"""The clients that speak S3, each as it is set up by default, with credentials and region from the environment."""

# ruff: noqa: PLC0415  # each client is imported only where it is asked

import asyncio
import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.real.clients.client import BUCKET, REGION, URL_SECONDS, Client, Unable


class Boto3(Client):
    def __init__(self) -> None:
        import boto3

        self.client: Any = boto3.session.Session().client("s3")  # the default one keeps credentials

    def get(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def range(self, key: str, start: int, stop: int) -> bytes:
        answer = self.client.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={start}-{stop - 1}")
        return bytes(answer["Body"].read())

    def head(self, key: str) -> int:
        return int(self.client.head_object(Bucket=BUCKET, Key=key)["ContentLength"])

    def list(self, prefix: str) -> list[str]:
        return [row["Key"] for row in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def sign(self, key: str) -> str:
        named = {"Bucket": BUCKET, "Key": key}
        return str(self.client.generate_presigned_url("get_object", Params=named, ExpiresIn=URL_SECONDS))


class Boto3Transfer(Boto3):
    kind = "classic"

    def config(self) -> Any:
        from boto3.s3.transfer import TransferConfig

        return TransferConfig(preferred_transfer_client=self.kind)

    def get(self, key: str) -> bytes:
        into = io.BytesIO()
        self.client.download_fileobj(BUCKET, key, into, Config=self.config())
        return into.getvalue()

    def range(self, key: str, start: int, stop: int) -> bytes:
        raise Unable

    def put(self, key: str, body: bytes) -> None:
        self.client.upload_fileobj(io.BytesIO(body), BUCKET, key, Config=self.config())

    def sign(self, key: str) -> str:
        raise Unable


class AwscrtTransfer(Boto3Transfer):
    kind = "crt"


class Aiobotocore(Client):
    def _do(self, method: str, **arguments: Any) -> Any:
        from aiobotocore.session import get_session

        async def do() -> Any:
            async with get_session().create_client("s3") as client:
                answer = await getattr(client, method)(Bucket=BUCKET, **arguments)
                return await answer["Body"].read() if "Body" in answer else answer

        return asyncio.run(do())

    def get(self, key: str) -> bytes:
        return bytes(self._do("get_object", Key=key))

    def range(self, key: str, start: int, stop: int) -> bytes:
        return bytes(self._do("get_object", Key=key, Range=f"bytes={start}-{stop - 1}"))

    def head(self, key: str) -> int:
        return int(self._do("head_object", Key=key)["ContentLength"])

    def list(self, prefix: str) -> list[str]:
        return [row["Key"] for row in self._do("list_objects_v2", Prefix=prefix)["Contents"]]

    def put(self, key: str, body: bytes) -> None:
        self._do("put_object", Key=key, Body=body)


class S3fs(Client):
    def __init__(self) -> None:
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        self.files: Any = s3fs.S3FileSystem()

    def get(self, key: str) -> bytes:
        return bytes(self.files.cat(f"{BUCKET}/{key}"))

    def range(self, key: str, start: int, stop: int) -> bytes:
        with self.files.open(f"{BUCKET}/{key}", "rb") as file:
            file.seek(start)
            return bytes(file.read(stop - start))

    def head(self, key: str) -> int:
        return int(self.files.info(f"{BUCKET}/{key}")["size"])

    def list(self, prefix: str) -> list[str]:
        return [name.partition("/")[2] for name in self.files.find(f"{BUCKET}/{prefix}")]

    def put(self, key: str, body: bytes) -> None:
        self.files.pipe(f"{BUCKET}/{key}", body)

    def sign(self, key: str) -> str:
        return str(self.files.sign(f"{BUCKET}/{key}"))


class Awscli(Client):
    def _run(self, *words: str) -> str:
        from awscli.clidriver import create_clidriver

        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = create_clidriver().main(list(words))
        if code:
            raise RuntimeError(said.getvalue())
        return said.getvalue()

    def _fetch(self, *words: str) -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "copy"
            self._run(*words, str(copy))
            return copy.read_bytes()

    def get(self, key: str) -> bytes:
        return self._fetch("s3", "cp", "--quiet", f"s3://{BUCKET}/{key}")

    def range(self, key: str, start: int, stop: int) -> bytes:
        named = ["--bucket", BUCKET, "--key", key, "--range", f"bytes={start}-{stop - 1}"]
        return self._fetch("s3api", "get-object", *named)

    def head(self, key: str) -> int:
        return int(json.loads(self._run("s3api", "head-object", "--bucket", BUCKET, "--key", key))["ContentLength"])

    def list(self, prefix: str) -> list[str]:
        said = self._run("s3", "ls", "--recursive", f"s3://{BUCKET}/{prefix}")
        return [line.split()[3] for line in said.splitlines()]

    def put(self, key: str, body: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            self._run("s3", "cp", "--quiet", file.name, f"s3://{BUCKET}/{key}")

    def sign(self, key: str) -> str:
        return self._run("s3", "presign", f"s3://{BUCKET}/{key}").strip()


class PyarrowS3(Client):
    def __init__(self) -> None:
        from pyarrow import fs

        self.fs: Any = fs
        self.files: Any = fs.S3FileSystem()

    def get(self, key: str) -> bytes:
        with self.files.open_input_stream(f"{BUCKET}/{key}") as stream:
            return bytes(stream.read())

    def range(self, key: str, start: int, stop: int) -> bytes:
        with self.files.open_input_file(f"{BUCKET}/{key}") as file:
            return bytes(file.read_at(stop - start, start))

    def head(self, key: str) -> int:
        return int(self.files.get_file_info(f"{BUCKET}/{key}").size)

    def list(self, prefix: str) -> list[str]:
        found = self.files.get_file_info(self.fs.FileSelector(f"{BUCKET}/{prefix.rstrip('/')}"))
        return [info.path.partition("/")[2] for info in found]

    def put(self, key: str, body: bytes) -> None:
        with self.files.open_output_stream(f"{BUCKET}/{key}") as stream:
            stream.write(body)


class S3Torchconnector(Client):
    """The client of s3torchconnector, without the torch above it."""

    def __init__(self) -> None:
        from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

        self.client: Any = MountpointS3Client(region=REGION, user_agent_prefix="test")

    def get(self, key: str) -> bytes:
        return b"".join(self.client.get_object(BUCKET, key))

    def range(self, key: str, start: int, stop: int) -> bytes:
        return b"".join(self.client.get_object(BUCKET, key, start=start, end=stop))

    def head(self, key: str) -> int:
        return int(self.client.head_object(BUCKET, key).size)

    def list(self, prefix: str) -> list[str]:
        return [info.key for page in self.client.list_objects(BUCKET, prefix) for info in page.object_info]

    def put(self, key: str, body: bytes) -> None:
        writer = self.client.put_object(BUCKET, key)
        writer.write(body)
        writer.close()


class Minio(Client):
    def __init__(self) -> None:
        from minio import Minio as MinioClient
        from minio.credentials import EnvAWSProvider

        self.client: Any = MinioClient("s3.amazonaws.com", credentials=EnvAWSProvider())

    def get(self, key: str) -> bytes:
        with contextlib.closing(self.client.get_object(BUCKET, key)) as answer:
            return bytes(answer.read())

    def range(self, key: str, start: int, stop: int) -> bytes:
        with contextlib.closing(self.client.get_object(BUCKET, key, offset=start, length=stop - start)) as answer:
            return bytes(answer.read())

    def head(self, key: str) -> int:
        return int(self.client.stat_object(BUCKET, key).size)

    def list(self, prefix: str) -> list[str]:
        return [found.object_name for found in self.client.list_objects(BUCKET, prefix)]

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(BUCKET, key, io.BytesIO(body), len(body))

    def sign(self, key: str) -> str:
        return str(self.client.presigned_get_object(BUCKET, key))


class Obstore(Client):
    def __init__(self) -> None:
        from obstore.store import S3Store

        self.store: Any = S3Store(BUCKET)

    def get(self, key: str) -> bytes:
        return bytes(self.store.get(key).bytes())

    def range(self, key: str, start: int, stop: int) -> bytes:
        return bytes(self.store.get_range(key, start=start, end=stop))

    def head(self, key: str) -> int:
        return int(self.store.head(key)["size"])

    def list(self, prefix: str) -> list[str]:
        return [found["path"] for page in self.store.list(prefix) for found in page]

    def put(self, key: str, body: bytes) -> None:
        self.store.put(key, body)

    def sign(self, key: str) -> str:
        from datetime import timedelta

        import obstore

        return str(obstore.sign(self.store, "GET", key, timedelta(seconds=URL_SECONDS)))


class Polars(Client):
    def get(self, key: str) -> bytes:
        import polars

        return str(polars.scan_csv(f"s3://{BUCKET}/{key}").collect().write_csv()).encode()

    def put(self, key: str, body: bytes) -> None:
        import polars

        polars.read_csv(body).lazy().sink_csv(f"s3://{BUCKET}/{key}")

    def list(self, prefix: str) -> list[str]:
        import polars

        found = polars.scan_csv(f"s3://{BUCKET}/{prefix}*", include_file_paths="path").select("path").unique().collect()
        return [path.removeprefix(f"s3://{BUCKET}/") for path in found["path"]]


class Deltalake(Client):
    """A table of one column; each write is a new version of it."""

    def get(self, key: str) -> bytes:
        import deltalake
        import polars

        table: Any = deltalake.DeltaTable(f"s3://{BUCKET}/{key}").to_pyarrow_table()
        found: Any = polars.from_arrow(table)
        return str(found.sort("n").write_csv()).encode()

    def put(self, key: str, body: bytes) -> None:
        import deltalake
        import polars

        deltalake.write_deltalake(f"s3://{BUCKET}/{key}", polars.read_csv(body).to_arrow(), mode="overwrite")
