"""Which checksum of a whole object an answer states."""

import pytest

from nezha.model import Fields
from nezha.semantics.checksums import Checksum, stated

CRC32, CRC32C, CRC64 = Checksum("crc32", 0x0D4A1185), Checksum("crc32c", 0xC9942370), Checksum("crc64nvme", 1 << 63)
TYPE, FULL = "x-amz-checksum-type", ("x-amz-checksum-type", "FULL_OBJECT")
S3_32, S3_32C = ("x-amz-checksum-crc32", "DUoRhQ=="), ("X-Amz-Checksum-Crc32c", "yZQjcA==")
S3_64 = ("x-amz-checksum-crc64nvme", "gAAAAAAAAAA=")


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([], None),
        ([S3_32], CRC32),
        ([S3_32, FULL], CRC32),
        ([S3_32C, FULL], CRC32C),
        ([S3_64, (TYPE, "full_object")], CRC64),
        ([S3_32, S3_32C, S3_64], CRC64),
        ([S3_32, S3_32C], CRC32C),
        ([S3_32, (TYPE, "COMPOSITE")], None),
        ([("x-amz-checksum-crc32", "DUoRhQ==-4")], None),
        ([("x-amz-checksum-crc32c", "gAAAAAAAAAA=")], None),
        ([("x-amz-checksum-crc64nvme", "DUoRhQ==")], None),
        ([("x-amz-checksum-crc64nvme", "?"), S3_32], CRC32),
        ([("x-amz-checksum-crc32", "")], None),
        ([("x-amz-checksum-crc32", "\xe9")], None),
        ([("x-amz-checksum-sha256", "DUoRhQ==")], None),
        ([("x-goog-hash", "crc32c=yZQjcA==,md5=1B2M2Y8AsgTpgAmY7PhCfg==")], CRC32C),
        ([("x-goog-hash", "md5=1B2M2Y8AsgTpgAmY7PhCfg=="), ("X-Goog-Hash", "crc32c=yZQjcA==")], CRC32C),
        ([("x-goog-hash", "md5=1B2M2Y8AsgTpgAmY7PhCfg==")], None),
        ([("x-goog-hash", "crc32c=nonsense")], None),
        ([("x-goog-hash", "crc32c=yZQjcA=="), ("x-goog-stored-content-encoding", "identity")], CRC32C),
        ([("x-goog-hash", "crc32c=yZQjcA=="), ("x-goog-stored-content-encoding", "gzip")], None),
        (
            [
                ("x-goog-hash", "crc32c=yZQjcA=="),
                ("x-goog-stored-content-encoding", "gzip"),
                ("Content-Encoding", "gzip"),
            ],
            CRC32C,
        ),
        ([("x-goog-hash", "crc32c=yZQjcA=="), (TYPE, "COMPOSITE")], CRC32C),
    ],
)
def test_a_checksum_is_read_where_it_is_of_all_bytes(items: list[tuple[str, str]], found: Checksum | None) -> None:
    assert stated(Fields(items)) == found
