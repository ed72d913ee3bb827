"""Runs of the real stages on a small base, each on what the one before it trained."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from conf.compose import compose
from tests.training.models.small_base import small_base
from training.config import TrainConfig, train_config
from training.diffusion import NoiseSchedule
from training.models.motion import adapter_of, add_motion, is_temporal, save_motion
from training.train import run

STAGES = ("motion", "replication", "spatial_lora", "motion_lora")


def parents(root: Path) -> dict[str, Path]:
    """A base and a motion model, untrained but not silent, in folders."""
    base, folders = small_base(NoiseSchedule(prediction="v")), {"base": root / "base", "motion": root / "motion"}
    base.save(folders["base"])
    folders["motion"].mkdir()
    unet = add_motion(base.unet, None)
    torch.manual_seed(0)
    stir(unet, is_temporal)
    save_motion(adapter_of(unet), folders["motion"])
    return folders


@torch.no_grad()
def stir(network: nn.Module, belongs: Any = lambda name: True, by: float = 0.05) -> None:
    """Move parameters at random, so that a network does something."""
    for name, parameter in network.named_parameters():
        if belongs(name):
            parameter.add_(by * torch.randn_like(parameter))


def words(stage: str, data: Path, folders: dict[str, Path], out: Path, /, **said: Any) -> list[str]:
    """A short run, every step logged; `said` overrules."""
    read = {"motion": ("base",), "spatial_lora": ("base",)}.get(stage, ("base", "motion"))
    values: dict[str, Any] = {
        "stage": stage, "data": data, "out": out, **{key: folders[key] for key in read}, "max_steps": 4,
        "batch_size": 2, "num_workers": 0, "log_every": 1, "checkpoint_every": 2, "validate_every": 0,
        "sample_every": 0, "tracker": "none", "optimizer.warmup_steps": 0, **said,
    }  # fmt: skip
    return [f"{key}={value}" for key, value in values.items()]


def config(stage: str, data: Path, folders: dict[str, Path], out: Path, /, **said: Any) -> TrainConfig:
    """The typed configuration of such a run."""
    return train_config(compose("train", words(stage, data, folders, out, **said)))


def train(stage: str, data: Path, folders: dict[str, Path], out: Path, /, **said: Any) -> Path:
    """Such a run, here; returns its folder."""
    run(config(stage, data, folders, out, **said))
    return out
