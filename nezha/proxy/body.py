"""A request's body, as its framing delimits it (RFC 9112 6, 7.1): by length, or chunked.

Chunked framing is parsed here, since h11 takes bare LF, obs-fold and endless extensions in it.
"""

import re

from nezha.errors import RequestError
from nezha.model import Fields, Request
from nezha.proxy.connection import Connection
from nezha.proxy.heads import TEXT, parse_field_line

_CHUNK_LINE = re.compile(rf"0*([0-9a-fA-F]{{1,15}})[ \t]*(?:;{TEXT})?")
_CHUNK_LINE_MAX = 4 << 10
_TRAILERS_MAX = 64 << 10
_NO_TRAILERS = frozenset({"content-length", "host", "transfer-encoding"})  # they frame and route: RFC 9110 6.5.1


class Body:
    """A request's body, read as it comes. `trailers` are known once it has ended."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection = connection
        self._left = request.length or 0  # of the body, or of the chunk
        self._is_chunked = request.chunked
        self._is_in_chunk = False
        self._trailers: list[tuple[str, str]] | None = None  # once the last chunk has come
        self._trailers_left = _TRAILERS_MAX
        self.trailers = Fields()
        self.is_done = not request.has_body

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises RequestError where the framing breaks or the client leaves."""
        while not self.is_done:
            data = self._take_chunked() if self._is_chunked else self._take()
            if data or self.is_done:
                return data
            if not await self._connection.more():
                raise RequestError(400, "the request's body ended early")
        return b""

    def _take(self) -> bytes:
        data = self._connection.consume(min(self._left, len(self._connection.inbox)))
        self._left -= len(data)
        self.is_done = self._left == 0 and not self._is_chunked
        return data

    def _take_chunked(self) -> bytes:
        """What has come of a chunk; empty where more must come first, or at the end (RFC 9112 7.1)."""
        if self._is_in_chunk and self._left:
            return self._take()
        while (line := self._line()) is not None:
            if self._is_in_chunk:
                if line:
                    raise RequestError(400, "a chunk is longer than its size")
                self._is_in_chunk = False
            elif self._trailers is None:
                if self._begin_chunk(line):
                    return self._take()
            elif line:
                self._trailers.append(parse_field_line(line))
            else:
                self._end()
                break
        return b""

    def _line(self) -> str | None:
        """The next line of the framing, without its CRLF; None where it has not come yet."""
        inbox = self._connection.inbox
        most = 0 if self._is_in_chunk else _CHUNK_LINE_MAX if self._trailers is None else self._trailers_left
        end = inbox.find(b"\r\n", 0, most + 2)
        if end >= 0:
            if self._trailers is not None:
                self._trailers_left -= end
            return self._connection.consume(end + 2)[:-2].decode("latin-1")
        if len(inbox) >= most + 2 or b"\n" in inbox:
            raise RequestError(400, "the chunked body's framing is malformed, or too long")
        return None

    def _begin_chunk(self, line: str) -> bool:
        """Whether bytes follow: after the last chunk, trailers do."""
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RequestError(400, "a chunk's size is malformed")
        self._left = int(match[1], 16)
        self._is_in_chunk = bool(self._left)
        if not self._is_in_chunk:
            self._trailers = []
        return self._is_in_chunk

    def _end(self) -> None:
        self.trailers = Fields(self._trailers or ())
        if not _NO_TRAILERS.isdisjoint(self.trailers.names()):
            raise RequestError(400, "a trailer that would frame or route the request")
        self.is_done = True
