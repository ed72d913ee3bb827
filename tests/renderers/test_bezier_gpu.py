"""Placing and refining many pictures at once, run here on the CPU through the same code."""

import numpy as np
import pytest
import torch

from renderers.bezier import Config
from renderers.bezier.fit import bezier_brief as brief_of
from renderers.bezier.fit import fit, limits_of, search_of
from renderers.bezier.gpu import fit as fitting
from renderers.bezier.gpu.draws import draw, picture_keys, uniform
from renderers.bezier.gpu.fit import fit_batch
from renderers.bezier.gpu.place import place, ranges
from renderers.bezier.gpu.score import pyramid_of, score
from renderers.bezier.gpu.shrink import shrink_batch, shrink_to_levels
from renderers.painting import Image
from renderers.quality import psnr_db
from renderers.raster.ribbon import Floats, grid
from renderers.raster.stamp import draw_all, new_scratch
from renderers.shrink import shrink
from tests.renderers.pictures import landscape
from tests.renderers.strokes import gentle_strokes

CPU = torch.device("cpu")
CONFIG = Config(preset="fast", num_strokes=60)


def seeds(*numbers: int) -> list[np.random.SeedSequence]:
    return [np.random.SeedSequence(number) for number in numbers]


def painted(strokes: Floats, height: int, width: int) -> Image:
    canvas = np.ones(3 * height * width, np.float32)
    draw_all(np.ascontiguousarray(strokes), grid(height, width), canvas, new_scratch(grid(height, width)))
    return canvas.reshape(height, width, 3)


def test_batches_paint_as_well_as_the_kernels() -> None:
    """Within 0.3 dB, at the end and after a fifth of the strokes, over four seeds."""
    image = landscape(64, 64)
    together = fit_batch([image] * 4, CONFIG, seeds(0, 1, 2, 3), CPU)
    alone = [fit(image, CONFIG, np.random.default_rng(number)) for number in range(4)]
    for count in (12, 60):
        batch_db, kernel_db = (
            np.mean([psnr_db(painted(strokes[:count], 64, 64), image) for strokes in some])
            for some in (together, alone)
        )
        assert batch_db > kernel_db - 0.3


def test_a_picture_is_painted_alike_whatever_else_is_in_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [landscape(64, 80), np.ascontiguousarray(landscape(64, 80)[::-1])]
    together = fit_batch(images, CONFIG, seeds(5, 6), CPU)
    monkeypatch.setattr(fitting, "_MOST_STROKES", 1)  # every picture on its own
    for strokes, alone in zip(together, fit_batch(images, CONFIG, seeds(5, 6), CPU), strict=True):
        assert np.abs(strokes - alone).max() < 1e-3
    assert np.abs(together[0] - fit_batch(images[:1], CONFIG, seeds(7), CPU)[0]).max() > 0.1
    assert fit_batch([], CONFIG, [], CPU) == []


def test_strokes_stay_within_their_limits() -> None:
    image = landscape(64, 96)
    config = Config(preset="fast", num_strokes=20, opaque=True)
    low, high = (np.array(ends, np.float32) for ends in ranges(limits_of(brief_of(image, config))))
    (strokes,) = fit_batch([image], config, seeds(0), CPU)
    assert strokes.shape == (20, 13) and (strokes >= low).all() and (strokes <= high).all()
    assert (strokes[:, 8:10] == 1).all()


def test_placement_paints_its_strokes_onto_every_level() -> None:
    """What is left on the pyramid is what the kernels paint of the strokes, where windows hold them whole."""
    image, config = landscape(64, 80), Config(preset="fast", num_strokes=40)
    pyramid = pyramid_of(shrink_to_levels(torch.from_numpy(image[None]), 64), (1.0, 1.0, 1.0))
    brief = brief_of(image, config)
    keys = picture_keys(seeds(3), CPU)
    strokes = place(pyramid, brief.radii, search_of(brief, config.effort), limits_of(brief), keys)[0].numpy()
    for level in pyramid.levels:
        pixels = slice(level.start, level.start + level.height * level.width)
        canvas = pyramid.canvases[0, pixels].view(level.height, level.width, 3).numpy()
        assert np.abs(canvas - painted(strokes, level.height, level.width)).mean() < 2e-3


def test_a_score_is_what_painting_takes_off_the_error() -> None:
    target = landscape(24, 32)
    pyramid = pyramid_of([torch.from_numpy(target[None])], (1.0, 1.0, 1.0))
    small = gentle_strokes(12, 24, 32, seed=2)
    centre = small[:, :6].reshape(-1, 3, 2).mean(1, keepdims=True)
    small[:, :6] = (centre + 0.4 * (small[:, :6].reshape(-1, 3, 2) - centre)).reshape(-1, 6)
    gains, colours = score(torch.from_numpy(small)[None], pyramid, 0)
    checked = 0
    for stroke, gain, colour in zip(small, gains[0].numpy(), colours[0].numpy(), strict=True):
        if gain < 0:
            continue
        stroke[10:] = colour
        before, after = (((canvas - target) ** 2).sum() for canvas in (1.0, painted(stroke[None], 24, 32)))
        assert gain == pytest.approx((before - after) / 24**2, abs=2e-4)
        checked += 1
    assert checked > 3


@pytest.mark.parametrize(("height", "width", "short_px"), [(64, 80, 32), (64, 80, 25), (100, 61, 16), (64, 64, 64)])
def test_pictures_are_averaged_down_as_opencv_does(height: int, width: int, short_px: int) -> None:
    image = landscape(height, width)
    small = shrink_batch(torch.from_numpy(np.stack([image, image[::-1]])), short_px)
    assert np.abs(small[0].numpy() - shrink(image, short_px)).max() < 1e-3
    assert small.shape[1:] == shrink(image, short_px).shape


def test_random_numbers_follow_from_picture_and_stroke_alone() -> None:
    keys = picture_keys(seeds(0, 1), CPU)
    numbers = uniform(keys, 0, 40, 500)
    assert torch.equal(uniform(keys[1:], 30, 10, 500)[:, 0], numbers[30:, 1])
    assert numbers.min() >= 0 and numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=0.01) and numbers.var() == pytest.approx(1 / 12, abs=0.002)
    ordered = numbers.flatten().sort().values
    even = torch.arange(1, len(ordered) + 1) / len(ordered)
    assert (ordered - even).abs().max() < 1.63 / len(ordered) ** 0.5  # Kolmogorov and Smirnov, one in a hundred
    together = np.corrcoef(numbers.permute(1, 0, 2).reshape(2, -1).numpy())[0, 1]
    neighbours = np.corrcoef(numbers[:, 0, 1:].flatten(), numbers[:, 0, :-1].flatten())[0, 1]
    assert abs(together) < 0.03 and abs(neighbours) < 0.03
    draws = draw(keys, np.full(40, 0.1, np.float32), 0, search_of(brief_of(landscape(64, 64), CONFIG), CONFIG.effort))
    steps = draws.reaching[..., :2][draws.reaching[..., :2] != 0]
    assert steps.std() == pytest.approx(1.0, abs=0.05) and steps.mean() == pytest.approx(0.0, abs=0.05)
    changed = [(draws.reaching[..., :6] != 0), (draws.reaching[..., 6:8] != 0), (draws.fixed[..., 8:10] != 0)]
    shares = [kind.any(-1).float().mean().item() for kind in changed]
    assert shares == pytest.approx([4 / 6, 1 / 6, 1 / 6], abs=0.03)


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        fit_batch([landscape(64, 64), landscape(64, 80)], CONFIG, seeds(0, 1), CPU)
