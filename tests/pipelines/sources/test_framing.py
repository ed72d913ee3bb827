from typing import Literal

import numpy as np
import pytest

from conf.errors import ConfigError
from pipelines.sources.framing import Framing


def stripes(height: int, width: int, *, across: bool) -> np.ndarray:
    """Red, green and blue thirds; side by side when `across`, else one above another."""
    picture = np.zeros((height, width, 3), np.float32)
    thirds = np.arange(width if across else height) * 3 // (width if across else height)
    picture[:] = (
        np.eye(3, dtype=np.float32)[thirds][None, :] if across else np.eye(3, dtype=np.float32)[thirds][:, None]
    )
    return picture


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(16, 16), (16, 4000), (4000, 16), (300, 301), (1000, 700), (97, 64)])
def test_every_shape_becomes_the_size_asked_for_within_range(
    fit: Literal["crop", "pad", "stretch"], shape: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).random((*shape, 3), dtype=np.float32).round()  # cubic growth overshoots here
    for height_px, width_px in ((64, 1024), (256, 256), (100, 77)):
        framed = Framing(height_px=height_px, width_px=width_px, fit=fit).apply(noise)
        assert framed.shape == (height_px, width_px, 3) and framed.dtype == np.float32
        assert framed.min() >= 0 and framed.max() <= 1


@pytest.mark.parametrize("across", [True, False])
def test_crop_keeps_the_centre_and_does_not_distort(across: bool) -> None:
    shape = (100, 300) if across else (300, 100)
    framed = Framing(height_px=128, width_px=128, fit="crop").apply(stripes(*shape, across=across))
    np.testing.assert_allclose(framed[8:-8, 8:-8], np.broadcast_to((0, 1, 0), (112, 112, 3)), atol=0.02)


def test_pad_keeps_everything_and_fills_with_white() -> None:
    framed = Framing(height_px=90, width_px=90, fit="pad").apply(np.zeros((100, 300, 3), np.float32))
    np.testing.assert_array_equal(framed[:30], 1)
    np.testing.assert_array_equal(framed[-30:], 1)
    np.testing.assert_allclose(framed[30:60], 0, atol=1e-6)


def test_stretch_keeps_everything_and_fills_the_canvas() -> None:
    framed = Framing(height_px=64, width_px=96, fit="stretch").apply(stripes(100, 300, across=True))
    np.testing.assert_allclose(framed[:, [4, 48, 91]], np.broadcast_to(np.eye(3), (64, 3, 3)), atol=0.02)


def test_picture_of_the_right_size_is_untouched() -> None:
    noise = np.random.default_rng(1).random((80, 96, 3), dtype=np.float32)
    for fit in ("crop", "pad", "stretch"):
        np.testing.assert_array_equal(Framing(height_px=80, width_px=96, fit=fit).apply(noise), noise)


def test_shrinking_averages_every_pixel_and_makes_no_moire() -> None:
    lines = np.zeros((512, 512, 3), np.float32)
    lines[::8] = 1
    np.testing.assert_allclose(Framing(height_px=64, width_px=64).apply(lines), 1 / 8, atol=1e-6)


@pytest.mark.parametrize("size", [(63, 256), (256, 1025), (0, 0)])
def test_size_out_of_range_is_refused_by_name(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"size=\d+x\d+: not allowed"):
        Framing(height_px=size[0], width_px=size[1])


def test_unknown_fit_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="fit=contain: not allowed"):
        Framing(fit="contain")  # type: ignore[arg-type]
