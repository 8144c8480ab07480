"""HTTP/1.1 messages as they lie on the wire: what the scripted origin and the raw client both read.

Nothing is interpreted beyond framing, and nothing is lost: names keep their case and order, text is Latin-1
(every byte is one character and back).
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

Headers = list[tuple[str, str]]
Framing = Literal["length", "chunked", "close", "none"]

HEAD_LIMIT = 1 << 20  # bytes of one head: the limit of the origin's stream readers
READ_STEP = 1 << 20


class Malformed(Exception):
    """The peer sent what is not HTTP/1.1."""


def lookup(headers: Headers, name: str) -> str | None:
    """The lines called `name`, in any case, joined by a comma; None where there is none."""
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ", ".join(values) if values else None


@dataclass(slots=True)
class Received:
    """One request as the origin received it.

    It is recorded as soon as its head is read; `body` (decoded from chunks) follows, and then `is_complete`.
    `sequence` and `connection` count from 1 over the origin's life, `at` is the loop's clock in seconds.
    """

    method: str
    target: str
    version: str
    headers: Headers
    head: bytes
    sequence: int
    connection: int
    at: float
    body: bytes = b""
    is_complete: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def keeps_alive(self) -> bool:
        words = (self.header("connection") or "").lower()
        return "keep-alive" in words if self.version == "HTTP/1.0" else "close" not in words

    def header(self, name: str) -> str | None:
        """The value of `name`, in any case; repeated lines joined by a comma."""
        return lookup(self.headers, name)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """One head, raw, with its empty line; b"" where the peer ended cleanly before it.

    Raises IncompleteReadError where it ended inside the head, Malformed past the reader's limit.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
        while raw.startswith(b"\r\n"):  # RFC 9112 2.2: empty lines before a request are ignored
            raw = raw[2:] if raw != b"\r\n\r\n" else await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip(b"\r\n"):
            raise
        return b""
    except asyncio.LimitOverrunError as error:
        raise Malformed(f"head without an end in {error.consumed} bytes") from error
    return raw


def parse_head(raw: bytes) -> tuple[tuple[str, str, str], Headers]:
    """The three parts of the first line, and the field lines."""
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not (parts[0].startswith("HTTP/1.") or parts[-1].startswith("HTTP/1.")):
        raise Malformed(f"first line {first!r}")
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"field line {line!r}")
        headers.append((name, value.strip(" \t")))
    return (parts[0], parts[1], parts[2] if len(parts) == 3 else ""), headers


def body_framing(headers: Headers) -> tuple[Framing, int]:
    """How the body after these fields ends, and its length where it is stated ("none": nothing is said)."""
    if "chunked" in (lookup(headers, "transfer-encoding") or "").lower():
        return "chunked", 0
    lengths = {value for key, value in headers if key.lower() == "content-length"}
    if not lengths:
        return "none", 0
    if len(lengths) > 1 or not (stated := lengths.pop()).isdecimal():
        raise Malformed(f"Content-Length {lookup(headers, 'content-length')!r}")
    return "length", int(stated)


async def read_sized(reader: asyncio.StreamReader, size: int, into: bytearray) -> None:
    """Appends `size` bytes; on IncompleteReadError `into` holds what did arrive."""
    stop = len(into) + size
    while len(into) < stop:
        chunk = await reader.read(min(stop - len(into), READ_STEP))
        if not chunk:
            raise asyncio.IncompleteReadError(bytes(into), stop)
        into += chunk


async def read_chunked(reader: asyncio.StreamReader, into: bytearray) -> Headers:
    """Appends the decoded body and returns its trailers; on an error `into` holds what did arrive."""
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise Malformed(f"chunk size {line[:40]!r}") from None
        if size == 0:
            break
        await read_sized(reader, size, into)
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("chunk longer than its size")
    trailers: Headers = []
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        name, _, value = line.decode("latin-1").partition(":")
        trailers.append((name, value.strip()))
    return trailers
