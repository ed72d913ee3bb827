"""Decodes pictures of data sets: only the three formats that are stored, and only of the expected size.

OpenCV decodes a dozen formats more, raises errors of its own, and allocates memory for whatever size a header claims.
"""

import struct
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 2**26
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decoded(data: bytes, how: int, size_px: tuple[int, int] | None = None) -> NDArray[Any] | None:
    """A PNG, WebP or JPEG as `cv2.imdecode` gives it; None if the data is not one, is damaged, or of another size.

    Args:
        data: the whole file.
        how: flags of `cv2.imdecode`.
        size_px: (height, width) that it must have; None allows any size of at most `MOST_PIXELS`. A picture of another
            size is not decoded.
    """
    header_px = size_of(data)
    if header_px is None or (header_px[0] * header_px[1] > MOST_PIXELS if size_px is None else header_px != size_px):
        return None
    try:
        flags = how | cv2.IMREAD_IGNORE_ORIENTATION  # no picture that is stored here has an orientation
        return cast("NDArray[Any] | None", cv2.imdecode(np.frombuffer(data, np.uint8), flags))
    except cv2.error:
        return None


def size_of(data: bytes) -> tuple[int, int] | None:
    """(height, width) that the header of a PNG, WebP or JPEG states; None where there is no such header."""
    try:
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return height, width
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _size_of_webp(data)
        return _size_of_jpeg(data) if data.startswith(_JPEG) else None
    except (struct.error, IndexError):
        return None


def _size_of_webp(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the first chunk of a WebP (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[27:30], "little"), 1 + int.from_bytes(data[24:27], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _size_of_jpeg(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the frame header of a JPEG (ITU-T T.81, B.2.2)."""
    offset = 2
    while data[offset] == 0xFF:
        marker, length = data[offset + 1], struct.unpack_from(">H", data, offset + 2)[0]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, offset + 5)
            return height, width
        offset += 2 + length
    return None
