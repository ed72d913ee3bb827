"""Krita's documents (.kra): pixels in tiles of 64 px, each compressed on its own.

The format is described at https://github.com/2shady4u/godot-kra-psd-importer/blob/master/docs/KRA_FORMAT.md; the LZF
compression is that of liblzf.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.archive import Archive
from pipelines.artists.layers.document import MOST_PIXELS, Document, Group, Layer, Patch
from pipelines.artists.layers.markup import children_of, layer_name, number, parsed
from pipelines.sources.decode import decode
from pipelines.sources.source import RefusedPicture

_MODES: Mapping[str, str] = {
    "normal": "normal", "multiply": "multiply", "screen": "screen", "overlay": "overlay", "darken": "darken",
    "lighten": "lighten", "dodge": "color-dodge", "burn": "color-burn", "hard_light": "hard-light",
    "soft_light_svg": "soft-light", "diff": "difference", "exclusion": "exclusion", "add": "add",
    "linear_dodge": "add", "subtract": "subtract", "linear_burn": "linear-burn", "erase": "erase",
}  # fmt: skip
_DEPTHS: Mapping[str, type[np.unsignedinteger]] = {"RGBA": np.uint8, "RGBA16": np.uint16}
"""Colour space -> type of a channel's values; channels are stored as blue, green, red, alpha."""
_HEAD = re.compile(rb"VERSION 2\r?\nTILEWIDTH 64\r?\nTILEHEIGHT 64\r?\nPIXELSIZE (\d{1,2})\r?\nDATA \d{1,9}\r?\n")
_TILE = re.compile(rb"(-?\d{1,9}),(-?\d{1,9}),LZF,(\d{1,9})\r?\n")
_SIDE_PX = 64


@dataclass(frozen=True)
class _Canvas:
    archive: Archive
    folder: str
    width_px: int
    height_px: int


def read_krita(archive: Archive) -> Document:
    """The document; its layers are read when they are needed.

    Raises:
        RefusedPicture: if it is damaged, or not a document of Krita.
    """
    root = parsed(archive.read("maindoc.xml", most=1 << 24), "maindoc.xml")
    image = root.find("{*}IMAGE")
    stack = image.find("{*}layers") if image is not None else None
    if image is None or stack is None:
        raise RefusedPicture("maindoc.xml describes no layers")
    canvas = _Canvas(archive, image.get("name", ""), int(number(image, "width")), int(number(image, "height")))
    unread: list[str] = []
    return Document(
        width_px=canvas.width_px,
        height_px=canvas.height_px,
        nodes=_nodes(canvas, stack, unread, 0),
        merged=decode(archive.read("mergedimage.png"), max_pixels=MOST_PIXELS),
        unread=unread,
    )


def _nodes(canvas: _Canvas, stack: Element, unread: list[str], depth: int) -> list[Layer | Group]:
    """The visible layers of a stack, from the bottom to the top; the file has the topmost first."""
    nodes: list[Layer | Group] = []
    for element in reversed(children_of(stack, depth)):
        if element.get("visible", "1") == "0":
            continue
        name, kind = layer_name(element), element.get("nodetype", "")
        operation, opacity = element.get("compositeop", "normal"), number(element, "opacity", 255.0) / 255
        if operation not in _MODES:
            unread.append(f"{name} (blended as {layer_name(element, 'compositeop')})")
        mode, inner = _MODES.get(operation, "normal"), element.find("{*}layers")
        unread += [f"{what} of {name}" for what in _features(element)]
        if kind == "grouplayer" and inner is not None:
            nodes.append(
                Group(
                    children=_nodes(canvas, inner, unread, depth + 1),
                    opacity=opacity,
                    mode=mode,
                    passes_through=element.get("passthrough") == "1",
                )
            )
        elif kind == "paintlayer" and element.get("colorspacename", "RGBA") in _DEPTHS:
            nodes.append(Layer(read=partial(_patch, canvas, element), opacity=opacity, mode=mode))
        else:
            attribute = "colorspacename" if kind == "paintlayer" else "nodetype"
            unread.append(f"{name} ({layer_name(element, attribute)})")
    return nodes


