"""How Xet stores files, as xet-core's specification describes it: cut into chunks, which are gathered in xorbs.

    xorb            (version 0, stored length, scheme 0, length, the bytes)*, one for each chunk; lengths: 3 bytes, LE
    reconstruction  which chunks of which xorbs make the file, in order; for each run of them a URL and a Range

Nothing is compressed. Names are SHA-256 where Xet's are Merkle hashes: who downloads computes neither.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

CHUNK_BYTES = 1 << 16
HEADER_BYTES = 8
RUN = 24  # chunks of a file that lie side by side in one xorb
XORBS = 3  # of one file: its runs are dealt out to them in turn
STRANGER = b"\xa5" * 1000
"""A chunk of somebody else's file. It lies before each run, in the same xorb."""

Sign = Callable[[str, str], str]
"""Makes the URL by which its holder may read some bytes of what is at a path: as a Range names them."""


@dataclass(frozen=True)
class Xorb:
    """Some chunks as they are stored, one behind the other; `starts` is where each begins, and where the last ends."""

    body: bytes
    starts: Sequence[int]
    hash: str

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> "Xorb":
        stored = [_header(len(chunk)) + chunk for chunk in chunks]
        body = b"".join(stored)
        return cls(body, list(accumulate(map(len, stored), initial=0)), hashlib.sha256(body).hexdigest())

    @property
    def path(self) -> str:
        return f"/xorbs/default/{self.hash}"


@dataclass(frozen=True)
class Run:
    """The chunks [first, stop) of a xorb."""

    xorb: Xorb
    first: int
    stop: int

    @property
    def count(self) -> int:
        return self.stop - self.first

    @property
    def chunks(self) -> dict[str, int]:
        return {"start": self.first, "end": self.stop}

    @property
    def span(self) -> dict[str, int]:
        """From the first byte to the last, as in a Range."""
        return {"start": self.xorb.starts[self.first], "end": self.xorb.starts[self.stop] - 1}


@dataclass(frozen=True)
class Cut:
    """A file of `size` bytes, by where each of its chunks lies: the xorb, and its number there."""

    size: int
    places: Sequence[tuple[Xorb, int]]

    @classmethod
    def of(cls, body: bytes) -> "Cut":
        chunks: list[list[bytes]] = [[] for _ in range(XORBS)]
        places = []
        for number, start in enumerate(range(0, len(body), CHUNK_BYTES)):
            run, within = divmod(number, RUN)
            held = chunks[run % XORBS]
            if not within:
                held.append(STRANGER)
            places.append((run % XORBS, len(held)))
            held.append(body[start : start + CHUNK_BYTES])
        xorbs = [Xorb.of(held) for held in chunks]
        return cls(len(body), [(xorbs[which], index) for which, index in places])

    @property
    def xorbs(self) -> dict[str, bytes]:
        """The bodies of its xorbs, by their paths."""
        return {xorb.path: xorb.body for xorb, _ in self.places}

    def reconstruction(self, start: int, stop: int, sign: Sign, version: int) -> dict[str, Any]:
        """What the CAS answers of the file's bytes [start, stop), in its API's version 1 or 2."""
        runs = self._runs(start // CHUNK_BYTES, -(-min(stop, self.size) // CHUNK_BYTES))
        terms = []
        position = start // CHUNK_BYTES * CHUNK_BYTES
        for run in runs:
            length = min(run.count * CHUNK_BYTES, self.size - position)
            terms.append({"hash": run.xorb.hash, "unpacked_length": length, "range": run.chunks})
            position += length
        by_xorb: dict[str, list[Run]] = {}
        for run in runs:
            by_xorb.setdefault(run.xorb.hash, []).append(run)
        found = {"offset_into_first_range": start % CHUNK_BYTES, "terms": terms}
        if version == 1:
            return found | {"fetch_info": {name: [_each(run, sign) for run in runs] for name, runs in by_xorb.items()}}
        return found | {"xorbs": {name: [_together(runs, sign)] for name, runs in by_xorb.items()}}

    def _runs(self, first: int, stop: int) -> list[Run]:
        """The chunks [first, stop) of the file, as they lie side by side in xorbs."""
        runs: list[Run] = []
        for xorb, index in self.places[first:stop]:
            last = runs[-1] if runs else None
            if last is not None and last.xorb is xorb and last.stop == index:
                runs[-1] = Run(xorb, last.first, index + 1)
            else:
                runs.append(Run(xorb, index, index + 1))
        return runs


def _each(run: Run, sign: Sign) -> dict[str, Any]:
    """Version 1: a URL for each run."""
    url = sign(run.xorb.path, _range([run]))
    return {"range": run.chunks, "url": url, "url_range": run.span}


def _together(runs: Sequence[Run], sign: Sign) -> dict[str, Any]:
    """Version 2: one URL for all runs of a xorb."""
    url = sign(runs[0].xorb.path, _range(runs))
    return {"url": url, "ranges": [{"chunks": run.chunks, "bytes": run.span} for run in runs]}


def _range(runs: Iterable[Run]) -> str:
    return "bytes=" + ",".join(f"{run.span['start']}-{run.span['end']}" for run in runs)


def unpacked(stored: bytes) -> bytes:
    """The bytes of some whole chunks of a xorb."""
    found, position = [], 0
    while position < len(stored):
        length = int.from_bytes(stored[position + 1 : position + 4], "little")
        assert stored[position : position + HEADER_BYTES] == _header(length)
        position += HEADER_BYTES + length
        found.append(stored[position - length : position])
    return b"".join(found)


def _header(length: int) -> bytes:
    """The header of a chunk that is stored as it is."""
    size = length.to_bytes(3, "little")
    return b"\0" + size + b"\0" + size
