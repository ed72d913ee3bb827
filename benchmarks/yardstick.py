"""The unit of time: 1,000 strokes of LearningToPaint's exact kind, drawn with OpenCV on one thread.

Machines differ, and their speed changes with time; the ratio to work of the same kind in the same minute does not.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import time

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)

_WIDTH = 128


def draw_discs(stroke: NDArray[np.float64]) -> NDArray[np.float32]:
    """One stroke as 100 filled discs on a canvas of twice the size; later discs overwrite earlier ones."""
    x0, y0, x1, y1, x2, y2, z0, z2, w0, w2 = stroke
    x1, y1 = x0 + (x2 - x0) * x1, y0 + (y2 - y0) * y1
    size = 2 * _WIDTH
    canvas = np.zeros((size, size), np.float32)
    for t in np.arange(100) / 100:
        x = (1 - t) ** 2 * x0 + 2 * t * (1 - t) * x1 + t * t * x2
        y = (1 - t) ** 2 * y0 + 2 * t * (1 - t) * y1 + t * t * y2
        radius = int(1 + ((1 - t) * z0 + t * z2) * _WIDTH // 2)
        cv2.circle(canvas, (int(y * size), int(x * size)), radius, float((1 - t) * w0 + t * w2), -1)
    mask: NDArray[np.float32] = cv2.resize(canvas, (_WIDTH, _WIDTH))
    return mask


def yardstick_s(num_strokes: int = 1000) -> float:
    """CPU-seconds that the strokes take."""
    strokes = np.random.default_rng(0).uniform(0, 1, (num_strokes, 10))
    start = time.process_time()
    for stroke in strokes:
        draw_discs(stroke)
    return time.process_time() - start
