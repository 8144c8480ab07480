"""The reading client: a name that its own resolver redirects, one connection, one GET.

It must not be what limits a read: a blocking socket whose bytes OpenSSL decrypts into one buffer, whose pages exist
before the clock starts; the digest is taken after it has stopped.
"""

import hashlib
import http.client
import socket
import ssl
import time
from dataclasses import dataclass

from nezha.demo.content import HOST, PATH
from nezha.errors import NezhaError

ADDRESS = "127.0.0.1"
_QUANTUM_BYTES = 1 << 18
_HEAD_BYTES = 1 << 16
_PAGE_BYTES = 1 << 12
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One finished read: what it took, and what came."""

    seconds: float
    size: int
    sha256: str
    cache_status: str | None

    @property
    def mb_per_s(self) -> float:
        """Megabytes (10^6 bytes) per second."""
        return self.size / self.seconds / 1e6


class Reader:
    """One read of the object from whoever listens on `port` and is trusted by `ca_pem`, and nobody else.

    As with hostAliases only the address is another one: SNI, Host and the certificate's name are the real ones.
    """

    def __init__(self, name: str, port: int, ca_pem: str, size: int) -> None:
        self.received = 0
        """Body bytes so far; another thread may look."""
        self._name = name
        self._port = port
        self._size = size
        self._context = ssl.create_default_context(cadata=ca_pem)
        self._context.verify_flags |= ssl.VERIFY_X509_STRICT
        self._context.set_alpn_protocols(["http/1.1"])

    def read(self) -> Reading:
        """Reads it all; the clock runs from the connect to the last byte.

        Raises NezhaError where the answer is not the whole object, or none.
        """
        body = bytearray(self._size)
        body[::_PAGE_BYTES] = bytes(len(range(0, self._size, _PAGE_BYTES)))
        view = memoryview(body)
        started = time.perf_counter()
        try:
            with self._connect() as connection:
                cache_status, early = self._head(connection)
                self.received = len(early)
                view[: len(early)] = early
                self._body(connection, view)
        except OSError as error:  # ssl.SSLError is one
            raise self._failed(f"{error.strerror or error} after {self.received} bytes of the body") from error
        seconds = time.perf_counter() - started
        return Reading(seconds, self._size, hashlib.sha256(body).hexdigest(), cache_status)

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection((ADDRESS, self._port), _TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context.wrap_socket(plain, server_hostname=HOST)

    def _head(self, connection: ssl.SSLSocket) -> tuple[str | None, bytes]:
        """Sends the request; the Cache-Status of the answer, and what of its body came with the head."""
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: nezha-demo\r\n\r\n".encode())
        came = b""
        while b"\r\n\r\n" not in came and len(came) < _HEAD_BYTES:
            chunk = connection.recv(_QUANTUM_BYTES)
            if not chunk:
                raise self._failed("the connection ended before an answer")
            came += chunk
        head, _, early = came.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not status.startswith("HTTP/1.1 200") or fields.get("content-length") != str(self._size):
            length = fields.get("content-length", "unknown")
            raise self._failed(f"answered {status!r} with length {length}, not 200 with {self._size}")
        if len(early) > self._size:
            raise self._failed("more bytes than announced")
        return fields.get("cache-status"), early

    def _body(self, connection: ssl.SSLSocket, view: memoryview) -> None:
        received, size = self.received, self._size
        while received < size:
            count = connection.recv_into(view[received : received + _QUANTUM_BYTES])
            if count == 0:
                raise self._failed(f"cut after {received} of {size} bytes")
            received += count
            self.received = received

    def _failed(self, reason: str) -> NezhaError:
        return NezhaError(f"demo: the {self._name} read failed: {reason}")


def page(port: int, path: str) -> str:
    """What Nezha says of itself at `path`, over plain HTTP."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise NezhaError(f"demo: GET {path} from Nezha failed: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise NezhaError(f"demo: GET {path} from Nezha answered {answer.status}")
    return text
