"""JSON that carries a hash of itself, so that every reader notices a flipped bit.

    {
     "checksum": "<SHA-256 of all that follows this line>",
     "code_version": ...

The hash is of bytes, not of values: nothing needs to be written again to be compared.
"""

import hashlib
import re
from typing import Any

from training.data.plain import parse_object

CHECKSUM = "checksum"
_OPENING = "{\n"
_SEAL = re.compile(rb'\{\n "checksum": "([0-9a-f]{64})",\n')
_DAMAGED_SEAL = re.compile(rb'\{\n "[^"]{8}": "[^"]{64}",\n')  # no other first field looks like that


def sealed(text: str) -> bytes:
    """A JSON object in the layout of `to_json`, with its checksum as first field."""
    body = text.removeprefix(_OPENING).encode()
    return f'{_OPENING} "{CHECKSUM}": "{hashlib.sha256(body).hexdigest()}",\n'.encode() + body


def is_sealed(data: bytes) -> bool:
    """Whether a document carries a checksum where `sealed` puts it.

    Raises:
        ValueError: if it does, and the bytes are not those that it was made of.
    """
    seal = _SEAL.match(data)
    if seal is None and _DAMAGED_SEAL.match(data):
        raise ValueError("not the bytes that were written")
    if seal is not None and hashlib.sha256(data[seal.end() :]).hexdigest().encode() != seal[1]:
        raise ValueError("not the bytes that were written")
    return seal is not None


def sealed_fields(data: bytes) -> dict[str, Any]:
    """The fields of a document, without its checksum; documents of the first versions have none.

    Raises:
        ValueError: if it is not a JSON object, or not the bytes that were written.
    """
    is_sealed(data)
    fields = parse_object(data, dict[str, Any])
    fields.pop(CHECKSUM, None)
    return fields
