"""The networks of a painter of Stable Diffusion's kind, as painting asks them.

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
        base: of the painter.
        motion_adapter: the temporal modules.
        motion: the motion UNet.
        replication: the replication network, where there is one.
    """

    base: BaseModel
    motion_adapter: MotionAdapter
    motion: UNetMotionModel
    replication: SparseControlNetModel | None

    @classmethod
    def of(cls, base: BaseModel, adapter: MotionAdapter, replication: SparseControlNetModel | None) -> Self:
        """Those of a base, its temporal modules and its replication network."""
        adapter.to(base.unet.dtype)
        motion = add_motion(base.unet, adapter).eval()
        tie_weights(motion, base.unet, adapter)
        motion.requires_grad_(False)
        return cls(base=base, motion_adapter=adapter, motion=motion, replication=replication)

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """All but the motion UNet, which has no weights of its own."""
        parts = {
            "vae": self.base.vae, "text_encoder": self.base.text_encoder, "unet": self.base.unet,
            "motion_adapter": self.motion_adapter, "replication": self.replication,
        }  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def dtype(self) -> torch.dtype:
        """Of the UNet."""
        return cast(torch.dtype, self.base.unet.dtype)

    def needed(self, step: PaintingStep, *, conditioned: bool = False) -> Sequence[nn.Module]:
        """The networks of a step. Sampling asks the motion UNet and the replication network at every step."""
        sampling = (self.motion, self.replication) if conditioned and self.replication is not None else (self.motion,)
        return {
            "text": (self.base.text_encoder,), "encoding": (self.base.vae,), "inversion": (self.base.unet,),
            "sampling": sampling, "decoding": (self.base.vae,),
        }[step]  # fmt: skip

    def rejoin(self) -> None:
        """The motion UNet follows its parts, and holds their very parameters: some devices want new ones."""
        self.motion.to(device=self.base.unet.device, dtype=self.dtype)
        tie_weights(self.motion, self.base.unet, self.motion_adapter)

    @property
    def takes_conditions(self) -> bool:
        """Only through a replication network."""
        return self.replication is not None

    def denoiser(self, conditions: Conditions | None) -> Denoiser:
        """The motion UNet; with the replication network where there are conditions.

        Of what that network computes, only the embedding of its input is the same at every step, and that is next to
        none of its work: timestep and words go into all the rest. So nothing of it is kept (docs/decisions/014).
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
        """The tiny model's codec needs next to nothing and takes all pictures at once."""
        if isinstance(self.base.vae, AutoencoderKL):
            self.base.vae.enable_slicing()
            if codec == "tiled":
                self.base.vae.enable_tiling()

    def compile(self) -> None:
        """The motion UNet, and the replication network."""
        compile_network(self.motion)
        if self.replication is not None:
            compile_network(self.replication)
