"""Frames on their way: bytes while they are read and sent, floats when they arrive."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def pixel_slots(count: int, shape: Sequence[int], *, shared: bool) -> "Tensor":
    """(count, *shape) uint8: places where batches stand until they are floats, used again and again.

    Fresh memory for every batch would cost more than decoding: its pages are first touched by whoever writes and,
    when shared, again by whoever reads.
    """
    import torch

    slots = torch.zeros(count, *shape, dtype=torch.uint8)
    if shared:
        slots.share_memory_()  # type: ignore[no-untyped-call]
    return slots


def to_signed_unit(pixels: "Tensor") -> "Tensor":
    """(B, ...) uint8 to float32 in [-1, 1], in memory of its own."""
    import torch

    # NumPy asks for huge pages, torch does not: the first touch of a large batch took five times as long as the rest.
    frames = torch.from_numpy(np.empty(tuple(pixels.shape), np.float32))
    for row, sample in zip(frames, pixels, strict=True):  # one after the other, so that each stays in the cache
        row.copy_(sample).mul_(2 / 255).sub_(1)
    return frames
