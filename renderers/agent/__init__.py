"""The learned agent of Learning to Paint (Huang, Heng and Zhou, ICCV 2019), with the exact strokes that it learned.

An actor, a network, sees the canvas and the picture and paints five strokes; then it looks again. It paints on a square
of the size that it was trained on; its strokes are numbers in units of the canvas, so they are drawn at the size of the
picture. With `divide`, the first half of the steps covers the whole canvas, and in the second half each of the tiles
is painted as a canvas of its own, side by side.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.agent.config import MOST_TILES
from renderers.agent.config import AgentConfig as Config
from renderers.distance import distances_from_energies, lowpass_energies
from renderers.family import AssetFile, Renderer
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram
from renderers.raster.discs import paint_discs
from renderers.raster.ribbon import NUM_COLUMNS, Floats

__all__ = ["RENDERER", "Actor", "Config"]

Actor = Callable[[Floats, Floats, float], Floats]
"""Canvases and pictures (B, 3, W, W) BGR in [0, 1], and the share of the steps that are done: (B, 5, 13) strokes."""

_CELL_PX, _TRIAL_PX = 8, 64

_TOP, _LEFT, _SIDE = NUM_COLUMNS, NUM_COLUMNS + 1, NUM_COLUMNS + 2
"""Columns after a stroke's 13 numbers: the square that they are relative to, in shares of the canvas."""


