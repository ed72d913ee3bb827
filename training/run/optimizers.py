"""The optimizer, and its learning rate over the run."""

import io
from collections.abc import Iterable
from contextlib import redirect_stdout

import torch
from torch import nn

from training.config import OptimizerConfig


def make_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the configuration names, over `parameters`."""
    assert config.learning_rate is not None  # `train_config` has filled it in
    if config.name == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,  # one kernel for all weights on a GPU, a tenth of the time on a CPU, where foreach saves none
        )
    from prodigyopt import Prodigy

    with redirect_stdout(io.StringIO()):  # it prints that weight decay is decoupled, among the results of the command
        optimizer: torch.optim.Optimizer = Prodigy(
            parameters,
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            use_bias_correction=True,
            safeguard_warmup=config.warmup_steps > 0,
        )
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, max_steps: int) -> float:
    """Set and return the rate of step `step`, counted from 1; a function of the step, so that resuming needs no state.

    Up to the cool-down it does not depend on `max_steps`, so that a finished run can be made longer.
    """
    assert config.learning_rate is not None
    rate = config.learning_rate
    if step <= config.warmup_steps:
        rate *= step / config.warmup_steps
    steps_left = max_steps - step + 1
    if steps_left <= config.cooldown_steps:
        rate *= steps_left / (config.cooldown_steps + 1)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
