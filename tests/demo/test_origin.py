"""The bundled origin answers as RFC 9110 says, and its object is the same however it is read."""

import hashlib
import http.client
import ssl
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from nezha.demo import content
from nezha.demo.origin import extent
from nezha.demo.processes import port, running

SIZE = 3_000_000
WHOLE = b"".join(content.pieces(0, SIZE))


@dataclass(frozen=True)
class Origin:
    port: int
    tls: ssl.SSLContext

    def ask(
        self, method: str = "GET", path: str = content.PATH, **headers: str
    ) -> tuple[http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=30)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            answer.headers["Status"] = str(answer.status)
            return answer.headers, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    directory = tmp_path_factory.mktemp("origin")
    arguments = ["-m", "nezha.demo.origin", "--size", str(SIZE), "--rate", "1000000000", "--directory", str(directory)]
    with running("the origin", arguments, directory / "log") as ready:
        tls = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        yield Origin(port(ready, "port"), tls)


def test_pieces_of_any_extent_are_the_same_bytes() -> None:
    for start, stop in ((0, 1), (1_048_572, 1_048_574), (65_537, 2_500_000), (5, 5)):
        assert b"".join(content.pieces(start, stop)) == WHOLE[start:stop]
        assert b"".join(content.pieces(start, stop, 1000)) == WHOLE[start:stop]
    assert content.digest(SIZE) == hashlib.sha256(WHOLE).hexdigest()


def test_no_two_slices_are_equal() -> None:
    slices = {bytes(next(content.pieces(start, start + 64))) for start in range(0, 2**32, 2**22)}
    assert len(slices) == 2**10


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=100-", (100, 100)),
        ("bytes=-0", (100, 100)),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("rows=0-1", None),
    ],
)
def test_extent_of_a_range(header: str | None, expected: tuple[int, int] | None) -> None:
    assert extent(header, 100) == expected


def test_get_gives_all_with_what_a_cache_needs(origin: Origin) -> None:
    headers, body = origin.ask()
    assert headers["Status"] == "200"
    assert body == WHOLE
    assert headers["ETag"].startswith('"')
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "public, max-age=86400"
    assert headers["Last-Modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_head_has_the_same_head_and_no_body(origin: Origin) -> None:
    headers, body = origin.ask("HEAD")
    assert (headers["Status"], headers["Content-Length"], body) == ("200", str(SIZE), b"")


def test_a_range_is_answered_with_that_part(origin: Origin) -> None:
    headers, body = origin.ask(Range="bytes=1000000-1999999")
    assert (headers["Status"], headers["Content-Range"]) == ("206", f"bytes 1000000-1999999/{SIZE}")
    assert body == WHOLE[1_000_000:2_000_000]


def test_a_range_past_the_end_is_416(origin: Origin) -> None:
    headers, _ = origin.ask(Range=f"bytes={SIZE}-")
    assert (headers["Status"], headers["Content-Range"]) == ("416", f"bytes */{SIZE}")


def test_conditions_are_heeded(origin: Origin) -> None:
    etag = origin.ask("HEAD")[0]["ETag"]
    assert origin.ask(If_None_Match=etag)[0]["Status"] == "304"
    assert origin.ask(If_None_Match='"other"')[0]["Status"] == "200"
    assert origin.ask(If_Match='"other"', Range="bytes=0-9")[0]["Status"] == "412"
    assert origin.ask(If_Match=etag, Range="bytes=0-9")[0]["Status"] == "206"
    assert origin.ask(If_Range='"other"', Range="bytes=0-9")[0]["Status"] == "200"


def test_another_path_is_404(origin: Origin) -> None:
    assert origin.ask(path="/other")[0]["Status"] == "404"


def test_over_plain_http_all_connections_share_one_line(tmp_path: Path) -> None:
    arguments = ["-m", "nezha.demo.origin", "--size", str(SIZE), "--uplink", "6000000", "--plain-port", "0"]
    with running("the origin", arguments, tmp_path / "log") as ready:
        url = f"http://127.0.0.1:{port(ready, 'port')}{content.PATH}"
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            read = list(threads.map(lambda _: urllib.request.urlopen(url, timeout=30).read(), range(4)))
        seconds = time.monotonic() - begun
    assert read == [WHOLE] * 4
    assert seconds >= 4 * SIZE / 6_000_000 - 0.1, "four readers are no faster than one"
