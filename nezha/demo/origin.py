"""The bundled origin: one object over HTTPS, as slow on each connection as a store far away.

    python -m nezha.demo.origin --size BYTES --rate BYTES_PER_S --directory CA_DIRECTORY
    python -m nezha.demo.origin --size BYTES --uplink BYTES_PER_S --plain-port PORT

The second is that of examples/demo in a cluster: HTTP on all addresses, and all connections share one slow line.

It shares no code of HTTP with Nezha, whose answers it is there to check. A thread for each connection: OpenSSL runs
outside the interpreter's lock, so that sixteen of them fit on two cores beside Nezha and the client.
"""

import argparse
import asyncio
import json
import re
import ssl
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nezha.demo import content
from nezha.pki.keeper import load_or_create
from nezha.pki.leaves import Leaves

ADDRESS = "127.0.0.1"
_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"
_RANGE = re.compile(r"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))")


class Pace:
    """A token bucket that begins empty and never holds more than one piece: no burst flatters a short read.

    Several threads may share one.
    """

    def __init__(self, rate: int) -> None:
        self.piece_bytes = max(1, min(content.PIECE_BYTES, rate // 10))
        self._rate = rate
        self._due = time.monotonic()
        self._lock = threading.Lock()

    def spend(self, count: int) -> None:
        """Returns when `count` more bytes may go."""
        with self._lock:
            now = time.monotonic()
            due = self._due = max(self._due, now - self.piece_bytes / self._rate) + count / self._rate
        if due > now:
            time.sleep(due - now)


def extent(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [start, stop) that a Range asks for, empty where none exist; None: the whole (RFC 9110 14.2)."""
    match = _RANGE.fullmatch(header or "")
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return (start, stop) if start < size else (size, size)


class Server(ThreadingHTTPServer):
    """Listens with TLS, whose handshake is left to the connection's thread, or plain without a context.

    `rate` is that of each connection; without one all share `uplink`.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], size: int, context: ssl.SSLContext | None) -> None:
        self.size = size
        self.rate: int | None = None
        self.uplink: Pace | None = None
        self.etag = f'"{content.digest(size)[:32]}"'
        super().__init__(address, Connection)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def pace(self) -> Pace:
        """The pace of a new connection."""
        if self.rate is not None:
            return Pace(self.rate)
        assert self.uplink is not None, "one of both is given"
        return self.uplink

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no event; the next one finds out by itself what is wrong here."""


class Connection(BaseHTTPRequestHandler):
    """One connection and its requests, one after the other at one pace."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """The pace is the connection's: a second request earns no second start."""
        super().setup()
        self._pace = self.server.pace()

    def do_GET(self) -> None:
        """All of it, or the range that is asked for."""
        asked, size, etag = self.headers, self.server.size, self.server.etag
        part = extent(asked["Range"], size) if asked["If-Range"] in {None, etag} else None
        start, stop = part or (0, size)
        if self.path != content.PATH:
            self._head(HTTPStatus.NOT_FOUND, 0)
        elif asked["If-Match"] not in {None, "*", etag}:
            self._head(HTTPStatus.PRECONDITION_FAILED, 0)
        elif asked["If-None-Match"] in {"*", etag}:
            self._head(HTTPStatus.NOT_MODIFIED, None)
        elif part is None:
            self._head(HTTPStatus.OK, size)
            self._body(start, stop)
        elif start == stop:
            self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, f"bytes */{size}")
        else:
            self._head(HTTPStatus.PARTIAL_CONTENT, stop - start, f"bytes {start}-{stop - 1}/{size}")
            self._body(start, stop)

    do_HEAD = do_GET

    def _head(self, status: HTTPStatus, length: int | None, content_range: str | None = None) -> None:
        self.send_response(status)
        if status < 400:
            self.send_header("ETag", self.server.etag)
            self.send_header("Last-Modified", _MODIFIED)
            self.send_header("Cache-Control", "public, max-age=86400")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/x-gzip")
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _body(self, start: int, stop: int) -> None:
        if self.command == "HEAD":
            return
        for piece in content.pieces(start, stop, self._pace.piece_bytes):
            self._pace.spend(len(piece))
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the demonstration reports what the client saw."""


def main() -> None:
    """Serves until it is ended; one line of JSON on standard output tells the port."""
    parser = argparse.ArgumentParser("nezha.demo.origin")
    parser.add_argument("--size", type=int, required=True)
    pace = parser.add_mutually_exclusive_group(required=True)
    pace.add_argument("--rate", type=int, help="bytes per second and connection")
    pace.add_argument("--uplink", type=int, help="bytes per second of all connections together")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--directory", type=Path, help="HTTPS on loopback: where its own CA goes, as ca.crt")
    kind.add_argument("--plain-port", type=int, help="HTTP on this port of every address")
    options = parser.parse_args()
    if options.directory:
        server = Server((ADDRESS, 0), options.size, asyncio.run(_context(options.directory)))
    else:
        server = Server(("", options.plain_port), options.size, None)
    server.rate = options.rate
    server.uplink = Pace(options.uplink) if options.uplink else None
    print(json.dumps({"event": "ready", "port": server.server_port}), flush=True)
    server.serve_forever()


async def _context(directory: Path) -> ssl.SSLContext:
    """A throwaway CA and two leaves: Nezha connects to the address, the direct read uses the name."""
    names = [content.HOST, ADDRESS]
    leaves = Leaves(load_or_create(directory, names), names)
    by_name, by_address = await leaves.context(content.HOST), await leaves.context(None)
    assert by_name is not None is not by_address, "both are configured"

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name == content.HOST:
            connection.context = by_name

    by_address.sni_callback = choose
    return by_address


if __name__ == "__main__":
    main()
