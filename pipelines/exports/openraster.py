"""OpenRaster (.ora), the format of layered pictures that Krita, GIMP and MyPaint share.

By the specification's baseline, it is a zip whose first member is the type, uncompressed. It holds `stack.xml` with the
topmost layer first, a PNG for each layer, `mergedimage.png`, and a thumbnail of at most 256 px.
"""

import zipfile
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import cv2

from pipelines.exports.layers import groups_of
from pipelines.exports.process import Picture, Process
from pipelines.exports.settings import Settings
from training.data.pixels import png_of

_TYPE = "image/openraster"
_THUMBNAIL_PX = 256
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # so that the bytes do not depend on the date


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process."""
    height, width = process.size_px
    image = Element("image", {"version": "0.0.3", "w": str(width), "h": str(height), "name": process.title})
    stack = SubElement(image, "stack")
    pictures: dict[str, bytes] = {}
    for phase, layers in reversed(list(groups_of(process))):
        group = SubElement(stack, "stack", {"name": phase}) if phase else stack
        for layer in reversed(layers):
            name = f"data/layer{len(pictures):03d}.png"
            ok, data = cv2.imencode(".png", cv2.cvtColor(layer.rgba, cv2.COLOR_RGBA2BGRA))
            assert ok
            pictures[name] = data.tobytes()
            place = {"x": str(layer.left), "y": str(layer.top)}
            SubElement(group, "layer", {"name": layer.name, "src": name, **place, **_LAYER_ATTRIBUTES})
    finished = process.frames[-1].picture
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "mimetype", _TYPE.encode())
        _add(archive, "stack.xml", tostring(image, "UTF-8", xml_declaration=True))
        for name, picture in pictures.items():
            _add(archive, name, picture)
        _add(archive, "mergedimage.png", png_of(finished))
        _add(archive, "Thumbnails/thumbnail.png", png_of(_thumbnail(finished)))


_LAYER_ATTRIBUTES = {"opacity": "1.0", "visibility": "visible", "composite-op": "svg:src-over"}


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, _FIXED_DATE)
    member.external_attr = 0o644 << 16
    archive.writestr(member, data)  # not compressed, as PNG is compressed already


def _thumbnail(picture: Picture) -> Picture:
    scale = min(1.0, _THUMBNAIL_PX / max(picture.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    small: Picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return small
