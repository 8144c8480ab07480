"""The checksum of a whole object, as its origin states it.

x-amz-checksum-crc64nvme, -crc32c, -crc32     S3; of the object unless x-amz-checksum-type says COMPOSITE
x-goog-hash: crc32c=...                       GCS; of what is stored, which transcoding is not
"""

import base64
import binascii
from dataclasses import dataclass

from nezha.model import Fields
from nezha.semantics.headers import members

# Those that can be made out of the checksums of parts; the best one first.
ALGORITHMS = ("crc64nvme", "crc32c", "crc32")
_LENGTHS = {"crc64nvme": 8, "crc32c": 4, "crc32": 4}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A CRC of a whole object: one of ALGORITHMS, and its value."""

    algorithm: str
    value: int


def stated(fields: Fields) -> Checksum | None:
    """The checksum that the fields of a stored object (a 200) state of all its bytes; None where they state none."""
    if (fields.get("x-amz-checksum-type") or "FULL_OBJECT").upper() == "FULL_OBJECT":
        for algorithm in ALGORITHMS:
            if (found := _checksum(algorithm, fields.get(f"x-amz-checksum-{algorithm}"))) is not None:
                return found
    if (fields.get("x-goog-stored-content-encoding") or "identity") != (fields.get("content-encoding") or "identity"):
        return None
    for member in members(fields.get("x-goog-hash")):
        algorithm, _, text = member.partition("=")
        if algorithm == "crc32c":
            return _checksum(algorithm, text)
    return None


def _checksum(algorithm: str, text: str | None) -> Checksum | None:
    """A value in base64; None where it is none, such as a checksum of checksums (`...-4`)."""
    if text is None:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Checksum(algorithm, int.from_bytes(value)) if len(value) == _LENGTHS[algorithm] else None
