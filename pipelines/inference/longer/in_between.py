"""Paints long processes by levels: key frames first, then the frames between neighbours, then those between these.

Level 0 is a sequence as the painter learned it, with the user's conditions in the slots nearest to their frames. Its
frames are spread over the long process at equal steps of the canvas distance (`renderers.distance`); a condition's
frame stays where the user put it. On every further level, each pair of neighbours with frames missing in between
becomes the conditions of a sequence of its own (first and last frame, by network and inversion). The sequence begins
from the cross-fade of the two, noised for half of the steps, and decides how the two are blended
(`pipelines.inference.longer.blend`). Where it has enough frames, it gives all that are missing; else its frames are the
keys of the next level. Finally all frames are spaced again at an even pace (`pipelines.inference.longer.pace`); only
the user's frames stay where they are.
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
"""Share of the denoising steps that in-betweens get. With all steps, a weak painter departs from the keys."""

LEAST_SLOTS = 3
"""The fewest frames that a painter's sequences must have, so that one frame lies between two others."""

_FRAMES_PER_STEP = 2  # most frames that one step of a blended sequence is divided into; else a further level paints it
_PIXELS_TOGETHER = 2**18  # of a batch: small sequences fill a GPU; large ones need no more memory than a short process


class PaintSequences(Protocol):
    """Paints sequences of K frames: a `PaintingPipeline` with prompt, size and the like filled in."""

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
        seams: frames at which separately painted pieces meet.
        sequences: how many sequences were painted on each level.
    """

    seams: tuple[int, ...]
    sequences: tuple[int, ...]


@dataclass
class _PartialProcess:
    """The frames of the process so far; `waiting` holds the conditions whose frames are not painted yet."""

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
        path_numbers = np.searchsorted([right for (_, right), _ in paths[:-1]], times)
        for number, ((left, right), path) in enumerate(paths):
            if (within := times[path_numbers == number]).size:
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
        steps: DDIM steps of a whole sequence; used for the progress display only.
        seed: seed of the noise; the noise of each sequence depends on (seed, level, its number on the level).

    Returns:
        (N, 3, H, W) frames in [0, 1], and their pieces.
    """
    process = _PartialProcess({condition.frame % num_frames: condition for condition in pinned})
    fixed = sorted({0, num_frames - 1, *process.waiting})
    with Progress(f"painting {num_slots} key frames", steps, 0, "steps") as progress:
        _paint_keys(paint, process, num_frames, num_slots, seed, partial(progress.advance, 1))
    height, width = process.frames[0].shape[:2]
    together = max(1, _PIXELS_TOGETHER // (num_slots * height * width))
    sequences = [1]
    while gaps := process.gaps:
        level = len(sequences)
        batches = [range(len(gaps))[first : first + together] for first in range(0, len(gaps), together)]
        label = f"painting in-betweens, level {level}, {len(gaps)} sequences"
        with Progress(label, len(batches) * num_steps_of(STEPS_SHARE, steps), 0, "steps") as progress:
            _paint_level(
                paint, process, gaps, batches, num_slots, _level_seed(seed, level), partial(progress.advance, 1)
            )
        sequences.append(len(gaps))
    times = even_times(process.at, fixed)
    seams = {round(float(np.interp(seam, times, np.arange(num_frames)))) for seam in process.seams} - {
        0,
        num_frames - 1,
    }
    frames = torch.from_numpy(process.at(times)).permute(0, 3, 1, 2)
    return frames, Pieces(seams=tuple(sorted(seams)), sequences=tuple(sequences))


def _paint_keys(
    paint: PaintSequences,
    process: _PartialProcess,
    num_frames: int,
    num_slots: int,
    seed: int,
    on_step: Callable[[], None],
) -> None:
    slots = slots_for(sorted(process.waiting), 0, num_frames - 1, num_slots)
    keys = _pictures(
        paint([_conditions(process, slots)], seed=_level_seed(seed, 0), positions=[0], share=1.0, on_step=on_step)[0]
    )
    lengths = step_distances(list(keys), keys[0], keys[-1])
    fixed = {0: 0, **slots, num_frames - 1: num_slots - 1}
    for frame in slots:
        del process.waiting[frame]
    for (left, from_slot), (right, to_slot) in pairwise(sorted(fixed.items())):
        process.frames[left], process.frames[right] = keys[from_slot], keys[to_slot]
        if not process.waiting_in(left, right):
            for picture, frame in place(lengths[from_slot:to_slot], left, right).items():
                process.frames[frame] = keys[from_slot + picture]
    process.seams.update(process.frames)


def _paint_level(
    paint: PaintSequences,
    process: _PartialProcess,
    gaps: Sequence[tuple[int, int]],
    batches: Sequence[range],
    num_slots: int,
    seed: int,
    on_step: Callable[[], None],
) -> None:
    for batch in batches:
        slots = [_slots_in(process, *gaps[number], num_slots) for number in batch]
        conditions = [_conditions(process, sequence_slots) for sequence_slots in slots]
        painted = paint(conditions, seed=seed, positions=batch, share=STEPS_SHARE, on_step=on_step)
        for sequence_slots, sequence in zip(slots, painted, strict=True):
            _fill(process, sequence_slots, _pictures(sequence))


def _slots_in(process: _PartialProcess, left: int, right: int, num_slots: int) -> dict[int, int]:
    return slots_for([left, *process.waiting_in(left, right), right], left, right, num_slots)


def _conditions(process: _PartialProcess, slots: Mapping[int, int]) -> list[PinnedPicture]:
    """The conditions of the slots (frame -> slot): the user's pictures, or frames that are painted already."""
    conditions = []
    for frame, slot in slots.items():
        if frame in process.frames:
            conditions.append(
                PinnedPicture(frame=slot, picture=torch.from_numpy(process.frames[frame]).permute(2, 0, 1))
            )
        else:
            condition = process.waiting[frame]
            conditions.append(PinnedPicture(frame=slot, picture=condition.picture, strength=condition.strength))
    return conditions


def _fill(process: _PartialProcess, slots: Mapping[int, int], painted: Picture) -> None:
    """Put a painted piece into its gap.

    Frames at conditions are taken as they are painted; the frames between two conditions blend these two.
    """
    for frame, slot in slots.items():
        if frame not in process.frames:
            process.frames[frame] = painted[slot]
            process.seams.add(frame)
            del process.waiting[frame]
    for (left, from_slot), (right, to_slot) in pairwise(slots.items()):
        num_steps = to_slot - from_slot
        if num_steps < 2 or right - left < 2 or process.waiting_in(left, right):
            continue  # nothing lies in between, or the next level paints it
        path = BlendPath.between(process.frames[left], process.frames[right], painted[from_slot : to_slot + 1])
        inner = np.arange(left + 1, right)
        if right - left > _FRAMES_PER_STEP * num_steps:  # too few steps for all frames: they are keys of the next level
            inner = np.linspace(left, right, num_steps + 1).round().astype(int)[1:-1]
            process.seams.update(inner.tolist())
        else:
            process.paths[left, right] = path
        states = path.along((inner - left) / (right - left), *process.ends)
        process.frames.update(zip(inner.tolist(), states, strict=True))


def _pictures(sequence: Tensor) -> Picture:
    """(K, H, W, 3) from (K, 3, H, W)."""
    pictures: Picture = sequence.permute(0, 2, 3, 1).contiguous().numpy()
    return pictures


def _level_seed(seed: int, level: int) -> int:
    """Seed of a level; level 0 has the seed of a short process, and so the same noise."""
    if level == 0:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(level,)).generate_state(1, np.uint32)[0])
