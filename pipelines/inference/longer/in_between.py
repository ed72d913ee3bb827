"""Long processes by levels: key frames first, then what lies between neighbours, then what lies between those.

Level 0 is a sequence as the painter learned it, with the user's conditions in the slots nearest to their frames. Its
frames are spread over the long process at equal steps of the distance in which paintings are measured; a condition's
frame stays where the user put it. On every further level all neighbours with frames missing in between become the
conditions of a sequence of their own (first and last frame, by network and inversion). It begins from the cross-fade
of the two, noised for half of the steps, and decides how the two are blended
(`pipelines.inference.longer.blend`). Where it is long enough, it gives all the frames that are missing; else its frames
are the keys of the next level. At last all frames are spaced again at an even pace
(`pipelines.inference.longer.pace`); only the user's frames stay where they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from conf.progress import Progress
from pipelines.inference.longer.blend import BlendPath, Picture
from pipelines.inference.longer.pace import even_times
from pipelines.inference.longer.time_line import place, slots_for
from pipelines.inference.pinned import PinnedPicture
from renderers.distance import step_distances
from training.diffusion import num_steps_of

STEPS_SHARE = 0.5
"""Share of the denoising steps that in-betweens get. With all of them a weak painter leaves the keys."""

LEAST_SLOTS = 3
"""Frames that a painter must know for one to lie between two."""

_FINEST = 2  # frames that one step of a blended sequence may be divided into; more, and it is painted as a piece itself
_PIXELS_TOGETHER = 2**18  # small sequences fill a GPU together; large ones need no more memory than a short process


class PaintSequences(Protocol):
    """Paints sequences of K frames; `PaintingPipeline` with prompt, size and the like filled in."""

    def __call__(
        self,
        conditions: Sequence[Sequence[PinnedPicture]],
        *,
        seed: int,
        positions: Sequence[int],
        share: float,
        on_step: Callable[[], None],
    ) -> Tensor:
        """(B, K, 3, H, W) in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """The short sequences that a long process is made of.

    Attributes:
        seams: frames at which pieces meet that were painted apart.
        sequences: how many were painted on each level.
    """

    seams: tuple[int, ...]
    sequences: tuple[int, ...]


@dataclass
class _Line:
    """The frames of the process so far."""

    waiting: dict[int, PinnedPicture]
    frames: dict[int, Picture] = field(default_factory=dict)
    paths: dict[tuple[int, int], BlendPath] = field(default_factory=dict)
    seams: set[int] = field(default_factory=set)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return [(left, right) for left, right in pairwise(sorted(self.frames)) if right - left > 1]

    @property
    def ends(self) -> tuple[Picture, Picture]:
        return self.frames[0], self.frames[max(self.frames)]

    def at(self, times: NDArray[np.float64]) -> Picture:
        """(S, H, W, 3) the finished process at ascending times, counted in frames."""
        covered = {frame for left, right in self.paths for frame in range(left, right)}
        straight = {
            (frame, frame + 1): BlendPath.straight(self.frames[frame], self.frames[frame + 1])
            for frame in sorted(self.frames.keys() - covered)[:-1]
        }
        paths, states = sorted({**straight, **self.paths}.items(), key=itemgetter(0)), []
        of = np.searchsorted([right for (_, right), _ in paths[:-1]], times)
        for number, ((left, right), path) in enumerate(paths):
            if (within := times[of == number]).size:
                states.append(path.along((within - left) / (right - left), *self.ends))
        return np.concatenate(states)

    def waiting_in(self, left: int, right: int) -> list[int]:
        return sorted(frame for frame in self.waiting if left < frame < right)


