"""Optimizers are made without a word."""

from typing import Literal

import pytest
import torch

from training.config import OptimizerConfig
from training.run.optimizers import make_optimizer


@pytest.mark.parametrize("name", ["adamw", "prodigy"])
def test_an_optimizer_prints_nothing_among_the_results_of_a_command(
    name: Literal["adamw", "prodigy"], capsys: pytest.CaptureFixture[str]
) -> None:
    config = OptimizerConfig(
        name=name, learning_rate=1.0, betas=(0.9, 0.99), weight_decay=0.01, warmup_steps=0, cooldown_steps=0
    )
    assert make_optimizer(config, [torch.nn.Parameter(torch.zeros(2))]).param_groups
    assert capsys.readouterr() == ("", "")
