"""A program of textured strokes on its ground: stored, painted again at any size, measured step by step."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renderers.begun import begun_canvas
from renderers.brush.ground import plain, xuan
from renderers.brush.stroke import NUM_BRUSH_COLUMNS, Marks, lay_all, marks_of, new_brush_scratch, trace
from renderers.brush.texture import BrushTexture
from renderers.distance import Ledger, new_ledger
from renderers.painting import Image, StrokeProgram
from renderers.raster.ribbon import R0, R2, X0, Grid, grid

_LARGEST_STORED = 100


def program_arrays(
    texture: BrushTexture, density: float, relief: float, *, merges: bool = False
) -> dict[str, NDArray[Any]]:
    """Arrays that a program of textured strokes stores besides its strokes.

    Args:
        texture: marks of its brushes.
        density: what full ink absorbs, in nepers; 0 for paint that covers.
        relief: 0 for flat paint to 1 for thick paint.
        merges: whether ink flows into the ink that it meets, as washes do, instead of adding to it.
    """
    return {
        **texture.to_arrays(),
        **({"merges": np.array(True)} if merges else {}),
        "density": np.array(density, np.float32),
        "relief": np.array(relief, np.float32),
    }


def replay(program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None) -> Iterator[Image]:
    """The (height, width, 3) canvas after each of the given steps (ascending; 0 is the bare canvas or paper)."""
    height, width = size_px or (program.height_px, program.width_px)
    strokes = program.rows(NUM_BRUSH_COLUMNS, lengths=slice(X0, R2 + 1), radii=slice(R0, R2 + 1))
    marks, density = _marks(program), _density(program)
    pixels = _grid(program, height, width)
    ground, layer = _ground(program, height, width), _bare(program, height, width)
    scratch, done = new_brush_scratch(pixels), 0
    for step in steps:
        lay_all(strokes[done:step], pixels, marks, layer, scratch)
        done = step
        yield _visible(layer, ground, density).reshape(height, width, 3)


def step_distances(program: StrokeProgram) -> NDArray[np.float64]:
    """(N + 1,) distances from the finished canvas, as `Painting.distances`."""
    return ledger_of(program).distances(program.height_px * program.width_px)


def ledger_of(program: StrokeProgram) -> Ledger:
    """The ledger of what every stroke changes, from the first to the last."""
    height, width = program.height_px, program.width_px
    density, marks = np.float32(_density(program)), _marks(program)
    pixels = _grid(program, height, width)
    ground, layer = _ground(program, height, width), _bare(program, height, width)
    scratch = new_brush_scratch(pixels)
    lay_all(program.strokes, pixels, marks, layer, scratch)
    finished = _visible(layer, ground, float(density))
    ledger = new_ledger(ground, finished, pixels, len(program.strokes))
    trace(
        program.strokes, pixels, marks, _bare(program, height, width), ground, density, ground.copy(), finished,
        scratch, ledger,
    )  # fmt: skip
    return ledger


def _marks(program: StrokeProgram) -> Marks:
    return marks_of(BrushTexture.from_arrays(dict(program.arrays)), _stored_number(program, "relief"))


def _density(program: StrokeProgram) -> float:
    """Absorption of full ink; 0 for paint that covers."""
    return _stored_number(program, "density")


def _stored_number(program: StrokeProgram, name: str) -> float:
    """A number that is stored with a program.

    Raises:
        ValueError: if it is missing, or not one that any program stores.
    """
    stored = program.arrays.get(name)
    if stored is None or stored.shape != () or not 0 <= (value := float(stored)) <= _LARGEST_STORED:
        raise ValueError(f"the program's {name} is missing, or not from 0 to {_LARGEST_STORED}")
    return value


def _grid(program: StrokeProgram, height: int, width: int) -> Grid:
    """The grid on which paint covers what is there or merges with it, or else adds to it."""
    return grid(height, width, covers=float(_density(program) == 0.0 or "merges" in program.arrays))


def _ground(program: StrokeProgram, height: int, width: int) -> NDArray[np.float32]:
    """The visible canvas before the first stroke, (3n,)."""
    if (begun := begun_canvas(program, height, width)) is not None:
        return begun.reshape(-1)
    make = xuan if _density(program) > 0 else plain
    return make(program.canvas, height, width).reshape(-1)


def _bare(program: StrokeProgram, height: int, width: int) -> NDArray[np.float32]:
    """The layer that strokes are laid on, (3n,): empty for ink, else the canvas itself."""
    if _density(program) > 0:
        return np.zeros(3 * height * width, np.float32)
    return _ground(program, height, width)


def _visible(layer: NDArray[np.float32], ground: NDArray[np.float32], density: float) -> NDArray[np.float32]:
    """The visible canvas, (3n,): the layer of paint, or the ground through the layer of ink (Beer and Lambert)."""
    if density == 0.0:
        return layer.copy()
    visible: NDArray[np.float32] = ground * np.exp(np.float32(-density) * layer)
    return visible