def _features(element: Element) -> Iterator[str]:
    """What of a layer is not read beside its pixels and modes."""
    if element.find("{*}masks") is not None:
        yield "masks"
    if "0" in element.get("channelflags", ""):  # one digit a channel, or none where all are painted on
        yield "switched-off channels (such as inherited alpha)"
    if element.get("keyframes"):
        yield "animation"
    if element.get("layerstyle"):
        yield "layer style"


def _patch(canvas: _Canvas, element: Element) -> Patch:
    """The pixels of a paint layer that lie on the canvas."""
    left, top = int(number(element, "x", 0.0)), int(number(element, "y", 0.0))
    path = posixpath.join(canvas.folder, "layers", element.get("filename", ""))
    depth = np.dtype(_DEPTHS[element.get("colorspacename", "RGBA")]).newbyteorder("<")
    pixel_bytes = 4 * depth.itemsize
    pixels = np.zeros((canvas.height_px, canvas.width_px, pixel_bytes), np.uint8)
    if f"{path}.defaultpixel" in canvas.archive.names:
        default = canvas.archive.read(f"{path}.defaultpixel", most=64)
        if len(default) == pixel_bytes:
            pixels[:] = np.frombuffer(default, np.uint8)
    for tile_left, tile_top, tile in tiles(canvas.archive.read(path), pixel_bytes):
        x, y = left + tile_left, top + tile_top
        on_canvas = pixels[max(y, 0) : max(y + _SIDE_PX, 0), max(x, 0) : max(x + _SIDE_PX, 0)]
        if on_canvas.size:
            height, width = on_canvas.shape[:2]
            first_row, first_column = max(-y, 0), max(-x, 0)
            on_canvas[:] = tile[first_row : first_row + height, first_column : first_column + width]
    values = pixels.view(depth).astype(np.float32) / np.float32(np.iinfo(depth).max)
    return Patch(rgba=np.ascontiguousarray(values[..., [2, 1, 0, 3]]), left=0, top=0)


def tiles(data: bytes, pixel_bytes: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Left, top, and (64, 64, pixel_bytes) bytes of every tile of a layer.

    Raises:
        RefusedPicture: if they are damaged, or their pixels have another size.
    """
    head = _HEAD.match(data)
    if head is None or int(head[1]) != pixel_bytes:
        raise RefusedPicture("a layer is not stored as this version of Krita's tiles")
    place, size = head.end(), _SIDE_PX * _SIDE_PX * pixel_bytes
    while place < len(data):
        tile = _TILE.match(data, place)
        if tile is None:
            raise RefusedPicture("a layer's tiles are damaged")
        place = tile.end() + int(tile[3])
        stored = data[tile.end() : place]
        content = unpacked(stored[1:], size) if stored[:1] == b"\1" else stored[1:]
        if len(content) != size:
            raise RefusedPicture("a layer's tile is cut off")
        planes = np.frombuffer(content, np.uint8).reshape(pixel_bytes, _SIDE_PX, _SIDE_PX)
        yield int(tile[1]), int(tile[2]), planes.transpose(1, 2, 0)


def unpacked(data: bytes, size: int) -> bytes:
    """Decompress LZF: literal runs of bytes, and references back to the output; at most `size` bytes and one run.

    Raises:
        RefusedPicture: if a reference points before the beginning, or the end is missing.
    """
    out, place = bytearray(), 0
    try:
        while place < len(data) and len(out) <= size:
            control = data[place]
            place += 1
            if control < 32:
                out += data[place : place + control + 1]
                place += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[place]
                place += 1
            length += 2
            distance = ((control & 31) << 8 | data[place]) + 1
            place += 1
            start = len(out) - distance
            if start < 0:
                raise RefusedPicture("a layer's tile is damaged")
            run = out[start : start + length]
            out += (run * (length // len(run) + 1))[:length]  # a run may overlap itself
    except IndexError:
        raise RefusedPicture("a layer's tile is cut off") from None
    return bytes(out)
