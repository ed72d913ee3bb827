"""Losses and gradient norms that steps leave on the device, read once for many steps.

Whoever reads a number waits for the device, and the device then waits for whoever reads: a step must not ask. So a loss
that is not finite is found some steps late. Until then nothing that outlives the process is made of the weights: the
loop reads before it validates, paints, writes a checkpoint or ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """The results of a step on this rank.

    Attributes:
        step: its number.
        keys: (B,) of its samples.
        losses: (B,) float32.
        timesteps: (B,) int64; None in a stage without noise.
        norm: () of the gradient of all ranks, before clipping.
    """

    step: int
    keys: tuple[str, ...]
    losses: Tensor
    timesteps: Tensor | None
    norm: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """All numbers, each exact as a float64."""
        return [self.losses, self.norm[None], *([] if self.timesteps is None else [self.timesteps])]

    def with_numbers(self, numbers: Sequence[Tensor]) -> Self:
        """The same with other tensors in place of `tensors`."""
        losses, norm, *timesteps = numbers
        return type(self)(
            step=self.step,
            keys=self.keys,
            losses=losses,
            timesteps=timesteps[0].long() if timesteps else None,
            norm=norm[0],
        )

    @property
    def fault(self) -> "StepFault | None":
        """What is not finite, of an outcome that was read."""
        wrong = [key for key, loss in zip(self.keys, self.losses.tolist(), strict=True) if not math.isfinite(loss)]
        if wrong:
            return StepFault(step=self.step, what="the loss", keys=tuple(wrong))
        if not math.isfinite(float(self.norm)):
            return StepFault(step=self.step, what="the gradient", keys=self.keys)
        return None


@dataclass(frozen=True, kw_only=True)
class StepFault:
    """A step whose loss or gradient is not finite, and the samples that may be why."""

    step: int
    what: str
    keys: tuple[str, ...]


def first_fault(faults: Sequence[StepFault | None]) -> StepFault | None:
    """The first fault of all ranks: a bad loss of one makes the gradient of all bad, and then the loss is named."""
    step = min((fault.step for fault in faults if fault is not None), default=None)
    same = [fault for fault in faults if fault is not None and fault.step == step]
    if not same:
        return None
    what = min((fault.what for fault in same), key=("the loss", "the gradient").index)
    keys = [key for fault in same if fault.what == what for key in fault.keys]
    return StepFault(step=same[0].step, what=what, keys=tuple(keys))


class Unread:
    """Outcomes of steps that were not read from the device yet."""

    def __init__(self) -> None:
        self._outcomes: list[StepOutcome] = []

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, outcome: StepOutcome) -> None:
        """Keep what a step left on the device."""
        self._outcomes.append(outcome)

    def read(self) -> list[StepOutcome]:
        """All of them, on the CPU as float64, by one copy; nothing is unread afterwards."""
        outcomes, self._outcomes = self._outcomes, []
        if not outcomes:
            return []
        parts = [tensor.detach().double() for outcome in outcomes for tensor in outcome.tensors]
        numbers = iter(torch.split(torch.cat(parts).cpu(), [len(part) for part in parts]))
        return [outcome.with_numbers([next(numbers) for _ in outcome.tensors]) for outcome in outcomes]