class AgentRenderer(Renderer):
    """The family `agent`."""

    config_type = Config

    def paint(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        """Paint a (H, W, 3) float32 RGB image in [0, 1]. Nothing is random: the seed changes nothing.

        Args:
            assets: what `asset_files` names: a handle whose `load` gives the `Actor`.
        """
        program = self.plan(image, config, seed, assets)
        return Painting(program=program, distances=self._distances(program))

    def plan(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> StrokeProgram:  # fmt: skip
        """The strokes alone, for callers that do not need the distance after each of them."""
        height, width = image.shape[:2]
        actor: Actor = assets["actor"].load()
        rows = _strokes(image, config, actor, np.zeros((0, _SIDE + 1), np.float32), 1)
        if config.divide > 1:
            rows = np.vstack([rows, _strokes(image, config, actor, rows, config.divide)])
        return StrokeProgram(family="agent", strokes=rows, canvas=config.canvas, height_px=height, width_px=width)

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The (height, width, 3) canvas after each of the given steps (ascending; 0 is the blank canvas).

        Strokes are drawn on a square of the longer side, which is then squeezed to the shorter, as the actor saw it.
        """
        height, width = size_px or (program.height_px, program.width_px)
        rows = program.rows(_SIDE + 1)
        tiles = _num_tiles(rows)
        side_px = -(-max(height, width) // tiles) * tiles
        canvas, done = _blank(program.canvas, side_px), 0
        for step in steps:
            _draw(rows[done:step], canvas)
            done = step
            resized = canvas if (height, width) == canvas.shape[:2] else _resized(canvas, height, width)
            yield np.ascontiguousarray(resized[..., ::-1])

    def reads_depth(self, config: Config) -> bool:
        """Never."""
        return False

    def ground(self, config: Config) -> tuple[float, float, float]:
        """The blank canvas that the actor was trained on."""
        return config.canvas

    def asset_files(self, config: Config) -> Mapping[str, AssetFile]:
        """Files that a configuration names: `actor`, the weights."""
        assert config.actor is not None  # the configuration has checked this
        return {"actor": AssetFile(key="actor", path=config.actor, kind="actor")}

    def check_assets(self, config: Config, assets: Assets) -> None:
        """Load the weights that a configuration names, and try them on a small canvas and a picture of two halves.

        Raises:
            ConfigError: if they are not usable; it names the key.
        """
        # Actors of stage=agent draw strokes for every cell, which takes minutes on a large canvas, and refuse at once a
        # width that is no multiple of their cells.
        width_px = config.width_px if config.width_px % _CELL_PX else min(config.width_px, _TRIAL_PX)
        canvas = _blank(config.canvas, width_px)
        picture = canvas.copy()
        picture[:, width_px // 2 :] = 1 - picture[:, width_px // 2 :]
        assets["actor"].load()(_cut(canvas, 1), _cut(picture, 1), 0.0)

    def _distances(self, program: StrokeProgram) -> NDArray[np.float64]:
        count = len(program.strokes)
        (finished,) = self.replay(program, [count])
        energies = np.stack(
            [
                lowpass_energies((canvas - finished).astype(np.float64))
                for canvas in self.replay(program, range(count + 1))
            ]
        )
        distances = distances_from_energies(energies, energies[0], finished[..., 0].size)
        distances[-1] = 0.0
        return distances


RENDERER = AgentRenderer()


def _strokes(image: Image, config: Config, actor: Actor, before: Floats, tiles: int) -> Floats:
    """The (N, 16) strokes that the actor adds to those in `before`, in `tiles` x `tiles` squares at once."""
    side_px, num_steps = config.width_px * tiles, config.num_steps if config.divide == 1 else config.num_steps // 2
    canvas = _blank(config.canvas, side_px)
    _draw(before, canvas)
    pictures = _cut(_resized(image, side_px, side_px)[..., ::-1], tiles)
    corners = np.mgrid[:tiles, :tiles].reshape(2, -1).T / tiles
    rows: list[Floats] = []
    for step in range(num_steps):
        strokes = actor(_cut(canvas, tiles), pictures, step / num_steps)
        places = np.concatenate([corners, np.full((len(corners), 1), 1 / tiles)], 1).astype(np.float32)
        squares = np.broadcast_to(places[:, None], (*strokes.shape[:2], 3))
        # The first stroke of every tile, then the second: the whole canvas advances together.
        interleaved = np.concatenate([strokes, squares], 2).transpose(1, 0, 2).reshape(-1, _SIDE + 1)
        _draw(interleaved, canvas)
        rows.append(interleaved)
    return np.concatenate(rows).astype(np.float32)


def _num_tiles(rows: Floats) -> int:
    """The most squares along a side of the canvas.

    Raises:
        ValueError: if a square is not one of a canvas that was divided.
    """
    squares = np.unique(rows[:, _TOP:], axis=0)
    corners, sides = squares[:, :2], squares[:, 2:]
    if not ((corners >= 0) & (corners < 1) & (sides >= np.float32(1 / MOST_TILES)) & (sides <= 1)).all():
        raise ValueError("strokes in squares that are outside the canvas or too small")
    if len(squares) > 1 + MOST_TILES**2:
        raise ValueError(f"strokes in {len(squares)} different squares")
    return max((round(1 / float(side)) for side in np.unique(sides)), default=1)


def _draw(rows: Floats, canvas: Floats) -> None:
    """Paint (N, 16) rows onto a (S, S, 3) BGR canvas in place; squares of the same size do not overlap."""
    for side in -np.unique(-rows[:, _SIDE]):  # whole canvas first: tiles come later in any painting
        same = rows[rows[:, _SIDE] == side]
        side_px = round(float(side) * len(canvas))
        for top, left in np.unique(same[:, [_TOP, _LEFT]], axis=0):
            strokes = same[(same[:, _TOP] == top) & (same[:, _LEFT] == left), :NUM_COLUMNS]
            first_row, first_column = round(float(top) * len(canvas)), round(float(left) * len(canvas))
            square = canvas[first_row : first_row + side_px, first_column : first_column + side_px]
            square[:] = paint_discs(strokes, square)


def _blank(colour: tuple[float, float, float], side_px: int) -> Floats:
    """A blank canvas, (S, S, 3) BGR."""
    return np.tile(np.array(colour[::-1], np.float32), (side_px, side_px, 1))


def _cut(canvas: Floats, tiles: int) -> Floats:
    """A (K W, K W, 3) canvas as (K K, 3, W, W) tiles, row by row."""
    side_px = len(canvas) // tiles
    rows = canvas.reshape(tiles, side_px, tiles, side_px, 3)
    return np.ascontiguousarray(rows.transpose(0, 2, 4, 1, 3).reshape(-1, 3, side_px, side_px), np.float32)


def _resized(image: Image, height: int, width: int) -> Image:
    smaller = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized: Image = np.asarray(cv2.resize(image, (width, height), interpolation=method), np.float32)
    return resized
