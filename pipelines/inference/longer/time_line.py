"""Which frame of a long process is painted as which frame of a short sequence.

A painter knows sequences of K frames; their places are called slots here, to tell them from the N frames of the long
process. A piece is painted from frame `left` in slot 0 to frame `right` in slot K - 1.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-9


def slots_for(frames: Sequence[int], left: int, right: int, num_slots: int) -> dict[int, int]:
    """The slots of conditions: each gets the nearest slot, in the same order, and no two get the same.

    Only frame `left` may have slot 0, and only frame `right` the last slot. Where there are more conditions than slots,
    conditions spread evenly among them get the slots; the others wait for a shorter piece.

    Args:
        frames: frames of the conditions, ascending, from `left` to `right`.
        left, right: first and last frame of the piece.
        num_slots: K, at least 3.

    Returns:
        Frame -> slot, both ascending.
    """
    last = num_slots - 1
    inner = [frame for frame in frames if left < frame < right]
    if len(inner) > num_slots - 2:
        inner = [inner[int(number)] for number in np.linspace(0, len(inner) - 1, num_slots - 2).round()]
    slots = [round((frame - left) / (right - left) * last) for frame in inner]
    for number in range(len(slots)):
        slots[number] = max(slots[number], slots[number - 1] + 1 if number else 1)
    for number in reversed(range(len(slots))):
        slots[number] = min(slots[number], slots[number + 1] - 1 if number + 1 < len(slots) else last - 1)
    first = {left: 0} if left in frames else {}
    return {**first, **dict(zip(inner, slots, strict=True)), **({right: last} if right in frames else {})}


def slots_of_shorter(num_frames: int, num_slots: int) -> list[int]:
    """The slot of each frame of a process that has at most as many frames as a sequence, both ends included.

    Args:
        num_frames: N, at least 2.
        num_slots: K.

    Raises:
        ValueError: if there are more frames than slots.
    """
    if num_frames > num_slots:
        raise ValueError(f"{num_frames} frames; allowed: at most {num_slots}")
    return [round(frame * (num_slots - 1) / (num_frames - 1)) for frame in range(num_frames)]


def place(lengths: Sequence[float] | NDArray[np.floating], left: int, right: int) -> dict[int, int]:
    """Frames for the pictures of a path, so that all steps from frame to frame are about equally long.

    Args:
        lengths: (M,) distances from each of M + 1 pictures to the next, not negative.
        left, right: frames of the first picture and of the last.

    Returns:
        Picture -> frame, both ascending. Where there are fewer frames than pictures, some pictures have none.
    """
    steps = np.maximum(np.asarray(lengths, np.float64), _TINY)
    if right - left < len(steps):
        return _chosen(steps, left, right)
    spare = right - left - len(steps)  # frames that are left when every step takes one frame
    ideal = np.maximum(steps / steps.sum() * (right - left) - 1, 0.0)
    extra = ideal * (spare / max(float(ideal.sum()), _TINY))
    counts = np.floor(extra + _TINY).astype(int)
    largest = np.argsort(counts - extra, kind="stable")  # largest remainder first
    counts[largest[: spare - counts.sum()]] += 1
    frames = left + np.concatenate([[0], np.cumsum(counts + 1)])
    return {picture: int(frame) for picture, frame in enumerate(frames)}


def _chosen(steps: NDArray[np.float64], left: int, right: int) -> dict[int, int]:
    """The pictures nearest to equal steps along the path."""
    along = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    chosen, num_steps = {0: left}, right - left
    for number in range(1, num_steps):
        earliest, latest = next(reversed(chosen)) + 1, len(steps) - (num_steps - number)
        nearest = earliest + int(np.abs(along[earliest : latest + 1] - number / num_steps).argmin())
        chosen[nearest] = left + number
    return {**chosen, len(steps): right}
