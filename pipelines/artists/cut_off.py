"""Detects that the end of a file is missing, for formats whose decoders report no error then."""

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B  # blocks of a GIF
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def gif_has_its_end(data: bytes) -> bool:
    """Whether the blocks of a GIF lead to its trailer. https://www.w3.org/Graphics/GIF/spec-gif89a.txt"""

    def after_colours(place: int, flags: int) -> int:
        return place + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)

    try:
        place = after_colours(13, data[10])
        while data[place] != _TRAILER:
            if data[place] == _IMAGE:
                place = after_colours(place + 10, data[place + 9]) + 1
            elif data[place] == _EXTENSION:
                place += 2
            else:
                return False
            while data[place]:  # sub-blocks, each with its length in front
                place += 1 + data[place]
            place += 1
    except IndexError:
        return False
    return True


def matroska_has_its_end(head: bytes, num_bytes: int) -> bool:
    """Whether a Matroska or WebM file is as long as its segment says (RFC 8794, sections 6 and 7).

    Args:
        head: its first 256 bytes or more. True is returned if it is not Matroska, or does not state its length, as a
            recording that was never closed does not.
        num_bytes: size of the whole file.
    """
    try:
        header_bytes, place = _ebml_size(head, len(_EBML))
        place += header_bytes or 0
        if not head.startswith(_EBML) or head[place : place + 4] != _SEGMENT:
            return True
        segment_bytes, place = _ebml_size(head, place + 4)
    except IndexError:
        return True
    return segment_bytes is None or num_bytes >= place + segment_bytes


def _ebml_size(head: bytes, place: int) -> tuple[int | None, int]:
    """The length that is stored at a place, None if it is unknown, and the place after it."""
    width = 9 - head[place].bit_length()
    largest = (1 << 7 * width) - 1
    value = int.from_bytes(head[place : place + width], "big") & largest
    return (value if width <= 8 and value != largest else None), place + width
