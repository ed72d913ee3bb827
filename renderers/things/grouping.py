"""From cells to things: the subject in one piece, what lies around it in a few."""

import numpy as np
from numpy.typing import NDArray

from renderers.things.cells import Cells
from renderers.things.graph import Labels, Merging, merged, numbered

_SURROUNDINGS, _SUBJECTS = 18.0, 60.0  # how unlike neighbours may be and still become one
_MERGING_POWER, _BORDER_WEIGHT = 0.25, 1.5


def grouped(cells: Cells, subject: NDArray[np.bool_], max_things: int, least_area: float) -> Labels:
    """(h, w) things of a small copy of a picture, numbered without gaps.

    Args:
        cells: of the picture.
        subject: (N,) which cells are the subject.
        max_things: no more than so many.
        least_area: nor one smaller than this share of the canvas.
    """
    labels, groups = cells.labels, subject.astype(int)
    for group, tolerance in ((1, _SUBJECTS), (0, _SURROUNDINGS)):
        own = Merging(
            tolerance=tolerance, max_regions=labels.size, least_area=0, border_weight=_BORDER_WEIGHT,
            power=_MERGING_POWER,
        )  # fmt: skip
        frozen = np.where(groups == group, 0, 1 + np.arange(len(groups)))
        whole = merged(labels, cells.lab, own, frozen)
        _, first = np.unique(whole, return_index=True)
        labels, groups = whole, groups[labels.ravel()[first]]
    few = Merging(
        tolerance=-1.0, max_regions=max_things, least_area=least_area, border_weight=_BORDER_WEIGHT,
        power=_MERGING_POWER,
    )  # fmt: skip
    return numbered(merged(labels, cells.lab, few, groups))
