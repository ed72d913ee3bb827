"""JSON that carries a hash of itself."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.manifest import to_json
from training.data.seal import CHECKSUM, is_sealed, sealed

TEXT = to_json({"b": "é", "a": [1, 2]})


def test_a_sealed_document_is_the_same_with_the_hash_of_the_rest_in_front() -> None:
    data = sealed(TEXT)
    first, second, rest = data.split(b"\n", 2)
    assert first == b"{" and rest == TEXT.encode()[2:]
    assert second == f' "checksum": "{hashlib.sha256(rest).hexdigest()}",'.encode()
    assert list(json.loads(data)) == [CHECKSUM, "a", "b"] and is_sealed(data)


@given(st.integers(0, len(sealed(TEXT)) - 1), st.integers(0, 7))
def test_a_bit_flipped_anywhere_is_seen(place: int, bit: int) -> None:
    data = bytearray(sealed(TEXT))
    data[place] ^= 1 << bit
    try:
        assert not is_sealed(bytes(data))  # the seal itself is broken; its absence is what a card's reader refuses
    except ValueError as error:
        assert str(error) == "not the bytes that were written"
    if place >= len(sealed(TEXT)) - len(TEXT) + 2:
        with pytest.raises(ValueError, match="not the bytes that were written"):
            is_sealed(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", TEXT.encode(), b" " + sealed(TEXT), sealed(TEXT).replace(b'"checksum"', b'"Checksum"')]
)
def test_what_carries_no_seal_is_not_sealed(data: bytes) -> None:
    assert not is_sealed(data)
