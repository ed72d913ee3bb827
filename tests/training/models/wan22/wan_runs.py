"""Short runs of the tiny Wan."""

from pathlib import Path
from typing import Any

from conf.compose import compose
from tests.pipelines.small_dataset import small_dataset
from tests.training.toy_runs import words
from training.config import TrainConfig, train_config
from training.train import run

SHAPE = {"width": 32, "num_blocks": 2, "text_width": 16, "latent_channels": 6}
_KEYS = {
    "model": "wan22_tiny", "batch_size": 2, "max_steps": 2, "optimizer.learning_rate": 0.01,
    **{f"model.shape.{key}": value for key, value in SHAPE.items()},
}  # fmt: skip


def small_scenes(folder: Path) -> Path:
    """Write a data set of nine sequences of 64 px; returns its folder."""
    captions = [f"picture {number}, painted" for number in range(9)]
    return small_dataset(folder / "scenes", captions=captions, size_px=(64, 64))


def arguments(data: Path, out: Path, stage: str, /, **options: Any) -> list[str]:
    """The overrides of a short run; `motion` trains a small LoRA unless `options` say otherwise."""
    lora = {"+stage.lora.rank": 4} if stage == "motion" and "+stage.lora" not in options else {}
    return words(data, out, **{**_KEYS, **lora, "stage": stage, **options})


def config(data: Path, out: Path, stage: str, /, **options: Any) -> TrainConfig:
    """The typed configuration of a short run."""
    return train_config(compose("train", arguments(data, out, stage, **options)))


def train(data: Path, out: Path, stage: str, /, **options: Any) -> Path:
    """Run a short training in this process; returns its folder."""
    run(config(data, out, stage, **options))
    return out
