"""From cells to things: the subject in one piece, what lies around it in a few."""

import numpy as np
from numpy.typing import NDArray

from renderers.things.background import Scores
from renderers.things.cells import Cells
from renderers.things.graph import Labels, Merging, merged

_TOLERANCE = 18.0  # how unlike neighbours may be and still be merged
_CLEARNESS, _LENIENCY = (0.35, 0.5, 0.65), (1.0, 3.3, 8.0)
"""Leniency in a subject, by how much it stands out: from that of any part to one thing whatever its colours."""
_MERGING_POWER, _BORDER_WEIGHT, _COLOUR_PER_BORDER = 0.25, 1.5, 4.0


def grouped(cells: Cells, salient: Scores, subject: NDArray[np.bool_], max_things: int, least_area: float) -> Labels:
    """(h, w) things of a small copy of a picture, numbered without gaps.

    Args:
        cells: of the picture.
        salient: (N,) in [0, 1].
        subject: (N,) which cells are the subject.
        max_things: the most things.
        least_area: no thing is smaller than this share of the canvas.
    """
    merging = Merging(
        tolerance=_TOLERANCE, max_regions=max_things, least_area=least_area, border_weight=_BORDER_WEIGHT,
        colour_per_border=_COLOUR_PER_BORDER, power=_MERGING_POWER,
    )  # fmt: skip
    leniency = np.ones(len(subject))
    if 0 < subject.sum() < len(subject):
        inside, outside = (np.average(salient[own], weights=cells.areas[own]) for own in (subject, ~subject))
        leniency[subject] = np.interp(inside - outside, _CLEARNESS, _LENIENCY)
    return merged(cells.labels, cells.lab, merging, subject.astype(np.int64), leniency, cells.touching)
