"""Parts of PNG files that Pillow ignores, refuses or misreads: code points, large profiles, texts, transparent grey."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ORIENTATION_KEYWORDS = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")
_LARGEST_TEXT = 1 << 20  # bytes above which Pillow refuses the whole picture
_LARGEST_PROFILE = 1 << 25


@dataclass(frozen=True)
class PngColours:
    """How a PNG encodes its colours.

    Attributes:
        profile: its ICC profile, or None.
        code_points: primaries and transfer of ITU-T H.273, or None.
    """

    profile: bytes | None = None
    code_points: tuple[int, int] | None = None


def readable_png(data: bytes) -> tuple[bytes, PngColours]:
    """The same picture without its profile and texts, which Pillow takes for decompression bombs if they are large.

    Small texts that may hold an orientation are kept. Data that do not have the structure of a PNG are not changed.
    """
    chunks, colours = [SIGNATURE], PngColours()
    bits, kind = data[24:25], data[25:26]
    for name, body, chunk in _chunks(data):
        if name == b"iCCP":
            colours = PngColours(_inflated(body.partition(b"\0")[2][1:]), colours.code_points)
        elif name in _TEXTS and (not body.startswith(_ORIENTATION_KEYWORDS) or len(_text(name, body)) > _LARGEST_TEXT):
            continue
        else:
            if name == b"cICP" and len(body) == 4:
                colours = PngColours(colours.profile, (body[0], body[1]))
            grey_of_few_bits = name == b"tRNS" and kind == b"\0" and bits in (b"\2", b"\4") and len(body) == 2
            chunks.append(_in_eight_bits(body, bits[0]) if grey_of_few_bits else chunk)
    return b"".join(chunks), colours


def _in_eight_bits(value: bytes, bits: int) -> bytes:
    """A tRNS chunk with the transparent grey scaled to 8 bits, as Pillow compares it with pixels it has scaled."""
    body = b"tRNS" + (int.from_bytes(value, "big") * 255 // ((1 << bits) - 1) & 0xFFFF).to_bytes(2, "big")
    return b"\0\0\0\2" + body + zlib.crc32(body).to_bytes(4, "big")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(name, body, whole chunk) of each chunk; a chunk that is cut off has an empty name and body."""
    at = len(SIGNATURE)
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0] if at + 12 <= len(data) else len(data)
        end = at + 12 + length
        name = data[at + 4 : at + 8] if end <= len(data) else b""
        yield name, data[at + 8 : end - 4] if name else b"", data[at:end]
        at = end


def _text(name: bytes, body: bytes) -> bytes:
    """A text, with its keyword if it is not compressed. A compressed one is cut just above `_LARGEST_TEXT`."""
    keyword, _, rest = body.partition(b"\0")
    if name == b"zTXt" or (name == b"iTXt" and rest[:1] == b"\1"):
        packed = rest[1:] if name == b"zTXt" else rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        try:
            return zlib.decompressobj().decompress(packed, _LARGEST_TEXT + 1)
        except zlib.error:
            return keyword
    return body


def _inflated(packed: bytes) -> bytes | None:
    """An ICC profile; None if it is damaged, or too large to be one."""
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed, _LARGEST_PROFILE)
    except zlib.error:
        return None
    return None if inflate.unconsumed_tail else profile
