"""From cells to things: the subject in one piece, what lies around it in a few."""

import numpy as np
from numpy.typing import NDArray

from renderers.things.cells import Cells
from renderers.things.graph import Labels, Merging, merged

_TOLERANCE, _LENIENCY = 18.0, (1.0, 3.3)  # how unlike neighbours may be and still become one; in a subject, more so
_MERGING_POWER, _BORDER_WEIGHT = 0.25, 1.5


def grouped(cells: Cells, subject: NDArray[np.bool_], max_things: int, least_area: float) -> Labels:
    """(h, w) things of a small copy of a picture, numbered without gaps.

    Args:
        cells: of the picture.
        subject: (N,) which cells are the subject.
        max_things: no more than so many.
        least_area: nor one smaller than this share of the canvas.
    """
    merging = Merging(
        tolerance=_TOLERANCE, max_regions=max_things, least_area=least_area, border_weight=_BORDER_WEIGHT,
        power=_MERGING_POWER,
    )  # fmt: skip
    return merged(cells.labels, cells.lab, merging, subject.astype(np.int64), _LENIENCY)
