"""What measuring and transferring a style promises, on pictures whose strokes are known."""

import cv2
import numpy as np
import pytest

from renderers.brush.style import stroke_character, transfer_colours
from renderers.painting import Image
from tests.renderers.texture_distance import texture_distance


def strokes(
    width_px: float, length_px: float, angle: float = 30.0, *, spread: float = 0.15, size: int = 288, seed: int = 0
) -> Image:
    """A picture covered four times over by straight strokes at about one angle (degrees), of random grey and colour."""
    rng = np.random.default_rng(seed)
    picture = np.full((size, size, 3), 0.5, np.float32)
    for _ in range(int(4 * size * size / (width_px * length_px))):
        turn = np.deg2rad(angle) + 0.1 * rng.normal()
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        half_length, half_width = along * length_px / 2, across * width_px / 2
        corners = [half_length + half_width, half_length - half_width, -half_length - half_width]
        outline = rng.uniform(0, size, 2) + np.array([*corners, -half_length + half_width])
        colour = np.clip(0.5 + spread * rng.normal(size=3), 0, 1)
        cv2.fillConvexPoly(picture, np.rint(outline * 16).astype(np.int32), colour.tolist(), cv2.LINE_AA, 4)
    return picture


def landscape(size: int = 128) -> Image:
    """A pale blue sky with the faint noise of a camera above a textured green field."""
    rng = np.random.default_rng(3)
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = np.array([0.6, 0.75, 0.95]) - 0.1 * np.linspace(0, 1, size)[:, None, None]
    picture[size // 2 :] = np.array([0.25, 0.45, 0.15]) + 0.12 * rng.normal(size=(size // 2, size, 1))
    return np.clip(picture + 0.004 * rng.normal(size=picture.shape), 0, 1).astype(np.float32)


def dusk(size: int = 100) -> Image:
    """A picture of strong contrast: dark violet to orange, in even shares."""
    share = np.random.default_rng(4).random((size, size + 30, 1))
    picture = (1 - share) * np.array([0.1, 0.05, 0.25]) + share * np.array([1.0, 0.7, 0.2])
    return np.asarray(picture, np.float32)


def smooth(size: int = 288) -> Image:
    """Soft light on soft shapes: no strokes at all."""
    y, x = np.mgrid[:size, :size] / size
    light = 0.5 + 0.2 * np.sin(2.5 * x + 1) * np.cos(2 * y) + 0.2 * (x - y)
    return np.asarray(light[..., None] * np.array([1.0, 0.9, 0.8]), np.float32)


def lab(picture: Image) -> Image:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab), np.float32)


def transferred(image: Image, style: Image, *, seed: int = 0, strength: float = 1.0) -> Image:
    return transfer_colours(image, style, np.random.default_rng(seed), strength=strength)


def distance(image: Image, style: Image) -> float:
    return texture_distance(image, style, np.random.default_rng(5))


def test_image_takes_on_the_colours_and_contrast_of_the_style() -> None:
    image, style = landscape(), cv2.resize(dusk(), (33, 25), interpolation=cv2.INTER_NEAREST)
    have, want = lab(transferred(image, style)).reshape(-1, 3), lab(style).reshape(-1, 3)
    assert np.abs(have.mean(0) - want.mean(0)).max() < 3.0
    ratio = have.std(0)[[0, 2]] / want.std(0)[[0, 2]]  # of a, dusk has hardly any
    assert ratio.min() > 0.7 and ratio.max() < 1.15
    assert np.abs(lab(image).reshape(-1, 3).mean(0) - want.mean(0)).max() > 30  # there was a way to go


def test_what_was_light_stays_light() -> None:
    image = landscape()  # hard: in it what is light is blue, in the style what is dark
    after = lab(transferred(image, dusk()))[..., 0]
    assert np.corrcoef(lab(image)[..., 0].ravel(), after.ravel())[0, 1] > 0.6


def test_flat_sky_gets_neither_grain_nor_bands() -> None:
    image = landscape()
    before, after = image[8:48], transferred(image, dusk())[8:48]
    grain = [float(np.median(np.abs(cv2.Laplacian(sky, cv2.CV_32F)))) for sky in (before, after)]
    assert grain[1] < 1.6 * grain[0]
    rows = np.diff(lab(after).mean(1), axis=0)  # a band is a row that jumps
    assert np.abs(rows).max() < 1.5


def test_same_generator_gives_the_same_bytes_and_leaves_the_inputs_alone() -> None:
    image, style = landscape(), dusk()
    kept = image.tobytes(), style.tobytes()
    first, second = transferred(image, style), transferred(image, style)
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float32 and first.shape == image.shape and 0 <= first.min() <= first.max() <= 1
    assert (image.tobytes(), style.tobytes()) == kept


def test_strength_is_the_share_of_the_way() -> None:
    image, style = landscape(), dusk()
    whole = np.abs(lab(transferred(image, style)) - lab(image)).mean()
    half = np.abs(lab(transferred(image, style, strength=0.5)) - lab(image)).mean()
    assert half == pytest.approx(whole / 2, rel=0.1)
    assert (transferred(image, style, strength=0.0) == image).all()
    with pytest.raises(ValueError, match=r"strength=1\.5"):
        transferred(image, style, strength=1.5)


