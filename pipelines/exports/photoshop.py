"""PSD, by psd-tools: a layer a frame, in a group a phase, and the finished picture merged."""

from pathlib import Path

from PIL import Image

from pipelines.exports.layers import groups_of
from pipelines.exports.process import Process
from pipelines.exports.settings import Settings


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process. Names are set when things are made, as only then letters beyond Mac Roman may be in them."""
    from psd_tools import PSDImage
    from psd_tools.api.layers import Group

    # With an alpha channel, as otherwise psd-tools turns the transparency of layers into masks.
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
