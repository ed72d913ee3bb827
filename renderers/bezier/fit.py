"""The planner: from an image to a stroke program. Place coarse to fine, then refine all strokes together."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.bezier.config import BezierConfig, Effort
from renderers.bezier.place import MAX_CELLS, NO_ATTENTION, Guide, Limits, Pyramid, Search, level_grid, place
from renderers.bezier.refine import Moments, Rates, refine
from renderers.bezier.transport import transport_pull
from renderers.painting import Image
from renderers.raster.gradient import Loss
from renderers.raster.ribbon import NUM_COLUMNS, RED, Floats, grid
from renderers.raster.stamp import draw_all, new_scratch
from renderers.shrink import shrink, shrunk_size

# All were found by a random search over three photographs, maximising PSNR for a given time (docs/decisions/003).
_RADIUS_FIRST, _RADIUS_LAST, _RADIUS_POWER = 0.21, 0.0065, 0.23
_ATTENTION = 4.0
_SCORED_RADIUS_PX = 0.45
RATES = Rates(place_px=np.float32(1.0), girth_px=np.float32(0.41), tone=np.float32(0.0425), stretch=np.float32(0.042))
_LAST_PACE = 0.32
_SOFT_FIRST_PX, _SOFT_LAST_PX = 1.65, 0.75
_MIN_OPACITY, _MIN_RADIUS_PX = 0.14, 0.5
_UNDERPAINTING_AFTER = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
UNDERPAINTING_WEIGHT = 0.04
_LEAST_PX = 16
_TRANSPORT_EVERY = 5  # refinement steps per solution of the transport problem


class Beginning(NamedTuple):
    """How the first strokes are chosen, apart from how much they reduce the error.

    Attributes:
        attention: (h, w) 0 or more, how much more errors count (see `Guide`).
        crossing: what a broad stroke is charged for crossing silhouettes (see `Search`).
    """

    attention: Floats = NO_ATTENTION
    crossing: float = 0.0


ANYHOW = Beginning()
ANYWHERE = Guide(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))
"""A guide that leaves every direction open."""


def worth_px(num_strokes: int, aspect: float) -> float:
    """The size, along the shorter side, beyond which `num_strokes` cannot show more; targets are made no larger.

    500 strokes are worth 256 x 256 px, and the area grows with their number. Fitting therefore takes the same time on
    any canvas that is large enough.

    Args:
        aspect: longer side over shorter.
    """
    return 256 * math.sqrt(num_strokes / 500 / aspect)


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What to paint, and the limits of its strokes.

    Attributes:
        target: (H, W, 3) float32 in [0, 1]: the picture, in RGB or in amounts of ink.
        blank: the colour of the canvas before the first stroke, or (H, W, 3) what is on it.
        covers: 1 for paint that hides what is below, 0 for ink that adds to it (see `Grid`).
        radii: (N,) typical radius of each stroke when placed, in units of the shorter side.
        min_opacity: of both ends of a stroke.
        lengths: half lengths of new strokes, least and most, in radii.
        guide: directions of new strokes.
        dark_to_light: order strokes of like size by lightness, before they are refined together.
        absolute: refinement minimises the sum of absolute errors instead of that of squared errors.
        transport: weight of optimal transport in the refinement (see `transport_pull`), 0 for none.
        area: share of the target that the strokes are for; the smaller it is, the larger the target may be.
        beginning: how the first strokes are chosen.
    """

    target: Image
    blank: tuple[float, float, float] | Image
    radii: Floats
    covers: float = 1.0
    min_opacity: float = _MIN_OPACITY
    lengths: tuple[float, float] = (1.0, 5.0)
    guide: Guide = ANYWHERE
    dark_to_light: bool = False
    absolute: bool = False
    transport: float = 0.0
    area: float = 1.0
    beginning: Beginning = ANYHOW

    @property
    def worth_px(self) -> float:
        """The size of the target, along the shorter side."""
        return worth_px(len(self.radii), aspect_of(self.target)) / math.sqrt(self.area)

    def ground(self, short_px: int) -> Floats:
        """What is on the canvas before the first stroke, (3n,), at the size that `shrink` gives."""
        if isinstance(self.blank, tuple):
            height, width = self.target.shape[:2]
            rows, columns = shrunk_size(height, width, min(short_px, height, width))
            return np.tile(np.array(self.blank, np.float32), rows * columns)
        return shrink(self.blank, short_px).reshape(-1).copy()


