"""From cells to things: the subject in one piece, what lies around it in a few."""

import numpy as np
from numpy.typing import NDArray

from renderers.things.background import Scores
from renderers.things.cells import Cells
from renderers.things.graph import Labels, Merging, merged

_TOLERANCE = 18.0  # how unlike neighbours may be and still become one
_MOST_LENIENT = 3.3  # how many times as unlike they may be in a subject
_UNCLEAR, _CLEAR = 0.35, 0.5  # that stands out by so much: by the one it is a part like others, by the other one thing
_MERGING_POWER, _BORDER_WEIGHT = 0.25, 1.5


def grouped(cells: Cells, salient: Scores, subject: NDArray[np.bool_], max_things: int, least_area: float) -> Labels:
    """(h, w) things of a small copy of a picture, numbered without gaps.

    Args:
        cells: of the picture.
        salient: (N,) in [0, 1].
        subject: (N,) which cells are the subject.
        max_things: no more than so many.
        least_area: nor one smaller than this share of the canvas.
    """
    merging = Merging(
        tolerance=_TOLERANCE, max_regions=max_things, least_area=least_area, border_weight=_BORDER_WEIGHT,
        power=_MERGING_POWER,
    )  # fmt: skip
    leniency = 1.0
    if 0 < subject.sum() < len(subject):
        inside, outside = (np.average(salient[own], weights=cells.areas[own]) for own in (subject, ~subject))
        leniency = float(np.interp(inside - outside, [_UNCLEAR, _CLEAR], [1.0, _MOST_LENIENT]))
    return merged(cells.labels, cells.lab, merging, subject.astype(np.int64), np.where(subject, leniency, 1.0))
