"""Frames as bytes while they are read and sent, as floats when they arrive, and as files when they are stored."""

import io
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def png_of(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """A PNG of (H, W, 3) RGB, or of (H, W) grey in 8 or 16 bits."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def pixel_slots(count: int, shape: Sequence[int], *, in_shared_memory: bool) -> "Tensor":
    """(count, *shape) uint8: reusable buffers that hold batches until these are converted to floats.

    Fresh memory for every batch would cost more than decoding: the writer would touch all its pages for the first time
    and, in shared memory, so would the reader.
    """
    import torch

    slots = torch.zeros(count, *shape, dtype=torch.uint8)
    if in_shared_memory:
        slots.share_memory_()  # type: ignore[no-untyped-call]
    return slots


class FloatFrames:
    """Converts bytes to floats, in memory that is reused once nothing refers to its former content.

    First touching a large batch's pages takes five times as long as filling it, and half of that with the huge pages
    that NumPy, unlike torch, asks for.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.float32]] = []

    def signed_unit(self, pixels: "Tensor") -> "Tensor":
        """(B, ...) uint8 to float32 in [-1, 1]; all calls with the same shape."""
        import torch

        memory = self._free.pop() if self._free else np.empty(tuple(pixels.shape), np.float32)
        lent = memory.view()  # the tensor and all views of it keep this alive
        weakref.finalize(lent, self._free.append, memory).atexit = False
        frames = torch.from_numpy(lent)
        for row, sample in zip(frames, pixels, strict=True):  # one after another, so that each stays in the CPU's cache
            row.copy_(sample).mul_(2 / 255).sub_(1)
        return frames
