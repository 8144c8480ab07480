"""Byte ranges and extents (RFC 9110 14): what is asked for, what is there, what is missing."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nezha.model import Extent

_RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))", re.IGNORECASE | re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes[ \t]+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE | re.ASCII)
_BEYOND = 2**63  # no object is as long
_SPECS_MAX = 256
_PART_HEAD_BYTES = 80


@dataclass(frozen=True, slots=True)
class Span:
    """What one Range asks for: `start` None means the last `stop` bytes; `stop` None means to the end."""

    start: int | None
    stop: int | None

    def within(self, size: int) -> Extent | None:
        """The bytes of an object of `size` bytes that are asked for; None where there are none (416)."""
        if self.start is None:
            length = min(self.stop or 0, size)
            return Extent(size - length, size) if length else None
        stop = size if self.stop is None else min(self.stop, size)
        return Extent(self.start, stop) if self.start < size else None

    def covers(self, other: "Span") -> bool:
        """Whether every byte of `other` is asked for by this one, whatever the size of the object."""
        if self.start is None or other.start is None:
            return self in (other, WHOLE)
        return self.start <= other.start and (self.stop is None or (other.stop is not None and other.stop <= self.stop))


WHOLE = Span(0, None)


def parse_range(value: str | None) -> Span | None:
    """The one byte range of a Range field; None where it is absent or to be ignored (RFC 9110 14.2).

    Ignored: other units, malformed values, a last position before the first. Several ranges: `is_several`.
    """
    match = _RANGE.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return Span(None, _position(suffix))
    start, stop = _position(first), _position(last) + 1 if last else None
    return None if stop is not None and stop <= start else Span(start, stop)


def _position(digits: str) -> int:
    return min(int(digits.lstrip("0")[:20] or 0), _BEYOND)


def is_several(value: str | None) -> bool:
    """Whether a Range field asks for more than one byte range."""
    return value is not None and "," in value and value.strip().lower().startswith("bytes=")


def parse_ranges(value: str | None) -> list[Span] | None:
    """The byte ranges of a Range field with several; None where one is malformed, or they are too many to be meant."""
    unit, _, specs = (value or "").partition("=")
    listed = [spec for part in specs.split(",") if (spec := part.strip(" \t"))]
    if not listed or len(listed) > _SPECS_MAX:
        return None
    spans = [span for spec in listed if (span := parse_range(f"{unit}={spec}")) is not None]
    return spans if len(spans) == len(listed) else None


def parts_of(spans: Iterable[Span], size: int) -> list[Extent]:
    """What several ranges select of `size` bytes, in the order asked (RFC 9110 15.3.7.2).

    Those that overlap, or lie closer than the head of a part is long, become one, at the place of the first.
    """
    found = [extent for span in spans if (extent := span.within(size)) is not None]
    merged: list[tuple[int, Extent]] = []
    for place, extent in sorted(enumerate(found), key=lambda each: each[1]):
        if merged and extent.start <= merged[-1][1].stop + _PART_HEAD_BYTES:
            first, last = merged.pop()
            merged.append((min(first, place), Extent(last.start, max(last.stop, extent.stop))))
        else:
            merged.append((place, extent))
    return [extent for _, extent in sorted(merged)]


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A valid `Content-Range: bytes`: the extent, and the complete length where it is stated."""

    extent: Extent
    size: int | None


def parse_content_range(value: str | None) -> ContentRange | None:
    """What a Content-Range field states, or None where it is absent or contradicts itself (RFC 9110 14.4)."""
    match = _CONTENT_RANGE.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    first, last, complete = match.groups()
    start, stop = int(first), int(last) + 1
    size = None if complete == "*" else int(complete)
    if stop <= start or (size is not None and stop > size):
        return None
    return ContentRange(Extent(start, stop), size)


def gaps(wanted: Extent, have: Iterable[Extent]) -> list[Extent]:
    """The parts of `wanted` that no extent of `have` (sorted by start; they may overlap) covers."""
    missing: list[Extent] = []
    position = wanted.start
    for extent in have:
        if extent.stop <= position or extent.length == 0:
            continue
        if extent.start >= wanted.stop:
            break
        if extent.start > position:
            missing.append(Extent(position, extent.start))
        position = extent.stop
    if position < wanted.stop:
        missing.append(Extent(position, wanted.stop))
    return missing