def fit(image: Image, config: BezierConfig, rng: np.random.Generator, saliency: Floats = NO_ATTENTION) -> Floats:
    """Find strokes that paint the image.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        saliency: (h, w) in [0, 1], what draws the eye; used with `config.attention`.

    Returns:
        (num_strokes, 13) strokes, coarse to fine.
    """
    return fit_brief(bezier_brief(image, config, saliency), config.effort, rng)


def bezier_brief(image: Image, config: BezierConfig, saliency: Floats = NO_ATTENTION) -> Brief:
    """The brief of the Bézier renderer; `saliency` as in `fit`."""
    return Brief(
        target=image,
        blank=config.canvas,
        radii=stroke_radii(config.num_strokes, aspect_of(image)),
        beginning=attentive(saliency, config.attention, _ATTENTION),
        min_opacity=1.0 if config.opaque else _MIN_OPACITY,
    )


def limits_of(brief: Brief) -> Limits:
    """The ranges of stroke parameters."""
    height, width = brief.target.shape[:2]
    short, worth = min(height, width), brief.worth_px
    return Limits(
        width=np.float32(width / short),
        height=np.float32(height / short),
        min_radius=np.float32(_MIN_RADIUS_PX / min(short, max(_LEAST_PX, worth))),
        min_opacity=np.float32(brief.min_opacity),
    )


