"""Stores other than S3: Azurite and fake-gcs-server as processes; the doubles, for what no emulator judges."""

import asyncio
import base64
import contextlib
import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tests.origin import Origin
from tests.real import servers
from tests.real.pod import Pod
from tests.real.servers import PARTS

ACCOUNT = "mydata"
ACCOUNT_KEY = base64.b64encode(b"secretkeysecretkeysecretkey12345").decode()
CONTAINER = "models"
_WRITE = """
import sys
from azure.storage.blob import BlobServiceClient
service = BlobServiceClient(sys.argv[1], credential={"account_name": sys.argv[2], "account_key": sys.argv[3]})
container = service.get_container_client(sys.argv[4])
container.exists() or container.create_container()
container.upload_blob(sys.argv[5], sys.stdin.buffer.read(), overwrite=True)
"""
_SIGN = """
import datetime, sys
from azure.storage.blob import generate_container_sas
expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=int(sys.argv[4]))
print(generate_container_sas(*sys.argv[1:4], permission="rl", expiry=expiry))
"""


def sdk_python() -> Path:
    """The interpreter beside which the SDKs are installed."""
    found = PARTS / f"stores-{sys.version_info[0]}.{sys.version_info[1]}" / "bin" / "python"
    if not found.exists():
        servers.missing(f"{found} is not installed (tests/real/install.sh)")
    return found


def with_sdks(pod: Pod) -> Pod:
    """The same pod with the SDKs' Python."""
    return replace(pod, python=(*pod.python[:-1], str(sdk_python())))


@contextlib.contextmanager
def played(origin: Origin) -> Iterator[Origin]:
    """A scripted origin in a thread and an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(origin.__aenter__(), loop).result(10)
        try:
            yield origin
        finally:
            asyncio.run_coroutine_threadsafe(origin.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@dataclass(frozen=True)
class Azurite:
    """A running Azurite, and the account's own way to it past Nezha."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, key: str, body: bytes) -> None:
        """Writes a blob behind Nezha's back."""
        command = [str(sdk_python()), "-c", _WRITE, f"{self.url}/{ACCOUNT}", ACCOUNT, ACCOUNT_KEY, CONTAINER, key]
        subprocess.run(command, input=body, check=True, timeout=60)

    def sas(self, seconds: int = 600) -> str:
        """A SAS for the container that ends in so many seconds."""
        command = [str(sdk_python()), "-c", _SIGN, ACCOUNT, CONTAINER, ACCOUNT_KEY, str(seconds)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextlib.contextmanager
def azurite(directory: Path) -> Iterator[Azurite]:
    """Azurite on loopback with one account, in memory."""
    server = Azurite(servers.free_port())
    program = PARTS / "azurite" / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        servers.missing(f"{program} is not installed (tests/real/install.sh)")
    env = {"PATH": os.environ.get("PATH", ""), "HOME": str(directory), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(server.port)]
    how = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    is_ready = lambda: servers.status_of("127.0.0.1", server.port, "/") != 0  # noqa: E731
    with servers.process([str(program), *where, *how], directory / "azurite.log", is_ready, env):
        yield server


@dataclass(frozen=True)
class FakeGcs:
    """A running fake-gcs-server, which judges neither conditions nor credentials."""

    port: int
    bucket: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, key: str, body: bytes) -> None:
        """Writes an object behind Nezha's back."""
        target = f"/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name={quote(key, safe='')}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", target, body, {"Content-Type": "application/octet-stream"})
            assert connection.getresponse().status == 200


@contextlib.contextmanager
def fake_gcs(directory: Path, bucket: str) -> Iterator[FakeGcs]:
    """fake-gcs-server on loopback, in memory, with one bucket."""
    port = servers.free_port()
    (directory / "data" / bucket).mkdir(parents=True)
    command = [servers.program("fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-backend", "memory", "-data", str(directory / "data"), "-public-host", "storage.googleapis.com"]
    is_ready = lambda: servers.status_of("127.0.0.1", port, "/storage/v1/b") == 200  # noqa: E731
    with servers.process(command, directory / "fake-gcs.log", is_ready):
        yield FakeGcs(port, bucket)
