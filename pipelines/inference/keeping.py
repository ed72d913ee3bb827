"""Keeps the paint of given pictures in other frames, where nothing else is painted.

A diffusion model repaints every frame whole. The frames become softer than the given ones beside them, and every frame
changes all of an unfinished picture a little. A real painter changes some places and leaves the others alone. So the
predicted frames are corrected at every step of sampling (docs/decisions/018):

- A given frame becomes the given picture.
- A frame before a given one takes over the paint of the given picture at the places where it already looks like the
  prediction of the given frame. Where it hardly differs, it becomes the given picture itself; otherwise the last step
  of the process would change everything a little.
- A frame after a given one becomes the given picture where it hardly differs from it, and becomes the frame directly
  before it where it hardly differs from that. Bare canvas in the kept frame is not paint and is not kept. The given
  picture is not kept either where a later given picture shows that it was painted over.

"Hardly" is a soft threshold, as in proximal guidance (Han et al. 2024), which keeps what an edit does not intend to
change.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.inference.pinned import PinnedPicture

# Differences, in standard deviations of latents, at which the similarity of a cell is 1 / e.
_FINISHED_DIFFERENCE = 0.6  # from the prediction of a later given frame, whose paint is then taken over
_DONE_DIFFERENCE = 0.3  # from the same, or between two given frames: nothing is left to be painted
_PAINTED_DIFFERENCE = 0.5  # from the prediction of an earlier given frame
_UNCHANGED_DIFFERENCE = 0.05  # from the frame directly before
_BARE_DIFFERENCE = 0.5  # of a kept frame from the blank canvas: similar cells are bare and are not kept
_BINOMIAL = (0.25, 0.5, 0.25)  # blurs differences over cells: paint covers more than one


def keep_paint(clean: Tensor, conditions: Sequence[Sequence[PinnedPicture]], latents: Sequence[Tensor]) -> Tensor:
    """Predicted processes with the paint of given pictures.

    Args:
        clean: (N, T, C, h, w) predicted scaled latents without noise.
        conditions: (N,) lists of K pictures each, in any order.
        latents: (N,) scaled latents of these, (K, C, h, w).

    Returns:
        (N, T, C, h, w); processes without conditions are left as they are.
    """
    return torch.stack([
        _with_kept_paint(process, pinned, given) if pinned else process
        for process, pinned, given in zip(clean, conditions, latents, strict=True)
    ])  # fmt: skip


def _with_kept_paint(process: Tensor, pinned: Sequence[PinnedPicture], latents: Tensor) -> Tensor:
    given = {
        condition.frame % len(process): (condition.strength, picture)
        for condition, picture in zip(pinned, latents, strict=True)
    }
    frames: list[Tensor] = []
    for frame, painted in enumerate(process):
        if frame in given:
            strength, picture = given[frame]
            frames.append(torch.lerp(painted, picture, strength))
            continue
        before = max((slot for slot in given if slot < frame), default=None)
        after = min((slot for slot in given if slot > frame), default=None)
        if after is not None:
            strength, picture = given[after]
            finished = _similarity(process[frame], process[after], _FINISHED_DIFFERENCE)
            painted = painted + strength * finished * (picture - process[after])
            done = _similarity(process[frame], process[after], _DONE_DIFFERENCE)
            painted = painted + strength * done * (picture - painted)
        if before is not None:
            strength, picture = given[before]
            blank = _canvas(frames[0]) if before else None  # a given first frame may have paint already
            unchanged = _similarity(process[frame], process[before], _PAINTED_DIFFERENCE)
            if after is not None:  # places that the later given picture shows painted over are not kept
                later_strength, later_picture = given[after]
                painted_over = 1 - _similarity(later_picture, picture, _DONE_DIFFERENCE)
                unchanged = unchanged * (1 - later_strength * painted_over)
            painted = painted + strength * unchanged * _paint(picture, blank) * (picture - painted)
            same = _similarity(painted, frames[-1], _UNCHANGED_DIFFERENCE)
            painted = painted + strength * same * _paint(frames[-1], blank) * (frames[-1] - painted)
        frames.append(painted)
    return torch.stack(frames)


def _canvas(first: Tensor) -> Tensor:
    """The blank canvas (C, 1, 1): the median of the first frame (C, h, w), which may show a ghost of later paint."""
    return first.flatten(1).median(1).values[:, None, None]


def _paint(frame: Tensor, blank: Tensor | None) -> Tensor | float:
    """(1, h, w) how much of a frame (C, h, w) is paint and not bare canvas, 0 to 1; 1 if the blank is not known."""
    return 1.0 if blank is None else 1 - _similarity(frame, blank, _BARE_DIFFERENCE)


def _similarity(one: Tensor, other: Tensor, scale: float) -> Tensor:
    """(1, h, w) similarity of two frames (C, h, w): 1 where they are equal, 1 / e where they differ by `scale`."""
    squared = (one - other).square().mean(0)[None, None]
    padded = functional.pad(squared, (1, 1, 1, 1), mode="replicate")
    blurred = functional.conv2d(padded, _kernel(one.device, one.dtype))
    return torch.exp(-blurred[0] / scale**2)


@cache  # every copy to a GPU would wait for it
def _kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    row = torch.tensor(_BINOMIAL, device=device, dtype=dtype)
    return torch.outer(row, row)[None, None]
