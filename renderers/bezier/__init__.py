"""Semi-transparent quadratic Bézier strokes, after Learning to Paint (Huang, Heng and Zhou, ICCV 2019).

A stroke is 13 numbers: three control points, a radius and an opacity at both ends, a colour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from renderers.begun import begun_arrays, begun_canvas
from renderers.bezier.along import fit_along
from renderers.bezier.config import BezierConfig as Config
from renderers.bezier.fit import aspect_of, bezier_brief, fit, worth_px
from renderers.bezier.precedence import subject_first
from renderers.distance import stroke_distances
from renderers.family import Renderer
from renderers.pace import by_logarithm, pace_along
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram
from renderers.raster.ribbon import NUM_COLUMNS, R0, R2, X0, grid
from renderers.raster.stamp import draw_all, new_scratch
from renderers.shrink import shrink
from renderers.things.saliency import rough_saliency
from renderers.time_line import TimeLine

__all__ = ["RENDERER", "Config"]


class BezierRenderer(Renderer):
    """The family `bezier`."""

    config_type = Config

    def paint(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        """Paint a (H, W, 3) float32 RGB image in [0, 1] with `config.num_strokes` strokes."""
        if config.device != "cpu":
            return self.paint_batch([image], config, [seed])[0]
        return self._painting(self.plan(image, config, seed))

    def plan(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> StrokeProgram:  # fmt: skip
        """The strokes alone, for callers that do not need the distance after each of them; on the CPU."""
        saliency = rough_saliency(image)
        strokes = fit(image, config, np.random.Generator(np.random.PCG64(seed)), saliency)
        strokes = strokes[subject_first(strokes, saliency, config.attention)]
        height, width = image.shape[:2]
        return StrokeProgram(family="bezier", strokes=strokes, canvas=config.canvas, height_px=height, width_px=width)

    def follows(self, config: Config, *, begun: bool = False) -> bool:
        """Only on the CPU."""
        return config.device == "cpu"

    def follow(
        self, image: Image, time_line: TimeLine, config: Config, seed: np.random.SeedSequence,
        assets: Assets = NO_ASSETS,
    ) -> Painting:  # fmt: skip
        """Paint an image in a painter's order; see `renderers.bezier.along`."""
        short_px = round(worth_px(config.num_strokes, aspect_of(image)))
        small, begun = shrink(image, short_px), time_line.begun
        brief = bezier_brief(small, config)
        if begun is not None:
            brief = replace(brief, blank=shrink(begun, short_px))
        rng = np.random.Generator(np.random.PCG64(seed))
        strokes, _ = fit_along(brief, time_line.states(small), time_line.progress, config.effort, rng)
        height, width = image.shape[:2]
        program = StrokeProgram(
            family="bezier", strokes=strokes, canvas=config.canvas, height_px=height, width_px=width,
            arrays=begun_arrays(begun),
        )  # fmt: skip
        distances = self._distances(program)
        return Painting(program=program, distances=distances, pace=pace_along(time_line, distances))

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The (height, width, 3) canvas after each of the given steps (ascending; 0 is the blank canvas)."""
        height, width = size_px or (program.height_px, program.width_px)
        strokes = program.rows(NUM_COLUMNS, lengths=slice(X0, R2 + 1), radii=slice(R0, R2 + 1))
        pixels, scratch, done = _blank(program, height, width), new_scratch(grid(height, width)), 0
        for step in steps:
            draw_all(strokes[done:step], grid(height, width), pixels, scratch)
            done = step
            yield pixels.reshape(height, width, 3).copy()

    def gains_by_batches(self, config: Config) -> bool:
        """Only on a GPU."""
        return config.device != "cpu"

    def paint_batch(
        self, images: Sequence[Image], config: Config, seeds: Sequence[np.random.SeedSequence],
        assets: Assets = NO_ASSETS, known: Sequence[Knowledge] = (),
    ) -> list[Painting]:  # fmt: skip
        """Paint (H, W, 3) float32 RGB images of one size in [0, 1], on a GPU all at once.

        Raises:
            MemoryError: if the GPU has too little.
        """
        if config.device == "cpu":
            return [self.paint(image, config, seed) for image, seed in zip(images, seeds, strict=True)]
        from renderers.bezier.gpu.batch import plan_batch

        programs = plan_batch(images, config, seeds)
        return [
            self._painting(replace(program, strokes=_in_painting_order(program.strokes, image, config.attention)))
            for program, image in zip(programs, images, strict=True)
        ]

    def replay_batch(
        self, programs: Sequence[StrokeProgram], steps: Sequence[Sequence[int]], config: Config
    ) -> list[list[Image]]:
        """The canvases of each program after each of its steps; on a GPU all at once, with equally many steps each.

        Raises:
            MemoryError: if the GPU has too little.
        """
        if config.device == "cpu":
            return [list(self.replay(program, chosen)) for program, chosen in zip(programs, steps, strict=True)]
        from renderers.bezier.gpu.batch import canvases_of

        return canvases_of(programs, steps, config.device)

    def device(self, config: Config) -> str:
        """Where strokes are placed, refined and painted."""
        return config.device

    def reads_depth(self, config: Config) -> bool:
        """Never."""
        return False

    def ground(self, config: Config) -> tuple[float, float, float]:
        """The blank canvas."""
        return config.canvas

    def _painting(self, program: StrokeProgram) -> Painting:
        distances = self._distances(program)
        return Painting(program=program, distances=distances, pace=by_logarithm(distances))

    def _distances(self, program: StrokeProgram) -> NDArray[np.float64]:
        height, width = program.height_px, program.width_px
        (finished,) = self.replay(program, [len(program.strokes)])
        return stroke_distances(
            program.strokes, grid(height, width), _blank(program, height, width), finished.reshape(-1)
        )


RENDERER = BezierRenderer()


def _in_painting_order(strokes: NDArray[np.float32], image: Image, attention: float) -> NDArray[np.float32]:
    return strokes[subject_first(strokes, rough_saliency(image), attention)]


def _blank(program: StrokeProgram, height: int, width: int) -> Image:
    begun = begun_canvas(program, height, width)
    return np.tile(np.array(program.canvas, np.float32), height * width) if begun is None else begun.reshape(-1)
