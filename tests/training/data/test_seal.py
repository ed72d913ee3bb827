"""JSON that carries a hash of itself."""

import hashlib
import json

import pytest

from training.data.manifest import to_json
from training.data.seal import CHECKSUM, is_sealed, sealed, sealed_fields

TEXT = to_json({"b": "é", "a": [1, 2]})


def test_a_sealed_document_is_the_same_with_the_hash_of_the_rest_in_front() -> None:
    data = sealed(TEXT)
    first, second, rest = data.split(b"\n", 2)
    assert first == b"{" and rest == TEXT.encode()[2:]
    assert second == f' "checksum": "{hashlib.sha256(rest).hexdigest()}",'.encode()
    assert list(json.loads(data)) == [CHECKSUM, "a", "b"] and is_sealed(data)


def test_a_bit_flipped_anywhere_and_a_cut_are_seen() -> None:
    document = sealed(TEXT)
    assert sealed_fields(document) == json.loads(TEXT)
    for place in range(len(document)):
        with pytest.raises(ValueError):
            sealed_fields(document[:place])
        for bit in range(8):
            flipped = document[:place] + bytes([document[place] ^ 1 << bit]) + document[place + 1 :]
            with pytest.raises(ValueError):
                sealed_fields(flipped)


@pytest.mark.parametrize(
    "data", [b"", TEXT.encode(), b" " + sealed(TEXT), sealed(TEXT).replace(b'"checksum"', b'"Check"')]
)
def test_what_carries_no_seal_is_not_sealed(data: bytes) -> None:
    assert not is_sealed(data)
