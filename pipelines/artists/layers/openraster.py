"""OpenRaster (.ora), which Krita, GIMP and MyPaint share. https://www.openraster.org/baseline/"""

from collections.abc import Mapping
from functools import partial
from xml.etree.ElementTree import Element

from pipelines.artists.archive import Archive
from pipelines.artists.layers.document import MOST_PIXELS, Document, Group, Layer, Patch
from pipelines.artists.layers.markup import children_of, layer_name, number, parsed
from pipelines.sources.decode import decode, decode_rgba
from pipelines.sources.source import RefusedPicture

_MODES: Mapping[str, str] = {"svg:src-over": "normal", "svg:plus": "add", "svg:dst-out": "erase"} | {
    f"svg:{name}": name
    for name in (
        *("multiply", "screen", "overlay", "darken", "lighten", "color-dodge", "color-burn", "hard-light"),
        *("soft-light", "difference"),
    )
}


def read_openraster(archive: Archive) -> Document:
    """The document; its layers are read when they are needed.

    Raises:
        RefusedPicture: if it is damaged, or not an OpenRaster document.
    """
    image = parsed(archive.read("stack.xml", most=1 << 24), "stack.xml")
    stack = image.find("stack")
    if image.tag != "image" or stack is None:
        raise RefusedPicture("stack.xml describes no layers")
    unread: list[str] = []
    return Document(
        width_px=int(number(image, "w")),
        height_px=int(number(image, "h")),
        nodes=_nodes(archive, stack, unread, 0),
        merged=decode(archive.read("mergedimage.png"), max_pixels=MOST_PIXELS),
        unread=unread,
    )


def _nodes(archive: Archive, stack: Element, unread: list[str], depth: int) -> list[Layer | Group]:
    """The visible layers of a stack, from the bottom to the top; the file has the topmost first."""
    nodes: list[Layer | Group] = []
    for element in reversed(children_of(stack, depth)):
        if element.get("visibility", "visible") == "hidden":
            continue
        name, opacity = layer_name(element), number(element, "opacity", 1.0)
        operation = element.get("composite-op", "svg:src-over")
        if operation not in _MODES:
            unread.append(f"{name} (blended as {layer_name(element, 'composite-op')})")
        mode = _MODES.get(operation, "normal")
        if element.tag == "stack":
            nodes.append(
                Group(
                    children=_nodes(archive, element, unread, depth + 1),
                    opacity=opacity,
                    mode=mode,
                    passes_through=element.get("isolation") != "isolate" and opacity == 1 and mode == "normal",
                )
            )
        elif element.tag == "layer":
            place = int(number(element, "x", 0.0)), int(number(element, "y", 0.0))
            read = partial(_patch, archive, element.get("src", ""), *place)
            nodes.append(Layer(read=read, opacity=opacity, mode=mode))
        else:
            unread.append(f"{name} ({layer_name(element, tag=True)})")
    return nodes


def _patch(archive: Archive, source: str, left: int, top: int) -> Patch:
    rgba = decode_rgba(archive.read(source), max_pixels=MOST_PIXELS, min_side_px=1)
    return Patch(rgba=rgba, left=left, top=top)
