"""Aligns the cells of a grid, which may be some pixels off after cutting and pasting."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2

from pipelines.artists.footage import Footage, Frame, unit

Shift = tuple[int, int]
"""(down, right) in pixels."""

Edges = NDArray[np.complex64]

_LARGEST_SHIFT = 0.05  # share of the longer side; a maximum at this limit is no real match
_SMOOTH_PX = 0.7
_STRONGEST_SLOPE = 0.05  # of the range per pixel: slopes are limited to it, or a single outline would decide
_LEAST_SLOPE = 0.01  # of the range per pixel: flatter places are no edges
_SAME_EDGE = 0.5  # share of an edge's slope by which the same edge in another frame differs at most
_LEAST_KEPT = 0.1  # share of a frame's edges that must coincide with the same edges of the next frame
_BETTER = 1.3  # factor by which more edges must coincide than without the shift


def laid_together(footage: Footage) -> Footage:
    """The same frames shifted so that unchanged parts coincide, cropped to the area that all of them show.

    Shifts are whole pixels, so that pixels are not mixed; frames that are aligned already are not moved.
    """
    shifts = cell_shifts(footage.frames)
    if not any(shift != (0, 0) for shift in shifts):
        return footage
    height, width = footage.frames[0].shape[:2]
    top, left = (max(0, *(shift[axis] for shift in shifts)) for axis in (0, 1))
    bottom, right = (min(0, *(shift[axis] for shift in shifts)) for axis in (0, 1))
    frames = [
        np.ascontiguousarray(frame[top - down : height + bottom - down, left - across : width + right - across])
        for frame, (down, across) in zip(footage.frames, shifts, strict=True)
    ]
    return footage.changed(frames, cell_shifts_px=[list(shift) for shift in shifts])


def cell_shifts(frames: Sequence[Frame]) -> list[Shift]:
    """The shift of each frame that aligns it with the last one.

    From the last frame back, each frame is aligned with all later ones by the shift at which their edges, including
    the edges' directions, correlate most. It is shifted only if more of its edges then coincide with the same edges of
    the next frame: new paint beside an edge correlates with it too, but leaves the other edges in place.
    """
    following = _edges(frames[-1])
    later, shifts = following, [(0, 0)]
    for frame in reversed(frames[:-1]):
        edges = _edges(frame)
        shift = _shift_onto(later, edges, round(_LARGEST_SHIFT * max(frame.shape[:2])))
        share_kept, share_kept_unmoved = (_share_kept(np.roll(edges, by, (0, 1)), following) for by in (shift, (0, 0)))
        if share_kept < _LEAST_KEPT or share_kept < _BETTER * share_kept_unmoved:
            shift = (0, 0)
        following = np.roll(edges, shift, (0, 1))
        later = later + following
        shifts.append(shift)
    return shifts[::-1]


def _shift_onto(target: Edges, edges: Edges, largest_px: int) -> Shift:
    """The shift at which edges correlate most with those of a target; (0, 0) if it reaches the largest shift."""
    correlation = ifft2(fft2(target) * np.conj(fft2(edges))).real
    reach = np.arange(-largest_px, largest_px + 1)
    near = correlation[np.ix_(reach, reach)]
    down, across = (int(reach[place]) for place in np.unravel_index(int(near.argmax()), near.shape))
    return (down, across) if max(abs(down), abs(across)) < largest_px else (0, 0)


def _share_kept(edges: Edges, following: Edges) -> float:
    """Share of a frame's edges that are the same in the next frame."""
    steep = np.abs(edges) > _LEAST_SLOPE
    same = np.abs(edges - following) < _SAME_EDGE * np.abs(edges)
    return float(same[steep].mean()) if steep.any() else 0.0


def _edges(frame: Frame) -> Edges:
    """(H, W) slope of lightness: the real part is across, the imaginary part down; strong slopes are limited."""
    grey = cv2.GaussianBlur(cv2.cvtColor(unit(frame), cv2.COLOR_RGB2GRAY), (0, 0), _SMOOTH_PX)
    slope = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8) + 1j * cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness = np.abs(slope)
    limited: Edges = (slope * (np.minimum(steepness, _STRONGEST_SLOPE) / np.maximum(steepness, 1e-9))).astype(
        np.complex64
    )
    return limited
