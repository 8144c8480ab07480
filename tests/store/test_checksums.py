"""CRCs: the values that everybody agrees on, and wholes made out of parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.semantics.checksums import ALGORITHMS
from nezha.store.checksums import combined, crc

CHECK = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}  # of b"123456789"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_check_value_is_that_of_the_catalogue(algorithm: str) -> None:
    assert crc(algorithm, memoryview(b"123456789")) == CHECK[algorithm]
    assert combined(algorithm, []) == crc(algorithm, memoryview(b"")) == 0


@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from(ALGORITHMS))
def test_the_crc_of_a_whole_is_made_out_of_those_of_its_parts(parts: list[bytes], algorithm: str) -> None:
    whole = crc(algorithm, memoryview(b"".join(parts)))
    assert combined(algorithm, [(crc(algorithm, memoryview(part)), len(part)) for part in parts]) == whole
