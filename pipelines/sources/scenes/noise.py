"""Smooth random fields that look the same at every canvas size."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""(H, W) float32."""

_SIZE = 256


@lru_cache(maxsize=1)
def _lattice() -> Field:
    """The random values that all fields share; a seed chooses where in the lattice a field begins."""
    return (np.random.default_rng(7).random((_SIZE, _SIZE), np.float32) * 2 - 1) * 1.4


def value_noise(height: int, width: int, cell_y_px: float, cell_x_px: float, seed: int) -> Field:
    """One octave of smooth noise, about [-1, 1]; cells finer than the pixels can show fade to zero."""
    fade = min(1.0, (min(cell_y_px, cell_x_px) - 1.0) / 1.5)
    if fade <= 0.0:
        return np.zeros((height, width), np.float32)
    rows, columns = int(height / cell_y_px) + 4, int(width / cell_x_px) + 4
    top, left = seed % 251, seed // 251 % 241
    patch = _lattice().take(range(top, top + rows), 0, mode="wrap").take(range(left, left + columns), 1, mode="wrap")
    size = (max(width + 2, round(columns * cell_x_px)), max(height + 2, round(rows * cell_y_px)))
    field = cv2.resize(patch, size, interpolation=cv2.INTER_CUBIC)
    y, x = min(round(cell_y_px), size[1] - height), min(round(cell_x_px), size[0] - width)
    return np.asarray(field[y : y + height, x : x + width] * np.float32(fade), np.float32)


def fractal_noise(
    height: int, width: int, cell_px: float, seed: int, octaves: int = 4, stretch: float = 1.0, gain: float = 0.5
) -> Field:
    """Several octaves of noise, about [-1, 1].

    Args:
        height, width: size of the field.
        cell_px: height of the coarsest cells; each octave halves it.
        seed: chooses the field.
        octaves: the most octaves.
        stretch: ratio of the cells' width to their height.
        gain: ratio of the weight of each octave to that of the coarser one.
    """
    field = np.zeros((height, width), np.float32)
    weight, total = 1.0, 0.0
    for octave in range(octaves):
        cell = cell_px / 2**octave
        if octave and min(cell, cell * stretch) < 1.2:
            break
        field += np.float32(weight) * value_noise(height, width, cell, cell * stretch, seed + 7919 * octave)
        total += weight**2
        weight *= gain
    field *= np.float32(1 / np.sqrt(total))
    return field


def ground_noise(height: int, width: int, unit_px: float, cells: float, seed: int, stretch: float = 3.0) -> Field:
    """Noise lying on a plane seen in perspective: (height, width) from the horizon to the viewer, about [-1, 1].

    Args:
        height, width: size of the field; row 0 is the horizon.
        unit_px: shorter side of the canvas.
        cells: number of cells across `unit_px` at the near edge.
        seed: chooses the field.
        stretch: ratio of the cells' width to their height where the plane is near.
    """
    below = (np.arange(height, dtype=np.float32) + 1.0) / unit_px
    near = max(height / unit_px, 0.15)
    scale = near / (below + 0.06 * near)
    depth = cells * stretch * near * np.log(below + 0.06 * near)
    across = (np.arange(width, dtype=np.float32) - width / 2) / unit_px
    map_x = cells * across[None, :] * scale[:, None] + seed % 251
    map_y = np.repeat(depth[:, None], width, 1) + seed // 251 % 241
    wrapped_x = np.mod(map_x, _SIZE).astype(np.float32)
    wrapped_y = np.mod(map_y, _SIZE).astype(np.float32)
    field = cv2.remap(_lattice(), wrapped_x, wrapped_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cell_px = unit_px / (cells * scale * stretch)
    fade = np.clip((cell_px - 0.8) / 1.5, 0.0, 1.0).astype(np.float32)
    return np.asarray(field * fade[:, None], np.float32)
