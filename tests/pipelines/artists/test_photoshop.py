"""Photoshop's documents: every canvas is what psd-tools makes of the layers so far, and refusals name what they use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.composite import composite
from psd_tools.constants import BlendMode, Tag

from pipelines.artists.layers.photoshop import canvases_of
from tests.pipelines.artists.test_layers import refusal

SIDE_PX = 12


def painted(document: PSDImage, rgba: Any, left: int = 0, top: int = 0) -> Any:
    return document.create_pixel_layer(Image.fromarray(rgba), left=left, top=top)


def plain(document: PSDImage, *colour: int) -> Any:
    return painted(document, np.full((SIDE_PX, SIDE_PX, 4), (*colour, 255), np.uint8))


def inverting(document: PSDImage) -> Any:
    layer = plain(document, 0, 0, 0)
    layer.tagged_blocks.set_data(Tag.INVERT)
    return layer


def canvases(path: Path) -> list[list[int]]:
    """The colour in the middle of each canvas."""
    return [np.rint(canvas[5, 5] * 255).astype(int).tolist() for canvas in canvases_of(PSDImage.open(path))]


def test_each_adjustment_in_a_group_changes_what_is_below_it(tmp_path: Path) -> None:
    document = PSDImage.frompil(Image.new("RGBA", (SIDE_PX, SIDE_PX)))
    plain(document, 200, 30, 60)
    layers = [plain(document, 90, 160, 220), inverting(document), inverting(document)]
    document.create_group(layer_list=layers)
    document.save(tmp_path / "a.psd")
    inside = [[90, 160, 220], [165, 95, 35], [90, 160, 220]]
    assert canvases(tmp_path / "a.psd") == [[255, 255, 255], [200, 30, 60], *inside]


@pytest.mark.parametrize(
    ("feature", "value", "last"),
    [("opacity", 51, [164, 72, 50]), ("fill_opacity", 51, [164, 72, 50]), ("clipping", True, [8, 68, 78])],
)
def test_what_follows_an_adjustment_in_a_group_is_treated_as_one_with_it(
    feature: str, value: object, last: list[int], tmp_path: Path
) -> None:
    document = PSDImage.frompil(Image.new("RGBA", (SIDE_PX, SIDE_PX)))
    plain(document, 200, 30, 60)
    top = painted(
        document, np.full((SIDE_PX, SIDE_PX, 4), (20, 240, 10, 128 if feature == "clipping" else 255), np.uint8)
    )
    group = document.create_group(layer_list=[plain(document, 90, 160, 220), inverting(document), top])
    group.blend_mode = BlendMode.PASS_THROUGH
    clipped = plain(document, 100, 100, 100)
    clipped.blend_mode, clipped.visible = BlendMode.DIFFERENCE, feature == "clipping"
    setattr(clipped if feature == "clipping" else group, feature, value)
    document.save(tmp_path / "a.psd")
    assert canvases(tmp_path / "a.psd")[4] == last


def random_siblings(document: PSDImage, rng: np.random.Generator, depth: int = 0) -> list[Any]:
    """Layers, adjustments and groups, which have one feature each."""
    siblings: list[Any] = []
    for _ in range(int(rng.integers(2, 5))):
        chance, feature = rng.random(), rng.choice(["opacity", "fill", "clipped", "knockout", "mode", "mask", "none"])
        if chance < 0.35 and depth < 2:
            part = document.create_group(layer_list=random_siblings(document, rng, depth + 1))
            part.blend_mode = BlendMode.NORMAL if rng.random() < 0.2 else BlendMode.PASS_THROUGH
        elif chance < 0.6:
            part = inverting(document)
        else:
            left, top, width, height = (int(number) for number in rng.integers((-3, -3, 6, 6), (6, 6, 12, 12)))
            rgba = rng.integers(0, 256, (height, width, 4)).astype(np.uint8)
            part = painted(document, rgba, left=left, top=top)
            part.clipping = feature == "clipped" or (bool(siblings) and siblings[-1].is_group() and rng.random() < 0.4)
        part.name = str(feature)
        if feature == "opacity":
            part.opacity = 120
        elif feature == "fill":
            part.fill_opacity = 120
        elif feature == "knockout" and rng.random() < 0.3:
            part.tagged_blocks.set_data(Tag.KNOCKOUT_SETTING, int(rng.integers(1, 3)))
        elif feature == "mode" or part.clipping:
            part.blend_mode = BlendMode.DIFFERENCE
        siblings.append(part)
    return siblings


def test_canvases_are_psd_tools_composites_of_the_layers_so_far(tmp_path: Path) -> None:
    num_checked = 0
    for seed in range(40):
        rng, document = np.random.default_rng(seed), PSDImage.frompil(Image.new("RGBA", (SIDE_PX, SIDE_PX)))
        random_siblings(document, rng)
        document.save(tmp_path / "a.psd")
        document = PSDImage.open(tmp_path / "a.psd")
        for part in document.descendants():  # psd-tools cannot save the mask of a group
            if part.is_group() and part.name == "mask":
                mask = rng.integers(0, 256, (SIDE_PX, SIDE_PX)).astype(np.uint8)
                part.create_mask(Image.fromarray(mask), top=0, left=0)
        leaves = [part for part in document.descendants() if not part.is_group() and not part.clipping]
        for count, canvas in enumerate(canvases_of(document) if leaves else ()):
            laid = {id(leaf) for leaf in leaves[:count]}

            def is_laid(part: Any, laid: set[int] = laid) -> bool:
                inside = part.descendants() if part.is_group() else [part]
                return bool(part.clipping or any(id(each) in laid for each in inside))

            colour, _, alpha = composite(document, 1.0, 0.0, layer_filter=is_laid)
            np.testing.assert_allclose(canvas, colour * alpha + 1 - alpha, atol=1e-4, err_msg=f"{seed=} {count=}")
            num_checked += 1
    assert num_checked > 250


def test_a_layer_costs_what_it_covers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = PSDImage.frompil(Image.new("RGBA", (200, 100)))
    layers = [painted(document, np.full((10, 20, 4), 255, np.uint8), left=left, top=95) for left in (0, 30, 400)]
    document.create_group(layer_list=layers)
    document.save(tmp_path / "a.psd")
    sizes = []

    def measured(document: PSDImage, colour: Any, *others: Any) -> Any:
        sizes.append(colour.shape[:2])
        return composite(document, colour, *others)

    monkeypatch.setattr("psd_tools.composite.composite", measured)
    assert len(list(canvases_of(PSDImage.open(tmp_path / "a.psd")))) == 4
    assert sizes[:2] == [(5, 20), (5, 50)]


def test_a_refused_document_names_what_psd_tools_does_not_draw(tmp_path: Path) -> None:
    document = PSDImage.frompil(Image.new("RGBA", (SIDE_PX, SIDE_PX), "black"))
    plain(document, 90, 160, 220).name = "sky\n"
    layer = plain(document, 20, 240, 10)
    layer.name, layer.blend_mode = "grass", BlendMode.DISSOLVE
    adjustment = plain(document, 0, 0, 0)
    adjustment.name = "warmer"
    adjustment.tagged_blocks.set_data(Tag.VIBRANCE)
    document.save(tmp_path / "a.psd")
    reason = refusal(tmp_path / "a.psd")
    assert reason.endswith("; not read, or drawn otherwise: grass (dissolve), warmer (vibrance)")
