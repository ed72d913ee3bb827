"""Cells: some hundred patches of like colour that a picture is first cut into, and what is measured of them."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image
from renderers.shrink import shrink
from renderers.things.colour import lab_of
from renderers.things.graph import Borders, Labels, borders, numbered

_WORKING_PX = 160
_NUM_SQUARE, _MOST_CELLS = 320, 640  # cells of a square picture, and the most of any picture
_COMPACTNESS, _ROUNDS = 0.08, 5
_SMOOTHED_PX, _SMOOTHED_LAB = 5, 10.0  # of the bilateral filter: its window, and differences taken for texture


@dataclass(frozen=True, kw_only=True)
class Cells:
    """N patches that partition a small copy of a picture.

    Attributes:
        labels: (h, w) which cell each pixel is in.
        lab: (h, w, 3) CIE Lab, texture smoothed away.
        areas: (N,) shares of the canvas.
        means: (N, 3) mean colours.
        centres: (N, 2) y and x in units of the shorter side.
        on_border: (N,) pixels on the border of the canvas.
        touching: which cells touch; the strength of a border is the difference across it, but no more than that between
            the mean colours of both sides, which noise does not raise.
        steps: (E,) difference between the mean colours of the cells that touch.
    """

    labels: Labels
    lab: NDArray[np.float32]
    areas: NDArray[np.float64]
    means: NDArray[np.float64]
    centres: NDArray[np.float64]
    on_border: NDArray[np.int64]
    touching: Borders
    steps: NDArray[np.float64]

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the canvas in units of its shorter side."""
        height, width = self.labels.shape
        return height / min(height, width), width / min(height, width)


def cells_of(image: Image) -> Cells:
    """Cut a (H, W, 3) float32 RGB image in [0, 1] into cells.

    SLIC (Achanta et al., TPAMI 2012) of at most 160 px along the shorter side, after a bilateral filter.
    """
    from skimage.segmentation import slic

    small = lab_of(shrink(image, _WORKING_PX))
    height, width = small.shape[:2]
    lab = cv2.bilateralFilter(small, _SMOOTHED_PX, _SMOOTHED_LAB, _SMOOTHED_PX / 2)
    num_cells = min(_MOST_CELLS, max(1, round(_NUM_SQUARE * max(height, width) / min(height, width))))
    labels = numbered(slic(lab, num_cells, _COMPACTNESS, max_num_iter=_ROUNDS, start_label=0, convert2lab=False))
    flat, count = labels.ravel(), int(labels.max()) + 1
    pixels = np.bincount(flat, minlength=count)
    means = np.stack([np.bincount(flat, lab[..., c].ravel(), count) for c in range(3)], 1) / pixels[:, None]
    unit = min(height, width)
    rows, columns = (np.arange(height) + 0.5) / unit, (np.arange(width) + 0.5) / unit
    y = np.bincount(flat, np.repeat(rows, width), count) / pixels
    x = np.bincount(flat, np.tile(columns, height), count) / pixels
    edge = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    touching = borders(labels, small)
    a, b = touching.pairs.T
    steps = np.linalg.norm(means[a] - means[b], axis=1)
    return Cells(
        labels=labels,
        lab=lab,
        areas=pixels / flat.size,
        means=means,
        centres=np.stack([y, x], 1),
        on_border=np.bincount(edge, minlength=count),
        touching=replace(touching, strengths=np.minimum(touching.strengths, steps)),
        steps=steps,
    )
