"""What captions call the things of a picture."""

import numpy as np

from renderers.things.graph import Labels
from renderers.things.survey import Survey

_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "", "right")


def names_of(labels: Labels, measured: Survey) -> tuple[str, ...]:
    """The subject, the background, and of others where they are."""
    height, width = labels.shape
    count = len(measured.areas)
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=count)
    y = np.bincount(flat, np.repeat(np.arange(height) / height, width), count) / pixels
    x = np.bincount(flat, np.tile(np.arange(width) / width, height), count) / pixels
    names = []
    for label in range(count):
        row, column = _ROWS[min(2, int(3 * y[label]))], _COLUMNS[min(2, int(3 * x[label]))]
        names.append(f"the {row} {column}" if column else f"the {row} part" if row != "middle" else "the middle")
    if count > 1:
        names[int(np.argmax(measured.far))] = "the background"
    names[int(np.argmax(measured.scores))] = "the subject"
    return tuple(names)