def paint_long(
    paint: PaintSequences, num_frames: int, num_slots: int, pinned: Sequence[PinnedPicture], *, steps: int, seed: int
) -> tuple[Tensor, Pieces]:
    """Paint a process of more frames than a sequence has.

    Args:
        paint: paints sequences.
        num_frames: N, more than K.
        num_slots: K, at least `LEAST_SLOTS`.
        pinned: conditions at frames of the whole process.
        steps: of DDIM for a whole sequence; for progress shown only.
        seed: of the noise; that of each sequence depends on (seed, level, its number there).

    Returns:
        (N, 3, H, W) frames in [0, 1], and their pieces.
    """
    line = _Line({one.frame % num_frames: one for one in pinned})
    fixed = sorted({0, num_frames - 1, *line.waiting})
    with Progress(f"painting {num_slots} key frames", steps, 0, "steps") as progress:
        _paint_keys(paint, line, num_frames, num_slots, seed, partial(progress.advance, 1))
    height, width = line.frames[0].shape[:2]
    together = max(1, _PIXELS_TOGETHER // (num_slots * height * width))
    sequences = [1]
    while gaps := line.gaps:
        level = len(sequences)
        batches = [range(len(gaps))[first : first + together] for first in range(0, len(gaps), together)]
        label = f"painting in-betweens, level {level}, {len(gaps)} sequences"
        with Progress(label, len(batches) * num_steps_of(STEPS_SHARE, steps), 0, "steps") as progress:
            _paint_level(paint, line, gaps, batches, num_slots, _level_seed(seed, level), partial(progress.advance, 1))
        sequences.append(len(gaps))
    times = even_times(line.at, fixed)
    seams = {round(float(np.interp(seam, times, np.arange(num_frames)))) for seam in line.seams} - {0, num_frames - 1}
    frames = torch.from_numpy(line.at(times)).permute(0, 3, 1, 2)
    return frames, Pieces(seams=tuple(sorted(seams)), sequences=tuple(sequences))


def _paint_keys(
    paint: PaintSequences, line: _Line, num_frames: int, num_slots: int, seed: int, on_step: Callable[[], None]
) -> None:
    slots = slots_for(sorted(line.waiting), 0, num_frames - 1, num_slots)
    keys = _pictures(
        paint([_conditions(line, slots)], seed=_level_seed(seed, 0), positions=[0], share=1.0, on_step=on_step)[0]
    )
    lengths = step_distances(list(keys), keys[0], keys[-1])
    fixed = {0: 0, **slots, num_frames - 1: num_slots - 1}
    for frame in slots:
        del line.waiting[frame]
    for (left, from_slot), (right, to_slot) in pairwise(sorted(fixed.items())):
        line.frames[left], line.frames[right] = keys[from_slot], keys[to_slot]
        if not line.waiting_in(left, right):
            for picture, frame in place(lengths[from_slot:to_slot], left, right).items():
                line.frames[frame] = keys[from_slot + picture]
    line.seams.update(line.frames)


def _paint_level(
    paint: PaintSequences,
    line: _Line,
    gaps: Sequence[tuple[int, int]],
    batches: Sequence[range],
    num_slots: int,
    seed: int,
    on_step: Callable[[], None],
) -> None:
    for batch in batches:
        slots = [_slots_in(line, *gaps[number], num_slots) for number in batch]
        conditions = [_conditions(line, one) for one in slots]
        painted = paint(conditions, seed=seed, positions=batch, share=STEPS_SHARE, on_step=on_step)
        for sequence_slots, sequence in zip(slots, painted, strict=True):
            _fill(line, sequence_slots, _pictures(sequence))


def _slots_in(line: _Line, left: int, right: int, num_slots: int) -> dict[int, int]:
    return slots_for([left, *line.waiting_in(left, right), right], left, right, num_slots)


def _conditions(line: _Line, slots: Mapping[int, int]) -> list[PinnedPicture]:
    """The conditions of the slots: the user's pictures, or frames that are painted already."""
    conditions = []
    for frame, slot in slots.items():
        if frame in line.frames:
            conditions.append(PinnedPicture(frame=slot, picture=torch.from_numpy(line.frames[frame]).permute(2, 0, 1)))
        else:
            one = line.waiting[frame]
            conditions.append(PinnedPicture(frame=slot, picture=one.picture, strength=one.strength))
    return conditions


def _fill(line: _Line, slots: Mapping[int, int], painted: Picture) -> None:
    """Put a painted piece into its gap.

    Frames of conditions are taken as they are painted; what lies between two of them blends them.
    """
    for frame, slot in slots.items():
        if frame not in line.frames:
            line.frames[frame] = painted[slot]
            line.seams.add(frame)
            del line.waiting[frame]
    for (left, from_slot), (right, to_slot) in pairwise(slots.items()):
        num_steps = to_slot - from_slot
        if num_steps < 2 or right - left < 2 or line.waiting_in(left, right):
            continue  # neighbours, or left to the next level
        path = BlendPath.between(line.frames[left], line.frames[right], painted[from_slot : to_slot + 1])
        inner = np.arange(left + 1, right)
        if right - left > _FINEST * num_steps:  # too few for all: keys of the next level
            inner = np.linspace(left, right, num_steps + 1).round().astype(int)[1:-1]
            line.seams.update(inner.tolist())
        else:
            line.paths[left, right] = path
        states = path.along((inner - left) / (right - left), *line.ends)
        line.frames.update(zip(inner.tolist(), states, strict=True))


def _pictures(sequence: Tensor) -> Picture:
    """(K, H, W, 3) from (K, 3, H, W)."""
    pictures: Picture = sequence.permute(0, 2, 3, 1).contiguous().numpy()
    return pictures


def _level_seed(seed: int, level: int) -> int:
    """Seed of a level; level 0 has the seed, and so the noise, of a short process."""
    if level == 0:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(level,)).generate_state(1, np.uint32)[0])
