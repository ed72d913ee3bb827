"""Alignment of the cells of a grid, which may be some pixels off after cutting and pasting."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2

from pipelines.artists.footage import Footage, Frame, unit

Shift = tuple[int, int]
"""Down and to the right, in pixels."""

Edges = NDArray[np.complex64]

_LARGEST = 0.05  # of the longer side; what seems to lie at the end of that lies elsewhere
_SMOOTH_PX = 0.7
_STRONG = 0.05  # of the range a pixel: stronger edges count no more, or one outline would decide
_STEEP = 0.01  # of the range a pixel: what is flatter is no edge
_SAME = 0.5  # of an edge's slope: the same edge in another frame differs by less
_KEPT = 0.1  # share of a frame's edges that must lie on the same edges of the next frame
_BETTER = 1.3  # times as many as without a shift


def laid_together(footage: Footage) -> Footage:
    """The same frames with what stays from one to the next in one place, cropped to what all of them show.

    Shifts are whole pixels, so that no pixel is mixed with another; frames that lie well are left as they are.
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
    """How far each frame must move to lie on the last one.

    From the last frame back, each is laid onto all that come after it, where its edges correlate most with theirs, by
    direction as well. It is moved only when more of its edges then stand in the next frame just as they are: paint that
    is laid beside an edge correlates with it, too, but hides none of the others.
    """
    following = _edges(frames[-1])
    later, shifts = following, [(0, 0)]
    for frame in reversed(frames[:-1]):
        edges = _edges(frame)
        shift = _shift_onto(later, edges, round(_LARGEST * max(frame.shape[:2])))
        share_kept, share_kept_unmoved = (_kept(np.roll(edges, by, (0, 1)), following) for by in (shift, (0, 0)))
        if share_kept < _KEPT or share_kept < _BETTER * share_kept_unmoved:
            shift = (0, 0)
        following = np.roll(edges, shift, (0, 1))
        later = later + following
        shifts.append(shift)
    return shifts[::-1]


def _shift_onto(target: Edges, edges: Edges, largest_px: int) -> Shift:
    """Where edges correlate most with those of a target; none when that is not nearer than the largest shift."""
    correlation = ifft2(fft2(target) * np.conj(fft2(edges))).real
    reach = np.arange(-largest_px, largest_px + 1)
    near = correlation[np.ix_(reach, reach)]
    down, across = (int(reach[place]) for place in np.unravel_index(int(near.argmax()), near.shape))
    return (down, across) if max(abs(down), abs(across)) < largest_px else (0, 0)


def _kept(edges: Edges, following: Edges) -> float:
    """Share of a frame's edges that stand in the next one as they are."""
    steep = np.abs(edges) > _STEEP
    same = np.abs(edges - following) < _SAME * np.abs(edges)
    return float(same[steep].mean()) if steep.any() else 0.0


def _edges(frame: Frame) -> Edges:
    """(H, W) slope of lightness, across the real part and down the imaginary one; strong slopes count alike."""
    grey = cv2.GaussianBlur(cv2.cvtColor(unit(frame), cv2.COLOR_RGB2GRAY), (0, 0), _SMOOTH_PX)
    slope = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8) + 1j * cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness = np.abs(slope)
    limited: Edges = (slope * (np.minimum(steepness, _STRONG) / np.maximum(steepness, 1e-9))).astype(np.complex64)
    return limited
