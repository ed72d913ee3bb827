"""The noise that processes are painted from.

A prompt, a seed and a painter give the same process in every version. So the noise is still drawn as it was when
painters were first shipped, although training draws its noise differently now (`training.random.philox`).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def initial_noise(seed: int, positions: Sequence[int], shape: Sequence[int], shared: float) -> Tensor:
    """Noise of each process from (seed, its position), drawn on the CPU.

    Args:
        seed: seed of the command.
        positions: (N,) positions of the processes.
        shape: (T, C, h, w) of the latents of one process.
        shared: how much of its noise a frame has in common with the others, 0 to 1; see `NoiseSchedule`.

    Returns:
        (N, T, C, h, w) float32, of variance 1.
    """
    noises = []
    for position in positions:
        state = np.random.SeedSequence(seed, spawn_key=(1, position)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state))
        noise = torch.randn(*shape, generator=generator)
        if shared:
            # Training once drew these two at this point. They are still drawn, so that the shared noise stays the same.
            torch.randn(*shape, generator=generator)
            torch.rand((), generator=generator)
            noise = shared * torch.randn(*shape[1:], generator=generator) + math.sqrt(1 - shared**2) * noise
        noises.append(noise)
    return torch.stack(noises)
