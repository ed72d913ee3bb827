"""Short runs of the real stages on a small data set, in this process."""

from pathlib import Path
from typing import Any

from conf.command import Summary
from conf.compose import compose
from tests.training.toy_runs import words
from training.config import train_config
from training.train import run

SMALL = {
    "model.shape.channels": "[16]", "model.shape.plain_levels": 0, "model.shape.text_width": 16,
    "model.shape.patch_px": 8, "model.shape.latent_channels": 8,
}  # fmt: skip


def train(data: Path, out: Path, /, **options: Any) -> Summary:
    """Run the stage that the option `stage` names."""
    return run(train_config(compose("train", words(data, out, **{**SMALL, **options}))))
