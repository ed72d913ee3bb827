"""Parents of the later stages, made in a second, and runs of the stages that are trained on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.training import toy_runs
from tests.training.models.small_base import small_base
from training.config import TrainConfig
from training.models.sd15.motion import adapter_of, add_motion, is_temporal, save_motion
from training.noise_schedule import NoiseSchedule
from training.train import run

STAGES = ("motion", "replication", "spatial_lora", "motion_lora")


def untrained_parents(root: Path) -> dict[str, Path]:
    """Key -> folder of an untrained base and a motion model, whose temporal layers do not give zeros."""
    base, folders = small_base(NoiseSchedule(prediction="v")), {"base": root / "base", "motion": root / "motion"}
    base.save(folders["base"])
    folders["motion"].mkdir()
    unet = add_motion(base.unet, None)
    stir(unet, is_temporal)
    save_motion(adapter_of(unet), folders["motion"])
    return folders


@torch.no_grad()
def stir(network: nn.Module, belongs: Callable[[str], bool] = lambda name: True, by: float = 0.05) -> None:
    """Add the same random numbers to parameters every time, so that layers that begin at zero have an effect."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if belongs(name):
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))


def said_of(stage: str, folders: dict[str, Path], /, **options: Any) -> dict[str, Any]:
    """Keys of a short run of a stage; `options` take precedence."""
    parents = folders if stage in ("replication", "motion_lora") else {"base": folders["base"]}
    return {"stage": stage, "max_steps": 4, "batch_size": 2, **parents, **options}


def config(stage: str, data: Path, folders: dict[str, Path], out: Path, /, **options: Any) -> TrainConfig:
    """The typed configuration of a short run."""
    return toy_runs.config(data, out, **said_of(stage, folders, **options))


def train(stage: str, data: Path, folders: dict[str, Path], out: Path, /, **options: Any) -> Path:
    """Run a stage briefly in this process; returns the folder."""
    run(config(stage, data, folders, out, **options))
    return out
