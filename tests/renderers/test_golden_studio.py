"""A picture on file of washes that merge, so that programs of the studio cannot drift unnoticed."""

import sys
from pathlib import Path

import cv2
import numpy as np

from renderers.brush.canvas import program_arrays
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS
from renderers.painting import StrokeProgram, to_uint8
from renderers.raster.ribbon import NUM_COLUMNS, RED
from renderers.studio import RENDERER
from renderers.studio.media import palette_of
from tests.renderers.test_golden import STROKES

GOLDEN = Path(__file__).parents[1] / "golden" / "studio_48x64.png"
PALETTE = palette_of("watercolour")


def program(*, merges: bool = True) -> StrokeProgram:
    """The strokes of the golden Bézier picture, as washes; the last with the pencil."""
    rows = np.zeros((len(STROKES), NUM_BRUSH_COLUMNS), np.float32)
    rows[:, :NUM_COLUMNS] = STROKES
    rows[:, RED : RED + 3] *= 0.6
    rows[:, FAR_RED : FAR_RED + 3] = 0.5 * rows[:, RED : RED + 3]
    rows[:, MARK] = np.linspace(0, PALETTE.texture.num_variants - 1, len(rows)).astype(int)
    arrays = program_arrays(PALETTE.texture, PALETTE.medium.density, 0.0, merges=merges)
    return StrokeProgram(
        family="studio", strokes=rows, canvas=PALETTE.medium.canvas, height_px=48, width_px=64, arrays=arrays
    )


def painted(*, merges: bool = True) -> np.ndarray:
    return to_uint8(next(iter(RENDERER.replay(program(merges=merges), [len(STROKES)]))))


def test_washes_look_as_they_always_did() -> None:
    golden = cv2.cvtColor(cv2.imread(str(GOLDEN)), cv2.COLOR_BGR2RGB)
    assert golden.shape == (48, 64, 3)
    assert np.abs(painted().astype(int) - golden).max() <= 1


def test_washes_that_merge_are_no_darker_than_the_darkest_of_them_and_others_add_up() -> None:
    merged, added = painted().astype(int), painted(merges=False).astype(int)
    assert (added <= merged + 1).all()
    assert (merged - added).max() > 20
    darkest = np.exp(-PALETTE.medium.density * max(program().strokes[:, RED : RED + 3].max(), 0.0))
    assert merged.min() >= np.floor(255 * 0.9 * darkest)


if __name__ == "__main__" and "--renew" in sys.argv:  # python -m tests.renderers.test_golden_studio --renew
    cv2.imwrite(str(GOLDEN), cv2.cvtColor(painted(), cv2.COLOR_RGB2BGR))
