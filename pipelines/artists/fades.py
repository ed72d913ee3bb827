"""Fades: a picture that comes out of one colour, or turns into one, shows no step of a painting."""

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage
from pipelines.artists.shots import BLACK, CUT_CHANGE, is_blank, thumbnail

_LONGEST_FRAMES = 256  # of a fade, and of the colour that is held before or after it
_ERROR_LEVELS = 6.0  # of 255; no block of a fading frame is farther from the picture at lower contrast
_LEAST_PARTIAL, _MOST_PARTIAL = 0.05, 0.7  # shares of the contrast; one frame of a fade has a share in between
_LEAST_WHOLE = 0.99  # share of the contrast that a frame has which is not fading
_NOISE = 0.01
_LEAST_RISE = 0.1  # of the shares over a fade; a picture that is darkened once has one share


def without_fades(footage: Footage) -> Footage:
    """The frames between a fade from one colour at the beginning and a fade to one colour at the end, if any."""
    thumbnails = np.stack([thumbnail(frame) for frame in footage.frames])
    start, end = _length_of_fade(thumbnails), len(footage) - _length_of_fade(thumbnails[::-1])
    if end - start == len(footage) or start >= end:
        return footage
    return footage.chosen(range(start, end)).noted(faded_frames=len(footage) - (end - start))


def _length_of_fade(thumbnails: NDArray[np.float32]) -> int:
    """How many of some frames, from the outermost inwards, are part of a fade; 0 if there is none.

    Everywhere in a fading frame, the same share of the picture's difference from one colour is left. Strokes change
    single places, so frames between which there is one are never taken for a fade.

    A canvas of one colour fades from and to black alone: from another colour to it, it may have been glazed.

    Args:
        thumbnails: (N, 32, 32, 3).
    """
    outermost, length = thumbnails[:_LONGEST_FRAMES], 0
    for colour in (np.median(outermost[0], axis=(0, 1)), 0.0, 255.0):
        contrasts = (outermost - colour).reshape(len(outermost), -1)
        for inner, picture in enumerate(contrasts[1:], 1):
            fading = contrasts[:inner]
            shares = fading @ picture / max(float(picture @ picture), 1.0)
            error = float(np.abs(fading - shares[:, None] * picture).max())
            if error > _ERROR_LEVELS or float(np.diff(shares).min(initial=0.0)) < -_NOISE:
                break
            is_partial = bool(((shares > _LEAST_PARTIAL) & (shares < _MOST_PARTIAL)).any())
            is_everywhere = float(np.median(np.abs(picture.reshape(-1, 3)).max(-1))) >= CUT_CHANGE
            is_rising = float(shares[-1] - shares[0]) > _LEAST_RISE
            may_be_glaze = float(np.max(colour)) > BLACK and is_blank(outermost[inner])
            if is_partial and is_rising and is_everywhere and not may_be_glaze and float(shares[-1]) < _LEAST_WHOLE:
                length = max(length, inner)
    return length