def search_of(brief: Brief, effort: Effort) -> Search:
    """Settings of the search for each stroke."""
    shortest, longest = map(np.float32, brief.lengths)
    return Search(
        effort.num_candidates, effort.num_climbs, np.float32(_SCORED_RADIUS_PX), shortest, longest,
        crossing=np.float32(brief.beginning.crossing),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Steps of joint refinement at one size.

    Attributes:
        short_px: the size, along the shorter side.
        paces, softs_px: (steps,) factor on the rates, and the width of soft edges, at each step.
    """

    short_px: int
    paces: Floats
    softs_px: Floats


def stages_of(brief: Brief, effort: Effort) -> Iterator[Stage]:
    """The refinement, coarse to fine."""
    worth = brief.worth_px
    done, total = 0, sum(steps for _, steps in effort.stages)
    for share, steps in effort.stages:
        yield Stage(
            short_px=max(_LEAST_PX, round(worth * share)),
            paces=np.linspace(_fade(done / total), _fade((done + steps) / total), steps, dtype=np.float32),
            softs_px=np.linspace(_SOFT_FIRST_PX, _SOFT_LAST_PX, steps, dtype=np.float32),
        )
        done += steps


def fit_brief(brief: Brief, effort: Effort, rng: np.random.Generator) -> Floats:
    """Place strokes coarse to fine, then refine them together; returns (N, 13) strokes in painting order."""
    limits, search, stages = limits_of(brief), search_of(brief, effort), list(stages_of(brief, effort))
    guide = brief.guide._replace(attention=brief.beginning.attention)
    strokes = np.zeros((len(brief.radii), NUM_COLUMNS), np.float32)
    pyramid = build_pyramid(brief, stages[0].short_px)
    scratch, errors = new_scratch(level_grid(pyramid, 0)), np.zeros(MAX_CELLS, np.float32)
    place(strokes, brief.radii, pyramid, scratch, errors, search, limits, guide, rng)
    if brief.dark_to_light:
        strokes = _darks_first(strokes)
    for stage in stages:
        small = shrink(brief.target, stage.short_px)
        pixels = grid(small.shape[0], small.shape[1], brief.covers)
        target = small.reshape(-1)
        ground = brief.ground(stage.short_px)
        loss, moments = _loss(brief, target.size), Moments(np.zeros_like(strokes), np.zeros_like(strokes))
        steps = len(stage.paces)
        interval = _TRANSPORT_EVERY if brief.transport else steps
        for start in range(0, steps, interval):
            if brief.transport:
                canvas = ground.copy()
                draw_all(strokes, pixels, canvas, new_scratch(pixels))
                pull = transport_pull(canvas.reshape(small.shape), small)
                loss = loss._replace(more=(brief.transport * pull).astype(np.float32).reshape(-1))
            batch = slice(start, start + interval)
            refine(
                strokes, pixels, target, ground, loss, stage.paces[batch], stage.softs_px[batch], moments, start, RATES,
                limits,
            )  # fmt: skip
    return strokes


def aspect_of(image: Image) -> float:
    """Longer side over shorter."""
    height, width = image.shape[:2]
    return float(max(height, width) / min(height, width))


def attentive(saliency: Floats, attention: float, weight: float, crossing: float = 0.0) -> Beginning:
    """A beginning that favours what draws the eye and keeps within silhouettes; `ANYHOW` where `attention` is 0."""
    if not attention:
        return ANYHOW
    return Beginning(np.ascontiguousarray(np.float32(weight * attention) * saliency), crossing)


def stroke_radii(num_strokes: int, aspect: float) -> Floats:
    """Typical radius of each stroke when placed, in units of the shorter side: falling fast, then slowly.

    The last radius is for 500 strokes on a square; more strokes end smaller and fewer end larger, so that together they
    cover as much.
    """
    last = min(_RADIUS_FIRST / 2, _RADIUS_LAST * math.sqrt(aspect * 500 / num_strokes))
    share = (np.arange(num_strokes) / num_strokes) ** _RADIUS_POWER
    return (_RADIUS_FIRST * (last / _RADIUS_FIRST) ** share).astype(np.float32)


def build_pyramid(brief: Brief, finest_px: int) -> Pyramid:
    """The target at `finest_px` along its shorter side and at every half down to 16 px, beside blank canvases."""
    height, width = brief.target.shape[:2]
    sizes = pyramid_sizes(height, width, finest_px)
    levels = [shrink(brief.target, size) for size in sizes]
    targets = np.concatenate([level.reshape(-1) for level in levels])
    return Pyramid(
        targets=targets,
        canvases=np.concatenate([brief.ground(size) for size in sizes]),
        starts=np.cumsum([0, *(level.size for level in levels[:-1])]),
        heights=np.array([level.shape[0] for level in levels]),
        widths=np.array([level.shape[1] for level in levels]),
        units_px=np.array([min(level.shape[:2]) for level in levels], np.float32),
        covers=np.float32(brief.covers),
    )


def pyramid_sizes(height: int, width: int, finest_px: int) -> list[int]:
    """Shorter sides of the levels of a pyramid: `finest_px` and every half down to 16 px."""
    sizes = [min(finest_px, height, width)]
    while sizes[-1] // 2 >= _LEAST_PX:
        sizes.append(sizes[-1] // 2)
    return sizes


def _fade(share: float) -> float:
    """The pace after a share of all steps."""
    return 1.0 - (1.0 - _LAST_PACE) * share


def _darks_first(strokes: Floats) -> Floats:
    """Sort by lightness within each layer, the layers being those between under-paintings."""
    edges = [0, *(underpaintings_after(len(strokes)) + 1), len(strokes)]
    layers = [strokes[first:last] for first, last in itertools.pairwise(edges)]
    return np.concatenate([layer[np.argsort(layer[:, RED:].sum(1), kind="stable")] for layer in layers])


def underpaintings_after(num_strokes: int) -> NDArray[np.int64]:
    """Numbers of the strokes after which a canvas should look like the picture."""
    after: NDArray[np.int64] = np.unique([round(share * num_strokes) - 1 for share in _UNDERPAINTING_AFTER])
    return after[after >= 0]


def _loss(brief: Brief, size: int) -> Loss:
    after = underpaintings_after(len(brief.radii))
    pull = np.empty((len(after), size), np.float32)
    return Loss(brief.absolute, after, np.float32(UNDERPAINTING_WEIGHT), pull, np.zeros(0, np.float32))
