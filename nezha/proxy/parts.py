"""Several ranges in one answer (RFC 9110 14.6): what stands between the bytes of a multipart/byteranges body.

CRLF --BOUNDARY CRLF Content-Type: ... CRLF Content-Range: bytes 0-4/10 CRLF CRLF, the bytes, the next,
CRLF --BOUNDARY-- CRLF
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from nezha.model import Entry, Extent


@dataclass(frozen=True, slots=True)
class Parts:
    """The frame of one such body. `length`: of all of it, in bytes."""

    boundary: str
    kind: str
    size: int
    extents: Sequence[Extent]

    @classmethod
    def of(cls, entry: Entry, extents: Sequence[Extent]) -> "Parts":
        """The frame of `extents` of an entry; nobody can know its boundary beforehand."""
        return cls(secrets.token_hex(16), entry.fields.get("content-type") or "", entry.size, extents)

    @property
    def media_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"

    def head(self, extent: Extent) -> bytes:
        """What stands before the bytes of a part."""
        kind = f"Content-Type: {self.kind}\r\n" if self.kind else ""
        where = f"Content-Range: bytes {extent.start}-{extent.stop - 1}/{self.size}\r\n"
        return f"\r\n--{self.boundary}\r\n{kind}{where}\r\n".encode("latin-1")

    @property
    def end(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode("latin-1")

    @property
    def length(self) -> int:
        return sum(len(self.head(extent)) + extent.length for extent in self.extents) + len(self.end)
