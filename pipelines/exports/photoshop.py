"""PSD, written by psd-tools: a layer for each frame, in a group for each phase, and the merged finished picture."""

from pathlib import Path

from PIL import Image

from pipelines.exports.layers import groups_of
from pipelines.exports.process import Process
from pipelines.exports.settings import Settings


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process. Names are set after layers are created, so that they may have letters beyond Mac Roman."""
    from psd_tools import PSDImage
    from psd_tools.api.layers import Group

    # The document has an alpha channel, as otherwise psd-tools turns the transparency of layers into masks.
    document = PSDImage.frompil(Image.fromarray(process.frames[-1].picture).convert("RGBA"))
    for phase, layers in groups_of(process):
        group: PSDImage | Group = document
        if phase:
            group = document.create_group(open_folder=False)
            group.name = phase
        for layer in layers:
            pixel_layer = group.create_pixel_layer(Image.fromarray(layer.rgba), top=layer.top, left=layer.left)
            pixel_layer.name = layer.name
    document.save(path)
