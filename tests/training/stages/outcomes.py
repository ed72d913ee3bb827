"""The effect of a run on the parts of its stage."""

from dataclasses import dataclass
from pathlib import Path

import torch

from training.config import TrainConfig
from training.data.stream import SequenceStream
from training.models.weights import module_hash, trained_parameters
from training.run.checkpoint import newest_sound
from training.stages import Stage
from training.stages.make import make_stage
from training.train import run


def prepared(config: TrainConfig) -> Stage:
    """The stage of a run, before it begins."""
    return make_stage(config, SequenceStream.open(config.data, split="train", frames=config.stage.frames))


@dataclass(frozen=True)
class Moved:
    """Hashes of the frozen parts of a stage, and its trained parameters, before and after a run."""

    frozen_before: dict[str, str]
    frozen_after: dict[str, str]
    trained_before: dict[str, torch.Tensor]
    trained_after: dict[str, torch.Tensor]
    stage: Stage


def moved_by(config: TrainConfig) -> Moved:
    """Run a configuration, and compare its stage before and after."""
    stages: list[Stage] = []
    frozen: dict[str, str] = {}
    trained: dict[str, torch.Tensor] = {}

    def make_and_record(config: TrainConfig, stream: SequenceStream) -> Stage:
        stages.append(make_stage(config, stream))
        frozen.update({name: module_hash(module) for name, module in stages[0].frozen.items()})
        trained.update({name: p.detach().clone() for name, p in trained_parameters(stages[0].network).items()})
        return stages[0]

    run(config, make_and_record)
    return Moved(
        frozen_before=frozen,
        frozen_after={name: module_hash(module) for name, module in stages[0].frozen.items()},
        trained_before=trained,
        trained_after=dict(trained_parameters(stages[0].network)),
        stage=stages[0],
    )


def mean_gradients(run: Path) -> list[torch.Tensor]:
    """Mean gradients of all trained parameters, from the optimizer in the newest checkpoint."""
    checkpoint = newest_sound(run / "checkpoints", print)
    assert checkpoint is not None
    return [moments["exp_avg"] for _, moments in sorted(checkpoint.state("optimizer")["state"].items())]
