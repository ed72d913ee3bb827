"""Depth maps beside pictures: which files count, and what happens to the picture if one is wrong."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipelines.sources.depth import decode_depth
from pipelines.sources.folder import FolderSource
from pipelines.sources.source import RefusedPicture
from pipelines.sources.webdataset import WebDatasetSource
from tests.pipelines.artists.ingest_runs import refused
from tests.pipelines.runs import PAINT_FAST, rows, save_picture, synth
from tests.pipelines.sources.picture_folders import FRAMING, fill, grey_png, png
from tests.pipelines.sources.test_webdataset import tar_bytes

GREY = (np.arange(60 * 80).reshape(60, 80) % 251).astype(np.uint8)


def saved(pixels: Any, kind: str = "PNG") -> bytes:
    Image.fromarray(pixels).save(out := io.BytesIO(), kind)
    return out.getvalue()


def test_grey_in_channels_of_colour_is_grey() -> None:
    opaque = np.full_like(GREY, 255)
    plain = decode_depth(saved(GREY))
    for channels in ([GREY] * 3, [GREY] * 3 + [opaque], [GREY, opaque]):
        np.testing.assert_array_equal(decode_depth(saved(np.dstack(channels))), plain)
    palette = Image.fromarray(GREY).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    palette.save(out := io.BytesIO(), "PNG")
    np.testing.assert_array_equal(decode_depth(out.getvalue()), plain)
    deep = GREY.astype(np.uint16) * 200 + 7
    png_of = {name: cv2.imencode(".png", pixels)[1].tobytes() for name, pixels in
              {"grey": deep, "rgb": np.dstack([deep] * 3)}.items()}  # fmt: skip
    np.testing.assert_array_equal(decode_depth(png_of["rgb"]), decode_depth(png_of["grey"]))


def test_what_is_not_grey_is_refused_for_that_reason() -> None:
    coloured = np.dstack([GREY, GREY, GREY + 1])
    see_through = np.dstack([GREY] * 3 + [np.full_like(GREY, 254)])
    for pixels in (coloured, see_through):
        with pytest.raises(RefusedPicture, match="not grey: it has colours or transparent places"):
            decode_depth(saved(pixels))
    for data in (b"no map", saved(GREY)[:200], saved(GREY, "TIFF")):
        with pytest.raises(RefusedPicture, match="damaged, or not a PNG"):
            decode_depth(data)


def test_the_case_of_the_ending_does_not_count(tmp_path: Path) -> None:
    names = ("a.depth.png", "b.DEPTH.PNG", "c.Depth.Png", "d.depth.png", "d.DEPTH.png")
    fill(tmp_path, {**{f"{name}.jpg": png() for name in "abcd"}, **dict.fromkeys(names, grey_png())})
    source = FolderSource(path=str(tmp_path))
    listing = source.index(None)
    assert [Path(entry.depth or "").name for entry in listing] == list(names[:4])
    assert listing.passed_over == ("d.DEPTH.png",)
    assert all(source.load(entry, FRAMING).depth is not None for entry in listing)


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "webp", "tiff", "png"])
def test_a_depth_map_is_never_painted_whatever_its_format(ending: str, tmp_path: Path) -> None:
    fill(tmp_path, {"a.jpg": png(), f"a.depth.{ending}": grey_png(), f"b.Depth.{ending}": grey_png()})
    fill(tmp_path / "tars", {"a.tar": tar_bytes([("p.v2.jpg", png()), (f"p.v2.depth.{ending}", grey_png())])})
    listing = FolderSource(path=str(tmp_path)).index(None)
    assert [entry.id for entry in listing] == ["a.jpg"]
    named = [f"b.Depth.{ending}", "tars/a.tar"]
    assert list(listing.passed_over) == ([f"a.depth.{ending}"] if ending != "png" else []) + named
    tar = WebDatasetSource(path=str(tmp_path / "tars")).index(None)
    assert [entry.id for entry in tar] == ["a.tar:p.v2"] and tar.passed_over == ("a.tar:p.v2.depth",)


@pytest.mark.parametrize(
    ("renderer", "is_needed"),
    [
        (PAINT_FAST, False),
        (("renderer=oil", "renderer.num_strokes=20", "size=64"), False),
        (("renderer=region", "size=64"), False),
        (("renderer=region", "renderer.order=back_to_front", "size=64"), True),
        (("renderer=studio", "size=64"), True),
    ],
    ids=["bezier", "oil", "region", "back_to_front", "studio"],
)
def test_a_bad_depth_map_costs_a_picture_only_where_it_would_be_used(
    renderer: tuple[str, ...], is_needed: bool, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(4):
        save_picture(folder / f"{number}.png", number)
    fill(folder, {"0.depth.png": b"no map", "1.depth.png": saved(np.dstack([GREY] * 3))})
    run = (*renderer, "num_frames=2", "cluster=inline", "source=folder", f"source.path={folder}", f"out={out}")
    assert synth(*run) == (3 if is_needed else 0)
    painted = sorted(str(row["source"]) for row in rows(out / "samples.parquet"))
    assert painted == [f"{number}.png" for number in range(is_needed, 4)]
    assert not is_needed or "depth map" in refused(out)["0.png"]
