"""Pictures for tests of the region renderer, with the label maps of scenes."""

from functools import cache
from typing import Any

import numpy as np

from pipelines.sources.framing import Framing
from pipelines.sources.scenes.source import ScenesSource
from renderers.painting import Image, Knowledge, Painting
from renderers.region import RENDERER, Config
from renderers.region.config import RegionStrokes, SegmentChoice

TRUTH = SegmentChoice(method="truth")
FEW_STROKES = RegionStrokes(num_strokes=60)


@cache
def scene(index: int, height: int = 72, width: int = 96) -> tuple[Image, Knowledge]:
    """The picture of a scene, and its ground truth."""
    source = ScenesSource(seed=5)
    picture = source.load(source.entry(index), Framing(height_px=height, width_px=width))
    return picture.image, picture.knowledge()


def painted(index: int, seed: int = 0, **keys: Any) -> Painting:
    """A scene painted by its true regions, unless `segment` says otherwise."""
    image, known = scene(index)
    config = Config(**{"segment": TRUTH, "strokes": FEW_STROKES, **keys})
    return RENDERER.paint(image, config, np.random.SeedSequence(seed), known=known)


def canvases(painting: Painting) -> list[Image]:
    """The canvas after every step, the blank one first."""
    return list(RENDERER.replay(painting.program, range(len(painting.program.strokes) + 1)))
