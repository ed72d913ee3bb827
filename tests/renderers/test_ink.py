"""Ink keeps the hue of a pigment however dark, black where the picture is black, and paper where it is light."""

import cv2
import numpy as np
import pytest

from renderers import brush
from renderers.brush.ink import INK, PIGMENTS, ink_targets
from renderers.brush.stroke import FAR_RED
from renderers.painting import Image, StrokeProgram
from renderers.raster.ribbon import RED, Floats
from tests.renderers.pictures import landscape, plain

PAPER = (0.955, 0.935, 0.885)


def planned(image: Image) -> StrokeProgram:
    config = brush.Config(medium="ink", preset="fast", num_strokes=60, canvas=PAPER)
    return brush.RENDERER.plan(image, config, np.random.SeedSequence(3))


def painted(image: Image) -> Image:
    program = planned(image)
    (canvas,) = brush.RENDERER.replay(program, [len(program.strokes)])
    return canvas


def rgb_of(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    lab = np.array([[[lightness, chroma * np.cos(hue), chroma * np.sin(hue)]]], np.float32)
    red, green, blue = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)[0, 0].tolist()
    return red, green, blue


def on_paper(colour: tuple[float, float, float]) -> Image:
    """A block of a colour that fills half of a white picture."""
    image = plain(64, 64, (1.0, 1.0, 1.0))
    image[:, 16:48] = colour
    return image


def hues_of(strokes: Floats) -> Floats:
    """(N, 3) the amounts of strokes, relative to the largest."""
    amounts = strokes[:, RED : RED + 3]
    hues: Floats = amounts / amounts.max(1, keepdims=True)
    return hues


@pytest.mark.parametrize("pigment", PIGMENTS)
def test_no_pigment_is_too_dark_to_be_painted_in_its_hue(pigment: str) -> None:
    """An amount above 1 is painted as 1, so that the other channels catch up with it."""
    deep = np.exp(-1.6 * np.array(PIGMENTS[pigment]))
    strokes = planned(on_paper((float(deep[0]), float(deep[1]), float(deep[2])))).strokes
    tinted = np.abs(hues_of(strokes) - INK).max(1) > 0.1
    assert tinted.any()
    assert len(np.unique(hues_of(strokes)[tinted].round(2), axis=0)) == 1
    ends = np.stack([strokes[:, RED : RED + 3], strokes[:, FAR_RED : FAR_RED + 3]])
    assert ends.min() >= 0.0 and ends.max() <= 1.0


@pytest.mark.parametrize("lightness", [6.0, 12.0, 25.0, 50.0])
@pytest.mark.parametrize("hue", np.linspace(0.0, 2 * np.pi, 6, endpoint=False))
def test_what_looks_grey_is_painted_without_pigment(lightness: float, hue: float) -> None:
    strokes = planned(on_paper(rgb_of(lightness, 4.0, hue))).strokes
    np.testing.assert_allclose(hues_of(strokes), np.tile(INK, (len(strokes), 1)), atol=1e-3)


@pytest.mark.parametrize(("lightness", "chroma"), [(15.0, 16.0), (30.0, 30.0), (50.0, 40.0)])
def test_what_looks_colourful_is_tinted_however_dark(lightness: float, chroma: float) -> None:
    strokes = planned(on_paper(rgb_of(lightness, chroma, 5.0))).strokes
    assert (np.abs(hues_of(strokes) - INK).max(1) > 0.1).any()


@pytest.mark.parametrize("luma", np.linspace(0.0, 1.0, 11))
def test_a_place_without_edges_wants_no_line(luma: float) -> None:
    wanted = ink_targets(plain(64, 64, (luma, luma, luma)), 0.28)[1]
    beside_a_dark_block = plain(64, 64, (luma, luma, luma))
    beside_a_dark_block[:, 40:] = 0.0
    assert wanted.max() < 0 and ink_targets(beside_a_dark_block, 0.28)[1][:, :24].max() < 0


def test_edges_want_lines() -> None:
    assert (ink_targets(landscape(96, 128), 0.28)[1] > 0).mean() > 0.05


def test_white_on_white_stays_light() -> None:
    y, x = np.mgrid[:96, :96] / 96
    image = plain(96, 96, (0.98, 0.98, 0.98))
    image[((x - 0.5) / 0.25) ** 2 + ((y - 0.5) / 0.28) ** 2 < 1] = 0.934
    assert (painted(cv2.GaussianBlur(image, (0, 0), 1.5)).mean(-1) < 0.6).mean() < 0.02
