"""Moves a painter's networks between the CPU's memory and the accelerator's (offloading).

diffusers offloads the registered parts of a pipeline. A network that paints may not be such a part: the motion UNet is
made of two parts and shares their weights. diffusers' hooks look at a network's first weight, so they would believe
that the motion UNet has moved as soon as the 2D UNet has. Therefore networks are moved here, once for each step of a
painting (`PaintingStep`), and networks made of parts are notified of every move.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, get_args

import torch
from diffusers.hooks import HookRegistry, apply_group_offloading
from diffusers.utils.torch_utils import empty_device_cache, get_device
from torch import nn

from training.models.painter import PaintingNetworks, PaintingStep

# Names of the hooks of diffusers' group offloading, which has no function that ends it.
_GROUP_HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")


class OffloadingPipeline:
    """A pipeline of networks, some of which may be made of others.

    Attributes:
        networks: the painter's networks.
    """

    _computes_on: torch.device | None = None  # set while offloaded weights wait in the CPU's memory
    _by_layer: bool = False  # whether each layer fetches its own weights; else whole networks move, step by step

    @property
    def networks(self) -> PaintingNetworks:
        """The painter's networks."""
        raise NotImplementedError

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move all networks, and convert them, as `torch.nn.Module.to` does; this ends offloading."""
        self.remove_all_hooks()
        self._move(*args, **kwargs)
        self.networks.rejoin()
        return self

    def _move(self, *args: Any, **kwargs: Any) -> None:
        for part in self.networks.parts.values():
            part.to(*args, **kwargs)

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: torch.device | str | None = None) -> None:
        """Keep in the accelerator's memory only the networks of the step that computes.

        The steps are embedding the text, encoding pictures, inversion, sampling and decoding. Each evaluation during
        sampling needs all of the step's networks, so they stay until sampling ends.

        Args:
            gpu_id: number of the GPU.
            device: where to compute, instead of it.
        """
        self.to("cpu")
        self._computes_on = _accelerator(gpu_id, device)

    def enable_sequential_cpu_offload(
        self, gpu_id: int | None = None, device: torch.device | str | None = None
    ) -> None:
        """Keep in the accelerator's memory only the layer that computes: the least memory, and slow.

        Args:
            gpu_id: number of the GPU.
            device: where to compute, instead of it.
        """
        from accelerate import cpu_offload

        self.to("cpu")
        self._computes_on, self._by_layer = _accelerator(gpu_id, device), True
        # Networks that share weights still do: both fetch them from views of the same memory.
        for network in self._all_networks():
            cpu_offload(network, self._computes_on)

    def enable_group_offload(self, onload_device: torch.device | str | None = None) -> None:
        """Keep in the accelerator's memory only the layer that computes and the one after it, which arrives meanwhile.

        This is diffusers' group offloading, by single layers. Its offloading by blocks fetches them when a whole
        network is called, and only halves of a VAE are called here. On a GPU layers are copied from pinned memory on a
        stream of their own; on other devices computation waits for each copy.

        Args:
            onload_device: where to compute; None for the accelerator.
        """
        self.to("cpu")
        device = _accelerator(None, onload_device)
        self._computes_on, self._by_layer = device, True
        on_stream = device.type == "cuda"
        for network in self._all_networks():
            apply_group_offloading(
                network, device, offload_type="leaf_level", use_stream=on_stream, record_stream=on_stream
            )

    def remove_all_hooks(self) -> None:
        """End offloading; afterwards all weights are in the CPU's memory."""
        from accelerate.hooks import remove_hook_from_module

        if self._by_layer:
            for network in self._all_networks():
                remove_hook_from_module(network, recurse=True)
                hooks = HookRegistry.check_if_exists_or_initialize(network)
                for name in _GROUP_HOOKS:
                    hooks.remove_hook(name, recurse=True)
                network.to("cpu")  # a failure may have left a layer on the accelerator
            self.networks.rejoin()
        self._computes_on, self._by_layer = None, False

    def _all_networks(self) -> list[nn.Module]:
        """All networks that compute, in the order of the steps."""
        steps: tuple[PaintingStep, ...] = get_args(PaintingStep)
        return list(dict.fromkeys(each for step in steps for each in self.networks.needed(step, conditioned=True)))

    @property
    def _execution_device(self) -> torch.device:
        return self.networks.base.device if self._computes_on is None else self._computes_on

    @contextmanager
    def _computing(self, step: PaintingStep, *, conditioned: bool = False) -> Iterator[None]:
        """Context in which the networks of a step are on the computing device; offloaded ones leave it afterwards."""
        device = self._computes_on
        if device is None or self._by_layer:
            yield
            return
        networks = self.networks.needed(step, conditioned=conditioned)
        try:
            for network in networks:
                network.to(device)
            yield
        finally:
            for network in networks:
                network.to("cpu")
            empty_device_cache(device.type)


def _accelerator(gpu_id: int | None, device: torch.device | str | None) -> torch.device:
    named = torch.device(get_device() if device is None else device)
    return named if gpu_id is None else torch.device(named.type, gpu_id)
