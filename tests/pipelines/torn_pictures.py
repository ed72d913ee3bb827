"""Files that have names of pictures but cannot be decoded or used, each for another reason."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def _dot() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def _bomb() -> bytes:
    """A PNG whose header asks for 100,000 x 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


TORN = {
    "empty.jpg": b"",
    "text.png": b"this is no picture",
    "dot.png": _dot(),
    "cut.jpg": _jpeg()[:2000],
    "bomb.png": _bomb(),
}
"""Name -> bytes."""
