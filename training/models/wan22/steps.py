"""Steps of sampling on straight lines to noise: Euler's, or UniPC (Zhao et al. 2023), the solver of Wan2.2.

UniPC uses earlier predictions for each step, and corrects a step when the next prediction is known. Inversion takes
single steps of pictures; these are Euler's.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import UniPCMultistepScheduler

    from training.models.wan22.flow import Flow

AXES_OF_SEQUENCES = 5  # sequences, frames, channels, and two of cells


class EulerSteps:
    """See `training.objective.Sampler`.

    Args:
        flow: the flow that is sampled.
        timesteps: (S + 1,) timesteps between which steps are taken, from all noise to none.
    """

    def __init__(self, flow: "Flow", timesteps: Tensor) -> None:
        self._flow, self._ends = flow, timesteps
        self.timesteps = timesteps[:-1]

    def step(self, prediction: Tensor, number: int, latents: Tensor) -> Tensor:
        """Latents (B, ...) after step `number`."""
        before, after = (self._flow.shares(self._ends[at : at + 1], latents) for at in (number, number + 1))
        return latents + (after - before) * prediction


class UniPcSteps(EulerSteps):
    """See `training.objective.Sampler`. Steps of sequences must be taken in their order, starting at any of them.

    Args:
        flow, timesteps: as in `EulerSteps`.
    """

    def __init__(self, flow: "Flow", timesteps: Tensor) -> None:
        super().__init__(flow, timesteps)
        self._solvers: list[UniPCMultistepScheduler] = []  # one per frame, because frames may differ in noise

    def step(self, prediction: Tensor, number: int, latents: Tensor) -> Tensor:
        """Latents (B, ...) after step `number`."""
        if latents.ndim != AXES_OF_SEQUENCES:
            return super().step(prediction, number, latents)
        if not self._solvers:
            shares = self._flow.of_frames(self._ends, latents.shape[1]) / self._flow.num_steps
            self._solvers = [_solver(of_frame, number) for of_frame in shares.T]
        return torch.cat(
            [
                solver.step(prediction[:, [frame]], solver.timesteps[number], latents[:, [frame]], return_dict=False)[0]
                for frame, solver in enumerate(self._solvers)
            ],
            dim=1,
        )


def _solver(shares: Tensor, begins_at: int) -> "UniPCMultistepScheduler":
    """The scheduler of diffusers for steps between (S + 1,) shares of noise."""
    from diffusers import UniPCMultistepScheduler

    solver = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    solver.set_timesteps(sigmas=shares[:-1].double().numpy())
    solver.set_begin_index(begins_at)
    return solver
