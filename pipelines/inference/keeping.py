"""Keeps the paint of given pictures in other frames, where nothing else is painted.

A diffusion model repaints every frame whole. Frames come out softer than the given ones beside them, and all of an
unfinished picture is changed a little with every frame. A painter changes some places and leaves the others alone. So
at every step of sampling the frames that are predicted are corrected (docs/decisions/018):

- a given frame is what was given;
- a frame before a given one that already looks, in places, as that one is predicted, has its own paint there; where it
  hardly differs, it is that picture, or the last step would change everything a little;
- a frame after a given one is that one where it hardly differs from it; and likewise the frame before it. Bare canvas
  is no paint: where the given one still looks as the blank canvas does, it holds nothing back. Neither does what a
  later given one shows to be painted over.

"Hardly" is a soft threshold, as in proximal guidance (Han et al. 2024), which keeps what an edit does not mean.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.inference.pinned import PinnedPicture

# Differences, in standard deviations of latents, at which 1 / e of a cell is kept.
_FINISHED = 0.6  # from the prediction of a later given frame: its paint is taken over
_DONE = 0.3  # from the same, or from one given frame to the next: nothing is left to do
_PAINTED = 0.5  # from an earlier given frame
_STILL = 0.05  # from the frame before
_BARE = 0.5  # of what is held, from the blank canvas: so much of it is let go
_BINOMIAL = (0.25, 0.5, 0.25)  # over cells: paint covers more than one


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
        _kept(process, pinned, given) if pinned else process
        for process, pinned, given in zip(clean, conditions, latents, strict=True)
    ])  # fmt: skip


def _kept(process: Tensor, pinned: Sequence[PinnedPicture], latents: Tensor) -> Tensor:
    given = {one.frame % len(process): (one.strength, picture) for one, picture in zip(pinned, latents, strict=True)}
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
            finished = _alike(process[frame], process[after], _FINISHED)
            painted = painted + strength * finished * (picture - process[after])
            done = _alike(process[frame], process[after], _DONE)
            painted = painted + strength * done * (picture - painted)
        if before is not None:
            strength, picture = given[before]
            blank = _canvas(frames[0]) if before else None  # a given first frame may have paint already
            unchanged = _alike(process[frame], process[before], _PAINTED)
            if after is not None:  # what is known to be painted over is not held
                known, later = given[after]
                unchanged = unchanged * (1 - known * (1 - _alike(later, picture, _DONE)))
            painted = painted + strength * unchanged * _paint(picture, blank) * (picture - painted)
            still = _alike(painted, frames[-1], _STILL)
            painted = painted + strength * still * _paint(frames[-1], blank) * (frames[-1] - painted)
        frames.append(painted)
    return torch.stack(frames)


def _canvas(first: Tensor) -> Tensor:
    """The blank canvas (C, 1, 1), by the first frame (C, h, w): its median, as a ghost may show there."""
    return first.flatten(1).median(1).values[:, None, None]


def _paint(frame: Tensor, blank: Tensor | None) -> Tensor | float:
    """How much of a frame (C, h, w) is paint and not bare canvas: (1, h, w), 0 to 1; all of it if no blank is known."""
    return 1.0 if blank is None else 1 - _alike(frame, blank, _BARE)


def _alike(one: Tensor, other: Tensor, least: float) -> Tensor:
    """(1, h, w) similarity of two frames (C, h, w): 1 where they are equal, near 0 where they differ much."""
    squared = (one - other).square().mean(0)[None, None]
    around = functional.conv2d(functional.pad(squared, (1, 1, 1, 1), mode="replicate"), _kernel(one.device, one.dtype))
    return torch.exp(-around[0] / least**2)


@cache  # a GPU would be waited for at every copy
def _kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    row = torch.tensor(_BINOMIAL, device=device, dtype=dtype)
    return torch.outer(row, row)[None, None]
