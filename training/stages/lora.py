"""Stages `spatial_lora` and `motion_lora`: an artist's way from a few sequences, everything else frozen.

`spatial_lora` trains the attention within pictures on finished pictures only, so that unfinished ones never harm image
quality. It goes through the 2D UNet: with its temporal modules off, the motion UNet is the same network, only slower.
`motion_lora` then trains the attention over frames on whole sequences, with the spatial LoRA in place.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from diffusers import MotionAdapter
from torch import Tensor, nn

from training.models.sd15.base import BaseModel
from training.models.sd15.lora import LoraKind, add_lora, apply_lora, is_lora, lora_of, save_lora
from training.models.sd15.motion import add_motion, is_temporal
from training.models.shape import LoraShape
from training.models.weights import part_of
from training.stages.denoising import (
    DenoisingConfig,
    DenoisingNetwork,
    FrameDenoiser,
    SequenceDenoiser,
    sample_sequences,
)

_UNET = "denoiser.unet."


class LoraStage:
    """Trains one LoRA. See `training.stages.Stage`.

    Args:
        base: frozen.
        adapter: frozen as well; the LoRA is then a motion LoRA, without it a spatial one.
        spatial: spatial LoRA that a motion LoRA is trained beside, by peft's names.
        lora: sizes of the LoRA.
        config: of the loss.
        frames: what is read.
        shape: (T, C, h, w) of latents of samples.
        parents: name -> hash of what the LoRA belongs to.
        checkpointing: compute activations again instead of keeping them.
    """

    def __init__(
        self,
        base: BaseModel,
        adapter: MotionAdapter | None,
        spatial: Mapping[str, Tensor] | None,
        lora: LoraShape,
        config: DenoisingConfig,
        frames: Literal["all", "last"],
        shape: tuple[int, int, int, int],
        parents: Mapping[str, str],
        *,
        checkpointing: bool = False,
    ) -> None:
        self.base, self._config, self._shape, self._lora, self._parents = base, config, shape, lora, parents
        self._kind: LoraKind = "spatial" if adapter is None else "motion"
        self.name, self.frames = f"{self._kind}_lora", frames
        self.unet = base.unet if adapter is None else add_motion(base.unet, adapter)
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
        if spatial is not None:
            apply_lora(self.unet, "spatial", spatial)
        add_lora(self.unet, self._kind, lora)
        self._denoiser = FrameDenoiser(self.unet) if adapter is None else SequenceDenoiser(self.unet)
        self.tokenise = base.tokens
        self.network: nn.Module = DenoisingNetwork(base, self._denoiser, config)
        self.frozen: Mapping[str, nn.Module] = {
            "vae": base.vae,
            "text_encoder": base.text_encoder,
            "unet": part_of(self.unet, lambda name: not is_temporal(name) and not is_lora(name)),
        }
        if adapter is not None:
            self.frozen |= {"motion": part_of(self.unet, lambda name: is_temporal(name) and not is_lora(name))}
        if spatial is not None:
            self.frozen |= {"spatial_lora": part_of(self.unet, lambda name: is_lora(name) and ".spatial." in name)}

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the LoRA, for diffusers and for other tools."""
        ours = {name.removeprefix(_UNET): tensor for name, tensor in weights.items()}
        save_lora(lora_of(ours, self._kind, self._lora), self._kind, folder, self._parents)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Pictures or sequences: (N, 1 or T, 3, H, W) in [0, 1]."""
        return sample_sequences(self.base, self._denoiser, self._config, prompts, seed, self._shape)
