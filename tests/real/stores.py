"""Stores other than S3: Azurite and fake-gcs-server as processes; the doubles, for what no emulator judges."""

import asyncio
import base64
import contextlib
import hmac
import http.client
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.doubles import azure
from tests.origin import Origin
from tests.real import servers
from tests.real.pod import Pod
from tests.real.servers import PARTS

ACCOUNT = azure.ACCOUNT
ACCOUNT_KEY = base64.b64encode(b"secretkeysecretkeysecretkey12345").decode()
CONTAINER = "models"
_SAS_API = "2022-11-02"


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
        self._write(f"/{CONTAINER}/{quote(key)}", body, {"x-ms-blob-type": "BlockBlob"})

    def create(self) -> None:
        """Makes the container."""
        self._write(f"/{CONTAINER}?restype=container", b"", {})

    def _write(self, target: str, body: bytes, more: dict[str, str]) -> None:
        headers = azure.signed("PUT", target, {**more, "Content-Length": str(len(body))}, ACCOUNT_KEY)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("PUT", target, body, {**headers, "Host": azure.HOST})
            answer = connection.getresponse()
            assert answer.status == 201, answer.read()

    def sas(self, seconds: int = 600) -> str:
        """A service SAS for the container that ends in so many seconds."""
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        values = {"sp": "rl", "se": ends, "sv": _SAS_API, "sr": "c"}
        # Which fields are signed, in this order: Microsoft, "Create a service SAS", version 2020-12-06 and later.
        signed = ["rl", "", ends, f"/blob/{ACCOUNT}/{CONTAINER}", "", "", "", _SAS_API, "c", *[""] * 7]
        mac = hmac.new(base64.b64decode(ACCOUNT_KEY), "\n".join(signed).encode(), "sha256").digest()
        return urlencode({**values, "sig": base64.b64encode(mac).decode()})


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
        server.create()
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
