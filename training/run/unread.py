"""Losses and gradient norms that steps leave on the device, read once for many steps.

Whoever reads a number waits for the device, and the device then waits for whoever reads: a step must not ask. So a loss
that is not finite is found some steps late. Until then nothing that outlives the process is made of the weights: the
loop reads before it validates, paints, writes a checkpoint or ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """The results of a step on this rank, on the device.

    Attributes:
        step: its number.
        keys: (B,) of its samples.
        losses: (B,) float32.
        timesteps: (B,) whole numbers or not; None in a stage without noise.
        norm: () of the gradient of all ranks, before clipping.
    """

    step: int
    keys: tuple[str, ...]
    losses: Tensor
    timesteps: Tensor | None
    norm: Tensor


@dataclass(frozen=True, kw_only=True)
class StepFault:
    """A step whose loss or gradient is not finite, and the samples that may be why."""

    step: int
    what: str
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The results of S steps on this rank, on the CPU; what belongs to samples has all N of them, step by step.

    Attributes:
        steps: (S,) their numbers.
        keys: (S,) of the samples of each.
        losses: (N,) float64.
        timesteps: (N,) int64; None in a stage without noise.
        norms: (S,) float64.
    """

    steps: tuple[int, ...]
    keys: tuple[tuple[str, ...], ...]
    losses: Tensor
    timesteps: Tensor | None
    norms: Tensor

    @property
    def fault(self) -> StepFault | None:
        """The first that is not finite."""
        if self.losses.isfinite().all() and self.norms.isfinite().all():
            return None
        losses = torch.split(self.losses, [len(keys) for keys in self.keys])
        for step, keys, own_losses, norm in zip(self.steps, self.keys, losses, self.norms, strict=True):
            wrong = tuple(key for key, loss in zip(keys, own_losses, strict=True) if not loss.isfinite())
            if wrong:
                return StepFault(step=step, what="the loss", keys=wrong)
            if not norm.isfinite():
                return StepFault(step=step, what="the gradient", keys=keys)
        raise AssertionError("something is not finite, and everything is")


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

    def read(self) -> Reading:
        """All of them, at least one, by one copy; nothing is unread afterwards."""
        outcomes, self._outcomes = self._outcomes, []
        losses, norms = torch.cat([each.losses for each in outcomes]), torch.stack([each.norm for each in outcomes])
        kinds, drawn = [losses, norms], [each.timesteps for each in outcomes if each.timesteps is not None]
        if drawn:
            kinds.append(torch.cat(drawn))
        joined = torch.cat([kind.detach().double() for kind in kinds]).cpu()
        numbers = torch.split(joined, [len(kind) for kind in kinds])
        return Reading(
            steps=tuple(each.step for each in outcomes),
            keys=tuple(each.keys for each in outcomes),
            losses=numbers[0],
            norms=numbers[1],
            timesteps=numbers[2].long() if drawn else None,
        )
