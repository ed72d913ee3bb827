"""The planner for many pictures at once: place coarse to fine, then refine all strokes together.

It follows `renderers.bezier.fit`, with the same numbers.
"""

from collections.abc import Sequence

import numpy as np
import torch

from renderers.bezier.config import BezierConfig
from renderers.bezier.fit import (
    RATES,
    UNDERPAINTING_WEIGHT,
    bezier_brief,
    limits_of,
    search_of,
    stages_of,
    underpaintings_after,
)
from renderers.bezier.gpu.draws import picture_keys
from renderers.bezier.gpu.place import place
from renderers.bezier.gpu.refine import Aim, refine
from renderers.bezier.gpu.score import pyramid_of
from renderers.bezier.gpu.shrink import shrink_batch, shrink_to_levels
from renderers.painting import Image
from renderers.raster.ribbon import Floats

_MOST_STROKES = 1 << 17  # of all pictures that are placed together: random numbers alone take 1 kB a stroke


def fit_batch(
    images: Sequence[Image], config: BezierConfig, seeds: Sequence[np.random.SeedSequence], device: torch.device
) -> list[Floats]:
    """Find strokes that paint each image.

    Args:
        images: (H, W, 3) float32 RGB in [0, 1], all of one size.
        seeds: one for each image. Apart from rounding, its strokes do not depend on what else is in the batch.

    Returns:
        (num_strokes, 13) strokes in painting order, for each image.

    Raises:
        ValueError: if the images differ in size.
    """
    if len({image.shape for image in images}) > 1:
        raise ValueError("the images of a batch differ in size")
    batch_size = max(1, _MOST_STROKES // config.num_strokes)
    strokes: list[Floats] = []
    for first in range(0, len(images), batch_size):
        batch = slice(first, first + batch_size)
        strokes += list(_fit_together(images[batch], config, seeds[batch], device).cpu().numpy())
    return strokes


def _fit_together(
    images: Sequence[Image], config: BezierConfig, seeds: Sequence[np.random.SeedSequence], device: torch.device
) -> torch.Tensor:
    brief = bezier_brief(images[0], config)
    limits, search, stages = limits_of(brief), search_of(brief, config.effort), list(stages_of(brief, config.effort))
    pictures = torch.from_numpy(np.stack(images)).to(device)
    pyramid = pyramid_of(shrink_to_levels(pictures, stages[0].short_px), config.canvas)
    strokes = place(pyramid, brief.radii, search, limits, picture_keys(seeds, device))
    steps = [*(underpaintings_after(config.num_strokes) + 1).tolist(), config.num_strokes]
    weights = [UNDERPAINTING_WEIGHT] * (len(steps) - 1) + [1.0]
    for stage in stages:
        aim = Aim(
            targets=shrink_batch(pictures, stage.short_px),
            blank=torch.tensor(config.canvas, dtype=torch.float32, device=device),
            steps=torch.tensor(steps, device=device),
            weights=torch.tensor(weights, device=device),
        )
        strokes = refine(strokes, aim, stage.paces, stage.softs_px, RATES, limits)
    return strokes
