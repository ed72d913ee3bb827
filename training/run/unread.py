"""Losses and gradient norms that steps leave on the device, read once for many steps.

Reading a number makes this process wait for the device, which then waits for new work, so a step must not read. A loss
that is not finite is therefore found some steps late. Until then nothing that outlives the process is made from the
weights: the loop reads before it validates, paints, writes a checkpoint or ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """The results of a step on this rank, on the device.

    Attributes:
        step: number of the step.
        keys: (B,) keys of its samples.
        losses: (B,) float32.
        timesteps: (B,), may be fractions; None in a stage without noise.
        norm: () norm of the gradient of all ranks, before clipping.
    """

    step: int
    keys: tuple[str, ...]
    losses: Tensor
    timesteps: Tensor | None
    norm: Tensor


@dataclass(frozen=True, kw_only=True)
class StepFault:
    """A step whose loss or gradient is not finite, and the samples that may have caused it."""

    step: int
    what: str
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The results of S steps on this rank, on the CPU. Values of samples are those of all N samples, step by step.

    Attributes:
        steps: (S,) numbers of the steps.
        keys: (S,) keys of the samples of each step.
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
        """The first step whose loss or gradient is not finite; None if all are finite."""
        if self.losses.isfinite().all() and self.norms.isfinite().all():
            return None
        losses = torch.split(self.losses, [len(keys) for keys in self.keys])
        for step, keys, own_losses, norm in zip(self.steps, self.keys, losses, self.norms, strict=True):
            faulty_keys = tuple(key for key, loss in zip(keys, own_losses, strict=True) if not loss.isfinite())
            if faulty_keys:
                return StepFault(step=step, what="the loss", keys=faulty_keys)
            if not norm.isfinite():
                return StepFault(step=step, what="the gradient", keys=keys)
        raise AssertionError("something is not finite, and everything is")


def first_fault(faults: Sequence[StepFault | None]) -> StepFault | None:
    """The earliest fault of any rank. One bad loss spoils the gradient of all ranks; the loss is then named."""
    step = min((fault.step for fault in faults if fault is not None), default=None)
    faults_of_step = [fault for fault in faults if fault is not None and fault.step == step]
    if not faults_of_step:
        return None
    what = min((fault.what for fault in faults_of_step), key=("the loss", "the gradient").index)
    keys = [key for fault in faults_of_step if fault.what == what for key in fault.keys]
    return StepFault(step=faults_of_step[0].step, what=what, keys=tuple(keys))


class Unread:
    """Outcomes of steps that have not been read from the device yet."""

    def __init__(self) -> None:
        self._outcomes: list[StepOutcome] = []

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, outcome: StepOutcome) -> None:
        """Keep what a step left on the device."""
        self._outcomes.append(outcome)

    def read(self) -> Reading:
        """Read all outcomes in one copy, and drop them; there must be at least one."""
        outcomes, self._outcomes = self._outcomes, []
        losses, norms = torch.cat([each.losses for each in outcomes]), torch.stack([each.norm for each in outcomes])
        columns, timesteps = [losses, norms], [each.timesteps for each in outcomes if each.timesteps is not None]
        if timesteps:
            columns.append(torch.cat(timesteps))
        joined = torch.cat([column.detach().double() for column in columns]).cpu()
        values = torch.split(joined, [len(column) for column in columns])
        return Reading(
            steps=tuple(each.step for each in outcomes),
            keys=tuple(each.keys for each in outcomes),
            losses=values[0],
            norms=values[1],
            timesteps=values[2].long() if timesteps else None,
        )
