"""The networks of a painter of Stable Diffusion's kind, as painting calls them.

The network that paints, the motion UNet, is made of the 2D UNet and the temporal modules and shares their weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, cast

import torch
from diffusers import AutoencoderKL, MotionAdapter, SparseControlNetModel, UNetMotionModel
from torch import Tensor, nn

from training.data.text import Text
from training.diffusion import Denoiser
from training.models.conditions import Conditions
from training.models.painter import PaintingStep
from training.models.sd15.base import BaseModel
from training.models.sd15.blocks import compile_network
from training.models.sd15.motion import add_motion, predict, tie_weights
from training.models.sd15.replication import predict_conditioned


@dataclass(frozen=True, kw_only=True)
class StableDiffusionNetworks:
    """See `training.models.painter.PaintingNetworks`.

    Attributes:
        base: base of the painter.
        motion_adapter: the temporal modules.
        motion: the motion UNet.
        replication: the replication network, if there is one.
    """

    base: BaseModel
    motion_adapter: MotionAdapter
    motion: UNetMotionModel
    replication: SparseControlNetModel | None

    @classmethod
    def of(cls, base: BaseModel, adapter: MotionAdapter, replication: SparseControlNetModel | None) -> Self:
        """The networks made from a base, its temporal modules and its replication network."""
        adapter.to(base.unet.dtype)
        motion = add_motion(base.unet, adapter).eval()
        tie_weights(motion, base.unet, adapter)
        motion.requires_grad_(False)
        return cls(base=base, motion_adapter=adapter, motion=motion, replication=replication)

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """All networks but the motion UNet, which has no weights of its own."""
        parts = {
            "vae": self.base.vae, "text_encoder": self.base.text_encoder, "unet": self.base.unet,
            "motion_adapter": self.motion_adapter, "replication": self.replication,
        }  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def dtype(self) -> torch.dtype:
        """Type of the UNet."""
        return cast(torch.dtype, self.base.unet.dtype)

    def needed(self, step: PaintingStep, *, conditioned: bool = False) -> Sequence[nn.Module]:
        """The networks of a step. Sampling calls the motion UNet and the replication network at every step."""
        sampling = (self.motion, self.replication) if conditioned and self.replication is not None else (self.motion,)
        return {
            "text": (self.base.text_encoder,), "encoding": (self.base.vae,), "inversion": (self.base.unet,),
            "sampling": sampling, "decoding": (self.base.vae,),
        }[step]  # fmt: skip

    def rejoin(self) -> None:
        """Move the motion UNet to where its parts are, and share their parameters again: some moves make new ones."""
        self.motion.to(device=self.base.unet.device, dtype=self.dtype)
        tie_weights(self.motion, self.base.unet, self.motion_adapter)

    @property
    def takes_conditions(self) -> bool:
        """Whether there is a replication network."""
        return self.replication is not None

    def denoiser(self, conditions: Conditions | None) -> Denoiser:
        """The motion UNet, with the replication network if there are conditions.

        Only the embedding of that network's input is the same at every step, and it is next to none of its work, as
        everything else depends on timestep and words. So nothing of it is cached (docs/decisions/014).
        """
        dtype, replication = self.dtype, self.replication

        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            latents, embedding = latents.to(dtype), text["text"].to(dtype)
            if conditions is None or replication is None:
                return predict(self.motion, latents, timesteps, embedding).float()
            return predict_conditioned(self.motion, replication, latents, timesteps, embedding, conditions).float()

        return denoise

    def inverter(self) -> Denoiser:
        """The 2D UNet."""
        dtype, unet = self.dtype, self.base.unet

        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            predicted: Tensor = unet(latents.to(dtype), timesteps, text["text"].to(dtype)).sample
            return predicted.float()

        return denoise

    def spare_memory(self, codec: Literal["sliced", "tiled"]) -> None:
        """Slice or tile the VAE; the tiny model's codec needs next to no memory, and takes all pictures at once."""
        if isinstance(self.base.vae, AutoencoderKL):
            self.base.vae.enable_slicing()
            if codec == "tiled":
                self.base.vae.enable_tiling()

    def compile(self) -> None:
        """Compile the motion UNet, and the replication network."""
        compile_network(self.motion)
        if self.replication is not None:
            compile_network(self.replication)
