"""The bundled origin, but the first byte of each answer from the middle is wrong: nothing that a cache could notice.

Run as `python -m tests.demo.corrupting_origin`, with the arguments of `nezha.demo.origin`.
"""

from collections.abc import Iterator
from unittest import mock

from nezha.demo import content, origin

true_pieces = content.pieces


def wrong_pieces(start: int, stop: int, at_most: int = content.PIECE_BYTES) -> Iterator[memoryview]:
    if 0 < start < stop:
        (first,) = next(true_pieces(start, start + 1))
        yield memoryview(bytes([first ^ 1]))
        start += 1
    yield from true_pieces(start, stop, at_most)


if __name__ == "__main__":
    with mock.patch.object(content, "pieces", wrong_pieces):
        origin.main()
