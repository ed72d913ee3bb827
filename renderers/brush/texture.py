"""The mark of a brush: a small picture in the stroke's own coordinates, and how it is sampled.

U runs along the whole stroke, round ends included: the first column is the tip of the first cap, the last column that
of the last. V runs across it: row 0 is the edge on the left when one walks along the stroke, the last row the edge
on the right, so a stroke that runs to the right shows its texture upright on a canvas whose rows go down.
"""

import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from renderers.brush.bristle import bristle_mark
from renderers.brush.chinese import round_mark, wash_mark
from renderers.brush.kinds import BristleBrush, Brush, RoundBrush

NUM_VARIANTS, NUM_ACROSS, NUM_ALONG = 6, 48, 128


@dataclass(frozen=True, eq=False)
class BrushTexture:
    """What a brush leaves, in coordinates of the stroke: U along it (from 0 to 1), V across it (from -1 to +1).

    Attributes:
        cover: (K, V, U) uint8, share of the paint that reaches the ground, 255 = all. K marks of the same brush, so
            that strokes do not look stamped.
        relief: (K, V, U) uint8, height of the paint; 128 is its mean level.
    """

    cover: NDArray[np.uint8]
    relief: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.cover.dtype != np.uint8 or self.relief.dtype != np.uint8:
            raise ValueError(f"a brush texture is uint8, not {self.cover.dtype} and {self.relief.dtype}")
        if (
            self.cover.ndim != 3
            or self.cover.shape != self.relief.shape
            or 0 in self.cover.shape
            or min(self.cover.shape[1:]) < 2
        ):
            raise ValueError(f"cover {self.cover.shape} and relief {self.relief.shape} are not both (K, V, U)")

    @property
    def num_variants(self) -> int:
        """K, how many marks of this brush there are."""
        return len(self.cover)

    def to_arrays(self) -> dict[str, NDArray[np.uint8]]:
        """Arrays to store beside a program, so that it can be replayed without the brush's picture."""
        return {"brush_cover": self.cover, "brush_relief": self.relief}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.uint8]]) -> Self:
        """The texture that `to_arrays` stored.

        Raises:
            KeyError, ValueError: if these are not the arrays of a brush texture.
        """
        return cls(*(np.ascontiguousarray(arrays[name]) for name in ("brush_cover", "brush_relief")))


def make_brush(brush: Brush, seed: int = 0, num_across: int = NUM_ACROSS) -> BrushTexture:
    """Make the texture of a procedural brush; the same brush and seed give the same bytes. Its `path` is ignored.

    Brushes of one kind use the same random numbers, so that a parameter changes only what it is about.
    """
    shape = (NUM_VARIANTS, num_across, NUM_ALONG)
    cover, relief = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for k in range(NUM_VARIANTS):
        dice = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(brush.kind.encode()), k))
        mark, height = _mark(brush, np.random.Generator(np.random.PCG64(dice)), num_across)
        cover[k], relief[k] = levels(mark), relief_levels(mark, height)
    return BrushTexture(cover, relief)


def _mark(brush: Brush, rng: np.random.Generator, num_across: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if isinstance(brush, BristleBrush):
        return bristle_mark(brush, rng, num_across, NUM_ALONG)
    if isinstance(brush, RoundBrush):
        return round_mark(brush, rng, num_across, NUM_ALONG)
    return wash_mark(brush, rng, num_across, NUM_ALONG)


def levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Nearest of 256 levels to each value in [0, 1]."""
    result: NDArray[np.uint8] = np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
    return result


def relief_levels(cover: NDArray[np.float32], height: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heights as levels about 128, the mean height where there is paint; a height of 1 more is 127 levels more."""
    mean = float((cover * height).sum() / max(float(cover.sum()), 1e-6))
    result: NDArray[np.uint8] = np.rint(np.clip(128.0 + 127.0 * (height - mean), 0.0, 255.0)).astype(np.uint8)
    return result


def sample(
    texture: BrushTexture, variant: int, along: NDArray[np.float32], across: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bilinear samples of a texture: the reference that kernels are tested against.

    Args:
        texture: the brush.
        variant: which of its K marks.
        along: any shape, place along the whole stroke, round ends included, in [0, 1].
        across: same shape, signed distance from the centreline in radii, in [-1, 1]; positive on the right when
            one walks along the stroke: tangent (x, y), offset (ox, oy), sign of x * oy - y * ox.

    Returns:
        Cover and relief at these places, in [0, 1].
    """
    _, num_across, num_along = texture.cover.shape
    u = np.clip(along, 0.0, 1.0) * (num_along - 1)
    v = (np.clip(across, -1.0, 1.0) + 1.0) * 0.5 * (num_across - 1)
    u0, v0 = (np.minimum(place.astype(np.int64), side - 2) for place, side in ((u, num_along), (v, num_across)))
    fu, fv = u - u0, v - v0
    samples = []
    for picture in (texture.cover[variant] / 255.0, texture.relief[variant] / 255.0):
        left = picture[v0, u0] * (1 - fv) + picture[v0 + 1, u0] * fv
        right = picture[v0, u0 + 1] * (1 - fv) + picture[v0 + 1, u0 + 1] * fv
        samples.append((left * (1 - fu) + right * fu).astype(np.float32))
    return samples[0], samples[1]
