"""Where a painter's networks are while they do not compute.

diffusers' offloading goes by the registered parts of a pipeline. The network that paints, the motion UNet, is none: it
is made of two of them and shares their weights. So it is told here of every move, and networks move by the stages of a
painting, each once a stage. diffusers' hooks, which look at the first weight, would take the motion UNet for moved as
soon as the 2D UNet is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline, UNetMotionModel
from diffusers.utils.torch_utils import empty_device_cache, get_device
from torch import nn

from training.models.sd15.motion import share_weights


class OffloadingPipeline(DiffusionPipeline):  # type: ignore[misc]
    """A pipeline whose network is made of its parts.

    Attributes:
        motion: the motion UNet.
    """

    motion: UNetMotionModel
    _computes_on: torch.device | None = None  # while weights wait in the CPU's memory
    _by_layer: bool = False  # layers fetch their own weights; else networks move by the stages of a painting

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move all networks, and convert them, as any pipeline's; this ends offloading."""
        self.remove_all_hooks()
        super().to(*args, **kwargs)
        self.motion.to(device=self.unet.device, dtype=self.unet.dtype)
        share_weights(self.motion, self.unet, self.motion_adapter)  # some devices want new parameters
        return self

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: torch.device | str | None = None) -> None:
        """Keep in the accelerator's memory only the networks of the stage that computes.

        The stages are words, pictures to latents, inversion, sampling and latents to pictures. Sampling needs the
        motion UNet and the replication network at every step, so both stay for all of it.

        Args:
            gpu_id: number of the GPU.
            device: where to compute, instead of it.
        """
        self.to("cpu", silence_dtype_warnings=True)
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

        self.to("cpu", silence_dtype_warnings=True)
        self._computes_on, self._by_layer = _accelerator(gpu_id, device), True
        # Networks that share weights still do: what they fetch them from are views of the same memory.
        for network in (self.text_encoder, self.vae, self.unet, self.motion, self.replication):
            if network is not None:
                cpu_offload(network, self._computes_on)

    def remove_all_hooks(self) -> None:
        """End offloading; all weights are in the CPU's memory then."""
        from accelerate.hooks import remove_hook_from_module

        super().remove_all_hooks()
        if self._by_layer:
            remove_hook_from_module(self.motion, recurse=True)
            share_weights(self.motion, self.unet, self.motion_adapter)
        self._computes_on, self._by_layer = None, False

    @property
    def _execution_device(self) -> torch.device:
        device: torch.device = super()._execution_device if self._computes_on is None else self._computes_on
        return device

    @contextmanager
    def _computing(self, *networks: nn.Module | None) -> Iterator[None]:
        """These networks are where they compute; with whole networks offloaded, none is there afterwards."""
        device = self._computes_on
        if device is None or self._by_layer:
            yield
            return
        there = [network for network in networks if network is not None]
        try:
            for network in there:
                network.to(device)
            yield
        finally:
            for network in there:
                network.to("cpu")
            empty_device_cache(device.type)


def _accelerator(gpu_id: int | None, device: torch.device | str | None) -> torch.device:
    named = torch.device(get_device() if device is None else device)
    return named if gpu_id is None else torch.device(named.type, gpu_id)
