"""What the benchmark of completion promises."""

import numpy as np
import pytest
import torch

from benchmarks.completion import change, falls_throughout, left_alone
from benchmarks.painter import processes
from pipelines.evaluation.process import Process


def half_painted() -> Process:
    """A process whose frame 1 has the final left half, while its right half is still blank."""
    frames = np.full((3, 8, 8, 3), 255, np.uint8)
    frames[1:, :, :4] = 100
    frames[2, :, :4] += 2  # not to be seen
    frames[2, :, 4:] = (200, 30, 30)
    return Process(name="half", frames=frames)


def test_only_what_the_real_process_leaves_alone_counts_as_kept() -> None:
    real = half_painted()
    mask = left_alone(real, 1)
    assert mask[:, :4].all() and not mask[:, 4:].any()
    assert not left_alone(real, 0).any() and left_alone(real, 2).all()
    own = change(real.lab[1], real.lab[-1], mask)
    assert own.kept < 1.5 and own.elsewhere > 50


def test_a_painting_that_covers_what_was_there_changes_it_and_one_that_stops_changes_nothing() -> None:
    real = half_painted()
    mask = left_alone(real, 1)
    over = real.altered(np.where(np.arange(3)[:, None, None, None] == 2, np.uint8(0), real.frames))
    assert change(real.lab[1], over.lab[-1], mask).kept > 30
    still = change(real.lab[1], real.lab[1], mask)
    assert still.kept == 0 and still.elsewhere == 0
    assert np.isnan(change(real.lab[1], real.lab[-1], np.ones_like(mask)).elsewhere)


def test_a_curve_falls_only_when_it_falls_at_every_frame() -> None:
    curves = np.array([[3.0, 2, 1, 0], [3, 1, 2, 0], [3, 3, 1, 0]])
    assert falls_throughout(curves).tolist() == [True, False, False]


def test_sequences_become_processes_with_their_pixels() -> None:
    frames = torch.rand(2, 3, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    made = processes(frames)
    assert [one.frames.shape for one in made] == [(3, 4, 5, 3)] * 2
    assert made[1].frames[2, 3, 4, 0] / 255 == pytest.approx(float(frames[1, 2, 0, 3, 4]), abs=1 / 255)
