"""What a TLS ClientHello says before anything is decided: the name asked for, and the protocols offered.

Drawing (RFC 8446 4.1.2, 5.1; all numbers big-endian):

    record:  16 | version 2 | length 2 | fragment ...          (a hello may span records)
    message: 01 | length 3 | version 2 | random 32 | session <1> | ciphers <2> | compression <1> | extensions <2>
    extension: type 2 | <2> ...      0 = server_name, 16 = ALPN
"""

import re
from dataclasses import dataclass

HANDSHAKE = 0x16
HELLO_MAX = 64 << 10
# RFC 6066 3: a fatal alert "unrecognized_name" in a record of its own.
UNRECOGNIZED_NAME = bytes((0x15, 3, 3, 0, 2, 2, 112))
_NAME = re.compile(r"[a-z0-9_.-]{1,253}")


class BadHello(ValueError):
    """The bytes are no ClientHello."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The server name (lower case; None where there is none) and the ALPN protocols (empty: none offered)."""

    sni: str | None
    alpn: tuple[str, ...]

    @property
    def wants_only_h2(self) -> bool:
        """Whether the client cannot speak HTTP/1.1 (gRPC)."""
        return bool(self.alpn) and "http/1.1" not in self.alpn


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise BadHello("a length reaches past its end")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def vector(self, octets: int) -> bytes:
        return self.take(self.number(octets))

    def __bool__(self) -> bool:
        return self._at < len(self._data)


def read_hello(data: bytes) -> Hello | None:
    """The ClientHello at the start of a connection; None while it is incomplete. Raises BadHello."""
    message = b""
    at = 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        if len(data) < at + 5:
            return None
        if data[at] != HANDSHAKE or data[at + 1] != 3 or len(message) > HELLO_MAX:
            raise BadHello("not a TLS handshake")
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if len(data) < at + 5 + length:
            return None
        message += data[at + 5 : at + 5 + length]
        at += 5 + length
        if message and message[0] != 1:
            raise BadHello("not a ClientHello")
    return _parse(message[4 : 4 + int.from_bytes(message[1:4], "big")])


def _parse(body: bytes) -> Hello:
    reader = _Reader(body)
    reader.take(2 + 32)
    reader.vector(1)
    reader.vector(2)
    reader.vector(1)
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    extensions = _Reader(reader.vector(2) if reader else b"")
    while extensions:
        kind, content = extensions.number(2), _Reader(extensions.vector(2))
        if kind == 0:
            sni = _server_name(_Reader(content.vector(2)))
        elif kind == 16:
            alpn = _protocols(_Reader(content.vector(2)))
    return Hello(sni, alpn)


def _server_name(names: _Reader) -> str | None:
    while names:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            text = name.decode("latin-1").lower().rstrip(".")
            if not _NAME.fullmatch(text):
                raise BadHello("the server name is no host name")
            return text
    return None


def _protocols(offered: _Reader) -> tuple[str, ...]:
    found: list[str] = []
    while offered:
        found.append(offered.vector(1).decode("latin-1"))
    return tuple(found)
