"""The networks of a Wan painter, as painting calls them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn

from training.data.text import Text
from training.diffusion import Denoiser
from training.models.compiling import compile_blocks
from training.models.conditions import Conditions
from training.models.painter import PaintingStep
from training.models.wan22.base import WanBase
from training.models.wan22.denoiser import WanDenoiser


@dataclass(frozen=True, kw_only=True)
class WanNetworks:
    """See `training.models.painter.PaintingNetworks`.

    Attributes:
        base: base whose transformer has the LoRAs in it.
        takes_conditions: always true, because pinned frames need no network of their own.
    """

    base: WanBase
    takes_conditions: bool = True

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """All networks."""
        base = self.base
        return {"vae": base.vae, "text_encoder": base.text_encoder, "transformer": base.transformer}

    @property
    def dtype(self) -> torch.dtype:
        """Type of the transformer."""
        return cast(torch.dtype, self.base.transformer.dtype)

    def needed(self, step: PaintingStep, *, conditioned: bool = False) -> Sequence[nn.Module]:
        """The network of a step."""
        base = self.base
        return {
            "text": (base.text_encoder,), "encoding": (base.vae,), "inversion": (base.transformer,),
            "sampling": (base.transformer,), "decoding": (base.vae,),
        }[step]  # fmt: skip

    def rejoin(self) -> None:
        """Does nothing: no weights are shared."""

    def denoiser(self, conditions: Conditions | None) -> Denoiser:
        """The transformer over whole sequences."""
        denoiser = WanDenoiser(self.base.transformer, self.base.objective, self.base.order)

        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            predicted: Tensor = denoiser(latents, timesteps, text, conditions)
            return predicted.float()

        return denoise

    def inverter(self) -> Denoiser:
        """The transformer on one frame, without LoRAs, which were trained on sequences."""
        transformer = cast(Any, self.base.transformer)
        denoiser = WanDenoiser(transformer, self.base.objective)

        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            has_loras = bool(getattr(transformer, "peft_config", None))
            try:
                if has_loras:
                    transformer.disable_adapters()
                predicted: Tensor = denoiser(latents[:, None], timesteps, text)
            finally:
                if has_loras:
                    transformer.enable_adapters()
            return predicted[:, 0].float()

        return denoise

    def spare_memory(self, codec: Literal["sliced", "tiled"]) -> None:
        """Make the VAE take pictures one by one, or also in tiles."""
        vae = cast(Any, self.base.vae)
        vae.enable_slicing()
        if codec == "tiled":
            vae.enable_tiling()

    def compile(self) -> None:
        """Compile the blocks of the transformer."""
        compile_blocks(self.base.transformer, (WanTransformerBlock,))
