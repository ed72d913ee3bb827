"""What painting by levels promises, tried with a painter that keeps to its conditions and flickers in between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipelines.inference.longer import in_between
from pipelines.inference.longer.in_between import Pieces, paint_long
from pipelines.inference.longer.seams import measure_seams
from pipelines.inference.pinned import PinnedPicture

SIDE = 16


@dataclass
class FakePainter:
    """Darkens from white to its last frame, flickering, but is exactly what is pinned where something is pinned.

    Attributes:
        num_slots: K.
        haste: 1 for even progress; below it, most of the way is gone at the first step.
        asked: (seed, position, pinned slots) of all sequences.
    """

    num_slots: int = 8
    haste: float = 1.0
    asked: list[tuple[int, int, list[int]]] = field(default_factory=list)

    def __call__(
        self,
        conditions: Sequence[Sequence[PinnedPicture]],
        *,
        seed: int,
        positions: Sequence[int],
        share: float,
        on_step: Callable[[], None],
    ) -> Tensor:
        on_step()
        sequences = [self._one(*pair, seed) for pair in zip(conditions, positions, strict=True)]
        assert share == (1.0 if len(self.asked) == 1 else in_between.STEPS_SHARE)
        return torch.stack(sequences)

    def _one(self, pinned: Sequence[PinnedPicture], position: int, seed: int) -> Tensor:
        self.asked.append((seed, position, [one.frame for one in pinned]))
        generator = torch.Generator().manual_seed(1000 * seed + position)
        fixed = {one.frame: one.picture for one in pinned}
        ends = fixed.get(0, torch.ones(3, SIDE, SIDE)), fixed.get(self.num_slots - 1, picture(99))
        late = torch.linspace(0, 1, self.num_slots) ** self.haste
        frames = [
            fixed.get(
                slot, ends[0] + share * (ends[1] - ends[0]) + 0.1 * torch.rand(3, SIDE, SIDE, generator=generator)
            )
            for slot, share in enumerate(late)
        ]
        return torch.stack(frames).clamp(0, 1)


def picture(number: int) -> Tensor:
    return torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(number))


def paint(painter: FakePainter, num_frames: int, *frames: int, seed: int = 0) -> tuple[Tensor, Pieces]:
    pinned = [PinnedPicture(frame=frame, picture=picture(frame)) for frame in frames]
    return paint_long(painter, num_frames, painter.num_slots, pinned, steps=4, seed=seed)


@settings(max_examples=40)
@given(st.data())
def test_so_many_frames_come_out_and_every_condition_is_at_its_frame(data: st.DataObject) -> None:
    num_slots = data.draw(st.integers(3, 9))
    num_frames = data.draw(st.integers(num_slots + 1, 48))
    frames = data.draw(st.sets(st.integers(0, num_frames - 1), max_size=16))
    painted, pieces = paint(FakePainter(num_slots), num_frames, *sorted(frames, reverse=True))
    assert painted.shape == (num_frames, 3, SIDE, SIDE)
    assert torch.isfinite(painted).all() and float(painted.min()) >= 0 and float(painted.max()) <= 1
    for frame in frames:
        assert torch.equal(painted[frame], picture(frame))
    assert list(pieces.seams) == sorted(set(pieces.seams)) and set(pieces.seams) <= set(range(1, num_frames - 1))


@pytest.mark.parametrize(("num_frames", "levels"), [(9, 2), (64, 2), (256, 3)])
def test_levels_are_few(num_frames: int, levels: int) -> None:
    painter = FakePainter()
    painted, pieces = paint(painter, num_frames)
    assert len(painted) == num_frames
    assert len(pieces.sequences) == levels
    assert pieces.sequences[0] == 1 and sum(pieces.sequences) == len(painter.asked)
    assert pieces.sequences[1] <= 7


def test_neighbouring_frames_are_the_conditions_of_the_next_level() -> None:
    painter = FakePainter()
    paint(painter, 64, 17)
    assert painter.asked[0] == (0, 0, [2])
    assert all(pinned == [0, 7] for _, _, pinned in painter.asked[1:])


def test_no_two_sequences_begin_from_the_same_noise() -> None:
    painter = FakePainter()
    paint(painter, 256)
    seeds = [(seed, position) for seed, position, _ in painter.asked]
    assert len(set(seeds)) == len(seeds)


def test_what_is_painted_together_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = paint(FakePainter(), 40, 11, seed=5)  # one batch a level
    monkeypatch.setattr(in_between, "_PIXELS_TOGETHER", 1)
    alone, _ = paint(FakePainter(), 40, 11, seed=5)
    assert torch.equal(alone, expected)
    assert not torch.equal(paint(FakePainter(), 40, 11, seed=6)[0], expected)


@pytest.mark.parametrize(("num_frames", "haste"), [(16, 1.0), (16, 0.3), (64, 1.0), (64, 0.3), (200, 1.0)])
def test_steps_at_seams_are_at_most_one_and_a_half_times_the_median(num_frames: int, haste: float) -> None:
    painted, pieces = paint(FakePainter(haste=haste), num_frames)
    frames = (painted * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert measure_seams(frames, pieces.seams).max_ratio <= 1.5


def test_the_way_between_keys_never_goes_back() -> None:
    painted, pieces = paint(FakePainter(), 64)
    keys = [0, *pieces.seams, 63]
    for left, right in pairwise(keys):
        piece = painted[left + 1 : right]  # the frames nearest to keys may lie on either side of them
        to_right = (piece - piece[-1:]).abs().numpy()
        assert (np.diff(to_right, axis=0) <= 1e-5).all()
