"""A picture on file, so that the rasteriser cannot drift unnoticed."""

import sys
from pathlib import Path

import cv2
import numpy as np

from renderers.bezier import RENDERER
from renderers.painting import StrokeProgram, to_uint8

GOLDEN = Path(__file__).parents[1] / "golden" / "bezier_48x64.png"

# x0 y0 x1 y1 x2 y2 radii opacities RGB, in units of the shorter side (48 px); the canvas is 4/3 wide.
STROKES = [
    [0.10, 0.15, 0.60, 0.05, 1.25, 0.20, 0.10, 0.14, 1.00, 0.60, 0.45, 0.65, 0.90],  # tapering, slightly bent
    [0.00, 0.95, 0.65, 0.55, 1.35, 0.95, 0.20, 0.10, 0.90, 0.90, 0.20, 0.45, 0.20],  # an arch, partly off the canvas
    [0.20, 0.80, 0.55, 0.10, 0.75, 0.75, 0.04, 0.02, 1.00, 0.30, 0.80, 0.20, 0.15],  # well bent, fading
    [0.90, 0.40, 0.90, 0.40, 0.90, 0.40, 0.12, 0.12, 0.70, 0.70, 0.98, 0.85, 0.30],  # a dot
    [0.90, 0.40, 1.00, 0.50, 1.10, 0.60, 0.03, 0.01, 0.50, 1.00, 0.10, 0.10, 0.30],  # straight and thin
    [1.20, -0.10, 1.30, 0.40, 1.25, 0.90, 0.015, 0.015, 1.0, 1.00, 0.30, 0.20, 0.10],  # one pixel and a half wide
]


def painted() -> np.ndarray:
    program = StrokeProgram(
        family="bezier", strokes=np.array(STROKES, np.float32), canvas=(1.0, 0.97, 0.92), height_px=48, width_px=64
    )
    return to_uint8(next(iter(RENDERER.replay(program, [len(STROKES)]))))


def test_strokes_look_as_they_always_did() -> None:
    golden = cv2.cvtColor(cv2.imread(str(GOLDEN)), cv2.COLOR_BGR2RGB)
    assert golden.shape == (48, 64, 3)
    assert np.abs(painted().astype(int) - golden).max() <= 1


def test_golden_picture_shows_every_stroke() -> None:
    """Leaving any stroke out would be noticed."""
    golden = cv2.cvtColor(cv2.imread(str(GOLDEN)), cv2.COLOR_BGR2RGB).astype(int)
    for index in range(len(STROKES)):
        fewer = np.array(STROKES[:index] + STROKES[index + 1 :], np.float32)
        program = StrokeProgram(family="bezier", strokes=fewer, canvas=(1.0, 0.97, 0.92), height_px=48, width_px=64)
        assert np.abs(to_uint8(next(iter(RENDERER.replay(program, [len(fewer)])))) - golden).max() > 20


if __name__ == "__main__" and "--renew" in sys.argv:  # python -m tests.renderers.test_golden --renew
    cv2.imwrite(str(GOLDEN), cv2.cvtColor(painted(), cv2.COLOR_RGB2BGR))
