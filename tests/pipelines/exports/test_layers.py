"""OpenRaster and PSD: readers of other authors see the frames, layer by layer."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.exports import openraster, photoshop
from pipelines.exports.layers import layers_of
from tests.pipelines.exports.runs import Picture, grown, optional, settings


def rgb(picture: Image.Image) -> Picture:
    return np.asarray(picture.convert("RGB"))


def laid(canvas: NDArray[np.uint8], rgba: NDArray[np.uint8], left: int, top: int) -> None:
    """Lay a layer, which is opaque or transparent everywhere, onto a canvas in place."""
    box = canvas[top : top + rgba.shape[0], left : left + rgba.shape[1]]
    box[rgba[..., 3] == 255] = rgba[rgba[..., 3] == 255][:, :3]


def test_all_layers_up_to_a_frame_show_that_frame() -> None:
    process = grown()
    canvas = np.zeros_like(process.frames[0].picture)
    for layer, frame in zip(layers_of(process), process.frames, strict=True):
        laid(canvas, layer.rgba, layer.left, layer.top)
        np.testing.assert_array_equal(canvas, frame.picture)
    assert layers_of(process)[1].rgba.shape == (14, 14, 4)  # no larger than what changed
    assert layers_of(process)[-1].rgba.shape == (1, 1, 4)  # and a pixel where nothing did


def test_openraster_is_what_its_specification_says(tmp_path: Path) -> None:
    process = grown(height=300, width=400)
    openraster.write(process, settings(), tmp_path / "a.ora")
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        first = archive.infolist()[0]
        assert first.filename == "mimetype" and first.compress_type == zipfile.ZIP_STORED
        assert archive.read("mimetype") == b"image/openraster"
        image = ElementTree.fromstring(archive.read("stack.xml"))
        assert image.tag == "image" and (image.get("w"), image.get("h")) == ("400", "300")
        merged = rgb(Image.open(io.BytesIO(archive.read("mergedimage.png"))))
        np.testing.assert_array_equal(merged, process.frames[-1].picture)
        assert max(Image.open(io.BytesIO(archive.read("Thumbnails/thumbnail.png"))).size) == 256
        groups = image.findall("stack/stack")
        assert [group.get("name") for group in groups] == ["block in", "drawing"]  # topmost first
        assert [len(group.findall("layer")) for group in groups] == [2, 3]
        canvas = np.zeros((300, 400, 3), np.uint8)
        for layer in reversed(image.findall(".//layer")):
            rgba = np.asarray(Image.open(io.BytesIO(archive.read(layer.get("src") or ""))))
            laid(canvas, rgba, int(layer.get("x") or 0), int(layer.get("y") or 0))
        np.testing.assert_array_equal(canvas, process.frames[-1].picture)


def test_pyora_opens_it_and_sees_the_finished_painting(tmp_path: Path) -> None:
    process = grown()
    openraster.write(process, settings(), tmp_path / "a.ora")
    project = optional("pyora").Project.load(str(tmp_path / "a.ora"))
    names = [layer.name for layer in project.children_recursive]
    assert {"drawing", "block in", "1 · doing 1 & more"} <= set(names)
    rendered = rgb(project.get_image_data(use_original=False))
    np.testing.assert_array_equal(rendered, process.frames[-1].picture)


@pytest.mark.parametrize("phases", [True, False])
def test_psd_tools_opens_it_and_its_composite_is_the_finished_painting(tmp_path: Path, phases: bool) -> None:
    psd_tools = optional("psd_tools")
    process = grown(phases=phases)
    photoshop.write(process, settings(), tmp_path / "a.psd")
    document = psd_tools.PSDImage.open(tmp_path / "a.psd")
    composite = rgb(document.composite(force=True))  # of the layers, not the merged picture
    np.testing.assert_array_equal(composite, process.frames[-1].picture)
    if phases:
        assert [(group.name, len(group)) for group in document] == [("drawing", 3), ("block in", 2)]
    layers = [layer for layer in document.descendants() if not layer.is_group()]
    assert [layer.name for layer in layers] == [process.label(number) for number in range(5)]
    assert not any(layer.has_mask() for layer in layers)
    for hidden in layers[2:]:
        hidden.visible = False
    np.testing.assert_array_equal(rgb(document.composite(force=True)), process.frames[1].picture)


def test_pillow_reads_the_merged_picture_and_the_layers(tmp_path: Path) -> None:
    """A reader that did not write it."""
    optional("psd_tools")
    process = grown(phases=False)
    photoshop.write(process, settings(), tmp_path / "a.psd")
    with Image.open(tmp_path / "a.psd") as document:
        np.testing.assert_array_equal(rgb(document), process.frames[-1].picture)
        assert len(document.layers) == 5  # type: ignore[attr-defined]


def test_names_of_any_alphabet_and_length_are_names_of_layers(tmp_path: Path) -> None:
    psd_tools = optional("psd_tools")
    frames = tuple(replace(frame, doing="船をぬる " * 80, phase="線画") for frame in grown().frames)
    process = replace(grown(), frames=frames)
    photoshop.write(process, settings(), tmp_path / "a.psd")
    (group,) = psd_tools.PSDImage.open(tmp_path / "a.psd")
    assert group.name == "線画" and group[0].name.startswith("0 · 船をぬる 船をぬる")
    openraster.write(process, settings(), tmp_path / "a.ora")
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        assert ElementTree.fromstring(archive.read("stack.xml")).find("stack/stack[@name='線画']") is not None
