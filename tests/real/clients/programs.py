"""The clients that are programs of their own, and those that know nothing of S3 and are given URLs."""

# ruff: noqa: PLC0415  # each client is imported only where it is asked

import asyncio
import json
import subprocess
import tempfile
from typing import Any

from tests.real.clients.client import BUCKET, REGION, Client, Unable


class Program(Client):
    """A program of its own, its output in a file."""

    def run(self, *words: str, body: bytes = b"") -> bytes:
        done = subprocess.run(words, input=body, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr.decode()[-300:]}")
        return done.stdout


class Rclone(Program):
    remote = f":s3,provider=AWS,env_auth=true,region={REGION}:{BUCKET}"

    def get(self, key: str) -> bytes:
        return self.run("rclone", "cat", f"{self.remote}/{key}")

    def range(self, key: str, start: int, stop: int) -> bytes:
        return self.run("rclone", "cat", "--offset", str(start), "--count", str(stop - start), f"{self.remote}/{key}")

    def head(self, key: str) -> int:
        return int(json.loads(self.run("rclone", "lsjson", "--stat", f"{self.remote}/{key}"))["Size"])

    def list(self, prefix: str) -> list[str]:
        said = self.run("rclone", "lsf", f"{self.remote}/{prefix}").decode()
        return [f"{prefix}{name}" for name in said.split()]

    def put(self, key: str, body: bytes) -> None:
        self.run("rclone", "rcat", "--s3-no-check-bucket", f"{self.remote}/{key}", body=body)


class Url(Program):
    """A client that knows nothing of S3: it is given URLs."""

    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        raise Unable

    def size(self, url: str) -> int:
        raise Unable

    def send(self, url: str, body: bytes) -> None:
        raise Unable


class Requests(Url):
    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        import requests

        answer = requests.get(url, headers=_range(start, stop), timeout=60)
        answer.raise_for_status()
        return answer.content

    def size(self, url: str) -> int:
        import requests

        return int(requests.head(url, timeout=60).headers["content-length"])

    def send(self, url: str, body: bytes) -> None:
        import requests

        requests.put(url, data=body, timeout=60).raise_for_status()


class Httpx(Url):
    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        import httpx

        return bytes(httpx.get(url, headers=_range(start, stop), timeout=60).raise_for_status().content)

    def size(self, url: str) -> int:
        import httpx

        return int(httpx.head(url, timeout=60).headers["content-length"])

    def send(self, url: str, body: bytes) -> None:
        import httpx

        httpx.put(url, content=body, timeout=60).raise_for_status()


class Aiohttp(Url):
    def _do(self, method: str, url: str, **arguments: Any) -> tuple[bytes, int]:
        import aiohttp
        from yarl import URL

        async def do() -> tuple[bytes, int]:
            # a signed URL is sent as it is
            signed = URL(url, encoded=True)
            async with aiohttp.ClientSession() as session, session.request(method, signed, **arguments) as answer:
                answer.raise_for_status()
                return await answer.read(), int(answer.headers.get("content-length", 0))

        return asyncio.run(do())

    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        return self._do("GET", url, headers=_range(start, stop))[0]

    def size(self, url: str) -> int:
        return self._do("HEAD", url)[1]

    def send(self, url: str, body: bytes) -> None:
        self._do("PUT", url, data=body, skip_auto_headers=["Content-Type"])


class Curl(Url):
    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        part = [] if start is None or stop is None else ["--range", f"{start}-{stop - 1}"]
        return self.run("curl", "--silent", "--show-error", "--fail", *part, url)

    def size(self, url: str) -> int:
        head = self.run("curl", "--silent", "--show-error", "--fail", "--head", url).decode().lower()
        return next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))

    def send(self, url: str, body: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            self.run("curl", "--silent", "--show-error", "--fail", "--upload-file", file.name, url)


class Wget(Url):
    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        if start is not None:
            raise Unable
        return self.run("wget", "--quiet", "--tries=1", "--output-document=-", url)


class Node(Url):
    CODE = """
const [url, range, file] = process.argv.slice(1), method = file ? 'PUT' : 'GET'
const options = file ? {method, body: require('fs').readFileSync(file)} : {headers: range ? {range} : {}}
fetch(url, options).then(async a => {
  if (!a.ok) { console.error(a.status); process.exit(1) }
  process.stdout.write(Buffer.from(await a.arrayBuffer()))
})
"""

    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        return self.run("node", "--eval", self.CODE, url, _range(start, stop).get("Range", ""))

    def send(self, url: str, body: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            self.run("node", "--eval", self.CODE, url, "", file.name)


class Webdataset(Url):
    """It reads a URL by the curl that it finds, as a tar file; here its bytes."""

    def fetch(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        import webdataset

        if start is not None:
            raise Unable
        with webdataset.gopen(url) as stream:
            return bytes(stream.read())


def _range(start: int | None, stop: int | None) -> dict[str, str]:
    return {} if start is None or stop is None else {"Range": f"bytes={start}-{stop - 1}"}
