"""A stand-in for the accelerator to which group offloading moves weights, as tests run without one."""

import pytest
import torch
from diffusers.hooks.group_offloading import ModuleGroup
from torch import Tensor, nn


def hide_absent_weights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on, weights that are not on the accelerator hold NaN, so that a layer that is not fetched gives NaN.

    Returns:
        A list to which each fetch adds the number of fetched weights.
    """
    stored: dict[int, Tensor] = {}
    fetches: list[int] = []

    def weights_of(group: ModuleGroup) -> list[Tensor]:
        modules: list[nn.Module] = group.modules
        of_modules = [weight for module in modules for weight in (*module.parameters(), *module.buffers())]
        return [weight for weight in (*of_modules, *group.parameters, *group.buffers) if weight.is_floating_point()]

    def fetch(group: ModuleGroup) -> None:
        for weight in weights_of(group):
            weight.data = stored[id(weight)]
        fetches.append(len(weights_of(group)))

    def leave(group: ModuleGroup) -> None:
        for weight in weights_of(group):
            if not weight.isnan().all():  # a layer of another network may share the weight and have moved it already
                stored[id(weight)] = weight.data
            weight.data = torch.full_like(weight.data, torch.nan)

    monkeypatch.setattr(ModuleGroup, "onload_", fetch)
    monkeypatch.setattr(ModuleGroup, "offload_", leave)
    return fetches
