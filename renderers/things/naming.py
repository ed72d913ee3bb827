"""Names for the things of a picture, for captions."""

from collections import Counter

import numpy as np

from renderers.painting import Knowledge
from renderers.things.graph import Labels
from renderers.things.survey import Survey

_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "", "right")
_PERSON, _PERSON_SHARE = "person", 0.1  # scenes name the other parts of a person after the clothing


def names_of(labels: Labels, measured: Survey, known: Knowledge) -> tuple[str, ...]:
    """A name for each thing: its own where the source knows it, else the subject, the background, or where it is.

    Args:
        labels: (H, W) K things, numbered without gaps.
        measured: the survey of these things.
        known: its names are those of its labels.
    """
    if known.labels is not None and known.names:
        return tuple(_known_name(labels == label, known) for label in range(len(measured.areas)))
    height, width = labels.shape
    flat, count = labels.ravel(), len(measured.areas)
    pixels = np.bincount(flat, minlength=count)
    y = np.bincount(flat, np.repeat(np.arange(height) / height, width), count) / pixels
    x = np.bincount(flat, np.tile(np.arange(width) / width, height), count) / pixels
    names = [_place(_ROWS[int(3 * y[label])], _COLUMNS[int(3 * x[label])]) for label in range(count)]
    subject = int(np.argmax(measured.scores))
    background_scores = np.where(np.arange(count) == subject, -1.0, measured.far)
    if count > 1:
        names[int(np.argmax(background_scores))] = "the background"
    names[subject] = "the subject"
    return tuple(names)


def _place(row: str, column: str) -> str:
    if not column:
        return "the middle" if row == "middle" else f"the {row} part"
    return f"the {column} side" if row == "middle" else f"the {row} {column}"


def _known_name(mask: np.ndarray, known: Knowledge) -> str:
    """The name of the object that most of a thing shows."""
    assert known.labels is not None
    pixels: Counter[str] = Counter()
    for label, count in enumerate(np.bincount(known.labels[mask])):
        pixels[known.names[label]] += int(count)
    is_person = pixels[_PERSON] > _PERSON_SHARE * pixels.total()
    return f"the {_PERSON if is_person else pixels.most_common(1)[0][0]}"
