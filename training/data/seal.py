"""JSON that carries a hash of itself, so that a bit flipped in it is seen by whoever reads it.

    {
     "checksum": "<SHA-256 of all that follows this line>",
     "code_version": ...

The hash is of bytes, not of values: nothing needs to be written again to be compared.
"""

import hashlib
import re

CHECKSUM = "checksum"
_OPENING = "{\n"
_SEAL = re.compile(rb'\{\n "checksum": "([0-9a-f]{64})",\n')


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
    if seal is not None and hashlib.sha256(data[seal.end() :]).hexdigest().encode() != seal[1]:
        raise ValueError("not the bytes that were written")
    return seal is not None
