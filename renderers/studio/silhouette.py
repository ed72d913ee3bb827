"""The silhouette of an object, and the box of the canvas in which it is painted."""

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image
from renderers.studio.easel import Box

_MARGIN = 0.03  # of the box, in units of the canvas
_LEAST_PX = 16


class Silhouette:
    """Where an object is.

    Attributes:
        box: the part of the canvas that holds it, with a margin; all else here is in that box.
        inside: (h, w) its pixels.
    """

    def __init__(self, cover: NDArray[np.float32]) -> None:
        """Find it from `cover` (H, W): the share of each pixel that is the object; more than half somewhere."""
        self.box = _box(cover > 0.5, round(_MARGIN * min(cover.shape)))
        self.inside: NDArray[np.bool_] = cover[self.box] > 0.5

    @cached_property
    def _surroundings(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(h, w) distance in pixels from the object, and the number of its nearest pixel."""
        if self.inside.all():
            return np.zeros(self.inside.shape, np.float32), np.arange(self.inside.size).reshape(self.inside.shape)
        away, labels = cv2.distanceTransformWithLabels(
            (~self.inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        numbers = np.zeros(int(labels.max()) + 1, np.int64)
        numbers[labels[self.inside]] = np.flatnonzero(self.inside)
        return np.asarray(away, np.float32), numbers[labels]

    def continued(self, image: Image) -> Image:
        """The part of an image (H, W, 3) with everything outside in the colour of the nearest pixel inside."""
        colours: Image = image[self.box].reshape(-1, 3)[self._surroundings[1]]
        return colours

    def grown(self, reach_px: float) -> NDArray[np.bool_]:
        """(h, w) the object and all pixels that are no farther from it than `reach_px`."""
        grown: NDArray[np.bool_] = self._surroundings[0] <= reach_px
        return grown

    def closed(self, reach_px: int) -> NDArray[np.bool_]:
        """(h, w) the object with what lies within it, or across it, and is no wider than twice the reach."""
        room = 2 * reach_px + 1
        framed = np.pad(~self.inside, room, constant_values=True).astype(np.uint8)
        grown = cv2.distanceTransform(framed, cv2.DIST_L2, 5) <= reach_px
        closed = cv2.distanceTransform(grown.astype(np.uint8), cv2.DIST_L2, 5) > reach_px
        own: NDArray[np.bool_] = closed[room:-room, room:-room] | self.inside
        return own

    def deepest_px(self) -> float:
        """Distance in pixels of its innermost pixel from its border or that of the canvas."""
        return float(cv2.distanceTransform(np.pad(self.inside, 1).astype(np.uint8), cv2.DIST_L2, 3).max())


def _box(inside: NDArray[np.bool_], margin: int) -> Box:
    """The box that holds all of it, with a margin, and is not too small to be painted."""
    sides = []
    for axis in (1, 0):
        places = np.flatnonzero(inside.any(axis=axis))
        length = inside.shape[1 - axis]
        start, stop = int(places[0]) - margin, int(places[-1]) + 1 + margin
        missing = max(0, _LEAST_PX - (stop - start))
        sides.append(slice(max(0, start - missing // 2), min(length, stop + missing - missing // 2)))
    return sides[0], sides[1]
