"""A stage that trains in milliseconds, and a command that trains it: `python -m tests.training.toy key=value`.

TOY_KEYS=FILE: each rank writes positions and keys of its training batches into FILE.<rank>.
TOY_DROPOUT=0.5: the network draws from torch's own generator, as a library's layer may.
TOY_STEP_S=0.1: a step takes longer.
TOY_POISON=KEY: the loss of this sequence is not a number.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from conf.command import leave
from training.config import TrainConfig
from training.data.batch import SequenceBatch, Tokenise
from training.data.stream import SequenceStream
from training.models.weights import holding
from training.stages import StageLoss
from training.train import main

WIDTH = 8


class ToyNetwork(nn.Module):
    """Predicts the noise of small pictures with a frozen layer and two trained ones."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.frozen = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
        self.first, self.last = nn.Conv2d(8, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 3, 3, padding=1)
        self.dropout = nn.Dropout(float(os.environ.get("TOY_DROPOUT", "0")))

    def forward(self, batch: SequenceBatch) -> StageLoss:
        assert batch.frames is not None
        if self.training and torch.is_grad_enabled() and "TOY_KEYS" in os.environ:
            with Path(f"{os.environ['TOY_KEYS']}.{os.environ.get('RANK', '0')}").open("a") as file:
                pairs = zip(batch.positions.tolist(), batch.keys, strict=True)
                file.writelines(f"{position} {key}\n" for position, key in pairs)
        time.sleep(float(os.environ.get("TOY_STEP_S", "0")))
        pictures = nn.functional.adaptive_avg_pool2d(batch.frames.mean(1), 8)
        noises, timesteps = zip(*(self._draw(int(position)) for position in batch.positions), strict=True)
        noise, timestep = torch.stack(noises).to(pictures), torch.tensor(timesteps, device=pictures.device)
        noisy = pictures + noise * (0.1 + timestep[:, None, None, None] / 1000)
        guess = self.last(self.dropout(torch.tanh(self.first(self.frozen(noisy)))))
        per_sample = (guess - noise).square().mean((1, 2, 3))
        poison = [torch.nan if key == os.environ.get("TOY_POISON") else 1.0 for key in batch.keys]
        per_sample = per_sample * per_sample.new_tensor(poison)
        return StageLoss(loss=per_sample.mean(), per_sample=per_sample.detach(), timesteps=timestep)

    def _draw(self, position: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(position, 0)))
        return torch.from_numpy(rng.standard_normal((3, 8, 8), np.float32)), int(rng.integers(1000))


class ToyStage:
    """The stage that trains the toy network."""

    name = "motion"
    frames: Literal["all", "last"] = "all"
    num_steps: int | None = 1000
    tokenise: Tokenise | None = None

    def __init__(self, seed: int) -> None:
        self.network: nn.Module = ToyNetwork(seed)
        self.frozen: Mapping[str, nn.Module] = {"frozen": self.network.get_submodule("frozen")}

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        with holding(self.network, weights):
            state = {name: self.network.get_parameter(name).detach() for name in weights}
            save_file(state, folder / "toy.safetensors")

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(len(prompts), 8, 3, 16, 16, generator=generator)


def make_toy_stage(config: TrainConfig, data: SequenceStream) -> ToyStage:
    """Makes the toy stage, with the signature of `training.stages.make.make_stage`."""
    assert data.num_frames == 8
    return ToyStage(config.seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    leave(main(make_toy_stage))
