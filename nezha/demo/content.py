"""The object of the demonstration: its public name, and bytes that anybody can compute.

The name is that of a real data set, for that is what jobs ask for; the bytes are generated. They repeat with a prime
period, so that slices of one object all differ: a slice that lands in another's place changes the digest.
"""

import hashlib
import random
from collections.abc import Iterator

HOST = "www.cs.toronto.edu"
PATH = "/~kriz/cifar-100-python.tar.gz"
PIECE_BYTES = 1 << 16
"""The longest piece."""

_PERIOD = 1_048_573  # the largest prime below 1 MiB
_BLOCK = random.Random(100).randbytes(_PERIOD)
_BYTES = memoryview(_BLOCK + _BLOCK[:PIECE_BYTES])  # a piece never wraps


def pieces(start: int, stop: int, at_most: int = PIECE_BYTES) -> Iterator[memoryview]:
    """The bytes [start, stop) of an object of any size, in order, without a copy."""
    while start < stop:
        begin = start % _PERIOD
        piece = _BYTES[begin : begin + min(at_most, stop - start)]
        yield piece
        start += len(piece)


def digest(size: int) -> str:
    """The SHA-256 of the object of `size` bytes: what each read must come to."""
    sha = hashlib.sha256()
    for piece in pieces(0, size):
        sha.update(piece)
    return sha.hexdigest()
