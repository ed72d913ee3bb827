"""Stands in for an accelerator that group offloading moves weights to: there is none where tests run."""

import pytest
import torch
from diffusers.hooks.group_offloading import ModuleGroup
from torch import Tensor, nn


def hide_absent_weights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Weights that are not on the accelerator hold NaN from now on, so that a layer that was not fetched is seen.

    Returns:
        How many weights were fetched, at each fetch.
    """
    kept: dict[int, Tensor] = {}
    fetches: list[int] = []

    def weights_of(group: ModuleGroup) -> list[Tensor]:
        modules: list[nn.Module] = group.modules
        of_modules = [weight for module in modules for weight in (*module.parameters(), *module.buffers())]
        return [one for one in (*of_modules, *group.parameters, *group.buffers) if one.is_floating_point()]

    def fetch(group: ModuleGroup) -> None:
        for weight in weights_of(group):
            weight.data = kept[id(weight)]
        fetches.append(len(weights_of(group)))

    def leave(group: ModuleGroup) -> None:
        for weight in weights_of(group):
            if not weight.isnan().all():  # a layer of another network may share it, and have left it
                kept[id(weight)] = weight.data
            weight.data = torch.full_like(weight.data, torch.nan)

    monkeypatch.setattr(ModuleGroup, "onload_", fetch)
    monkeypatch.setattr(ModuleGroup, "offload_", leave)
    return fetches
