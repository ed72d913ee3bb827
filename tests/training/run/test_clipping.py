"""Gradients are clipped to their length over all tensors, in whichever place of a step that happens."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from training.run.clipping import Clipping

SHAPES = [(3,), (), (300, 300), (8, 4, 3, 3), (70_000,), (0,)]
"""Small and large ones, with none and with many axes."""
WAYS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "fused": partial(torch.optim.AdamW, lr=0.1, fused=True),
    "plain": partial(torch.optim.SGD, lr=0.1),
}


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    for parameter in made[1:]:  # the first was not used, and has none
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [1.0, 1e6, None])
def test_a_step_is_that_of_torchs_clipping(way: str, limit: float | None) -> None:
    ours, theirs = parameters(), parameters()
    optimizer, reference = WAYS[way](ours), WAYS[way](theirs)
    clipping = Clipping(ours, limit, optimizer)
    for share in (1.0, 1e-3):  # a later step does not keep what an earlier one was clipped by
        for each in (*ours, *theirs):
            if each.grad is not None:
                each.grad.mul_(share)
        norm = clipping.clip()
        expected = torch.nn.utils.clip_grad_norm_(theirs, float("inf") if limit is None else limit)
        torch.testing.assert_close(norm, expected)
        optimizer.step()
        reference.step()
        for own, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(own, other)


def test_a_gradient_that_is_not_finite_has_no_finite_length() -> None:
    for number in (1, 2):  # a small and a large one
        made = parameters()
        gradient = made[number].grad
        assert gradient is not None
        gradient.view(-1)[0] = float("nan")
        assert not Clipping(made, 1.0, torch.optim.SGD(made)).clip().isfinite()
