"""Brings a picture of any shape to the size of the canvas."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError

Fit = Literal["crop", "pad", "stretch"]

Ground = tuple[float, float, float]
"""RGB in [0, 1] of the colour below a picture: it shows where the picture is transparent or ends."""

WHITE: Ground = (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Size of the canvas, and what to do with pictures of another shape.

    Attributes:
        height_px, width_px: 64 to 1024.
        fit: `crop` keeps the centre, `pad` keeps everything and shows the ground beside it, `stretch` distorts.
    """

    height_px: int = 256
    width_px: int = 256
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        for key in ("height_px", "width_px"):
            if not 64 <= getattr(self, key) <= 1024:
                raise ConfigError(
                    "size", f"{self.width_px}x{self.height_px}", "64 to 1024 px a side, as 256 or 384x256"
                )
        if self.fit not in ("crop", "pad", "stretch"):
            raise ConfigError("fit", self.fit, "crop, pad or stretch")

    def apply(self, image: NDArray[np.float32], ground: Ground = WHITE) -> NDArray[np.float32]:
        """Frame a picture.

        Args:
            image: (h, w, 3) float32 RGB in [0, 1], any shape.
            ground: colour that `pad` shows beside it.

        Returns:
            (height_px, width_px, 3) float32 RGB in [0, 1].
        """
        height, width = image.shape[:2]
        if self.fit == "stretch":
            return _resize(image, self.height_px, self.width_px)
        if self.fit == "crop":
            return _resize(self.seen(image), self.height_px, self.width_px)
        rows, columns = self.inside(height, width)
        framed = np.full((self.height_px, self.width_px, 3), ground, np.float32)
        framed[rows, columns] = _resize(image, rows.stop - rows.start, columns.stop - columns.start)
        return framed

    def seen(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a (h, w, 3) picture that its frame shows, at the picture's own size."""
        if self.fit != "crop":
            return image
        height, width = image.shape[:2]
        scale = max(self.height_px / height, self.width_px / width)
        crop_h, crop_w = min(height, round(self.height_px / scale)), min(width, round(self.width_px / scale))
        top, left = (height - crop_h) // 2, (width - crop_w) // 2
        return image[top : top + crop_h, left : left + crop_w]

    def inside(self, height_px: int, width_px: int) -> tuple[slice, slice]:
        """Rows and columns of the frame in which a picture of that size lies; `pad` leaves borders beside it."""
        if self.fit != "pad":
            return slice(0, self.height_px), slice(0, self.width_px)
        scale = min(self.height_px / height_px, self.width_px / width_px)
        inner_h, inner_w = max(1, round(height_px * scale)), max(1, round(width_px * scale))
        top, left = (self.height_px - inner_h) // 2, (self.width_px - inner_w) // 2
        return slice(top, top + inner_h), slice(left, left + inner_w)


def _resize(image: NDArray[np.float32], height_px: int, width_px: int) -> NDArray[np.float32]:
    """Area averaging where a side shrinks (no moiré), cubic where one grows (no blocks)."""
    height, width = image.shape[:2]
    smaller = (min(width, width_px), min(height, height_px))
    resized = cv2.resize(np.ascontiguousarray(image), smaller, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(resized, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    framed: NDArray[np.float32] = np.clip(resized, 0.0, 1.0).astype(np.float32)
    return framed
