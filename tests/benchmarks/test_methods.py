"""What the benchmark of methods promises."""

import pytest
import torch

from benchmarks.methods import MethodClassifier, mean_canvas


def sequences_of(generator: torch.Generator, count: int, method: int) -> torch.Tensor:
    """Sequences that begin white and turn dark from the left (method 0) or from above (method 1)."""
    frames = 1 - 0.1 * torch.rand(count, 4, 3, 32, 32, generator=generator)
    for number in range(4):
        end = 8 * number
        if method:
            frames[:, number, :, :end] *= 0.3
        else:
            frames[:, number, :, :, :end] *= 0.3
    return frames


def test_the_classifier_tells_unseen_sequences_by_the_way_they_are_painted() -> None:
    generator = torch.Generator().manual_seed(0)
    learnt = torch.cat([sequences_of(generator, 12, method) for method in (0, 1)])
    classifier = MethodClassifier(learnt, torch.arange(2).repeat_interleave(12))
    for method in (0, 1):
        assert classifier.share(sequences_of(generator, 10, method), method) == 1
        assert classifier.share(sequences_of(generator, 10, method), 1 - method) == 0


def test_the_mean_canvas_is_the_colour_of_first_frames() -> None:
    sequences = torch.zeros(3, 4, 3, 16, 16)
    sequences[:, 0] = 1.0
    assert mean_canvas(sequences) == pytest.approx([100, 0, 0], abs=0.1)