def test_single_colour_image_becomes_the_mean_colour_of_the_style() -> None:
    plain = np.full((40, 60, 3), 0.3, np.float32)
    after = lab(transferred(plain, dusk()))
    assert after.reshape(-1, 3).std(0).max() < 0.1
    assert np.abs(after[0, 0] - lab(dusk()).reshape(-1, 3).mean(0)).max() < 2.0


def test_single_colour_style_takes_the_colour_away() -> None:
    grey = np.full((9, 9, 3), 0.5, np.float32)
    after = lab(transferred(landscape(), grey))
    assert np.abs(after[..., 1:]).mean() < 3 and abs(float(after[..., 0].mean()) - float(lab(grey)[0, 0, 0])) < 1


@pytest.mark.parametrize(("width_px", "length_px"), [(4, 16), (6, 48), (12, 48)])
def test_width_and_elongation_of_known_strokes_are_found(width_px: float, length_px: float) -> None:
    picture = strokes(width_px, length_px)
    found = stroke_character(picture)
    assert 1 / 1.6 < found.width * len(picture) / width_px < 1.3
    assert 1 / 1.6 < found.elongation / (length_px / width_px) < 1.6


def test_longer_strokes_measure_longer_and_wider_ones_wider() -> None:
    elongations = [stroke_character(strokes(6, length)).elongation for length in (12, 24, 48)]
    widths = [stroke_character(strokes(width, 4 * width)).width for width in (3, 6, 12, 20)]
    assert elongations == sorted(elongations) and elongations[-1] > 2 * elongations[0]
    assert widths == sorted(widths) and widths[-1] > 3 * widths[0]


@pytest.mark.parametrize("angle", [0.0, 75.0, 140.0])
def test_character_does_not_depend_on_the_angle(angle: float) -> None:
    found, reference = stroke_character(strokes(6, 36, angle)), stroke_character(strokes(6, 36))
    assert found.width == pytest.approx(reference.width, rel=0.2)
    assert found.elongation == pytest.approx(reference.elongation, rel=0.3)
    assert found.alignment == pytest.approx(reference.alignment, rel=0.2)


def test_strokes_side_by_side_are_aligned_and_dabs_and_smooth_light_are_not() -> None:
    aligned = stroke_character(strokes(6, 48)).alignment
    dabs = stroke_character(strokes(6, 7)).alignment
    nothing = stroke_character(smooth()).alignment
    assert aligned > 0.5 and aligned > 2 * dabs > 2 * nothing


def test_colour_variation_is_about_the_spread_of_the_strokes_colours() -> None:
    found = [stroke_character(strokes(5, 30, spread=spread)).colour_variation for spread in (0.04, 0.08, 0.16)]
    assert all(0.5 < variation / spread < 1.2 for variation, spread in zip(found, (0.04, 0.08, 0.16), strict=True))
    assert found == sorted(found)
    assert stroke_character(smooth()).colour_variation < 0.01


def test_bristle_marks_are_relief_and_flat_strokes_are_not() -> None:
    flat = strokes(14, 80, 0.0)
    bristles = np.sin(np.arange(len(flat)) * 2 * np.pi / 4.5).astype(np.float32)[:, None, None]
    rough = np.clip(flat + 0.08 * bristles, 0, 1)
    assert stroke_character(flat).relief < 0.1
    assert stroke_character(rough).relief > 0.3
    assert stroke_character(smooth()).relief < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (2, 90), (7, 5)])
def test_tiny_and_empty_pictures_have_a_character_within_the_ranges(shape: tuple[int, int]) -> None:
    for picture in (np.full((*shape, 3), 0.4, np.float32), np.random.default_rng(0).random((*shape, 3), np.float32)):
        found = stroke_character(picture)
        assert 2 <= found.elongation <= 12 and 0.005 <= found.width <= 0.1 and 0 <= found.alignment <= 1
        assert 0 <= found.colour_variation <= 0.3 and 0 <= found.relief < 1
        assert transferred(picture, dusk()).shape == (*shape, 3)


def test_a_style_is_nearest_to_itself_then_to_its_other_half_then_to_other_pictures() -> None:
    style = strokes(5, 30, 20.0)
    left, right = style[:, :140], style[:, 140:]
    assert distance(left, left) == 0.0
    assert 0 < distance(right, left) < 0.15
    for other in (strokes(12, 30, 110.0), strokes(5, 30, 20.0, spread=0.05), smooth(), landscape()):
        assert distance(other, left) > 1.5 * distance(right, left)


def test_texture_alone_tells_pictures_apart() -> None:
    along, across = strokes(5, 40, 0.0), strokes(5, 40, 90.0)
    assert distance(across, along) > 1.5 * distance(strokes(5, 40, 0.0, seed=1), along)


def test_painting_in_the_styles_colours_is_nearer_to_it() -> None:
    image, style = landscape(), dusk()
    assert distance(transferred(image, style), style) < 0.8 * distance(image, style)


def test_picture_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="4 px"):
        distance(np.zeros((4, 9, 3), np.float32), landscape())
