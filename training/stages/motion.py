"""Stage `motion`: text to sequence. The temporal modules are trained, everything else of the base is frozen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from diffusers import MotionAdapter
from torch import Tensor, nn

from training.models.sd15.base import BaseModel
from training.models.sd15.motion import adapter_of, add_motion, is_temporal, save_motion
from training.models.weights import part_of
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, SequenceDenoiser, sample_sequences

_UNET = "denoiser.unet."


class MotionStage:
    """Trains temporal modules from nothing, or from AnimateDiff's. See `training.stages.Stage`."""

    name = "motion"
    frames: Literal["all", "last"] = "all"

    def __init__(
        self,
        base: BaseModel,
        adapter: MotionAdapter | None,
        config: DenoisingConfig,
        num_frames: int,
        size_px: tuple[int, int],
        *,
        checkpointing: bool = False,
    ) -> None:
        self.base, self._config = base, config
        self.unet = add_motion(base.unet, adapter, max_frames=max(32, num_frames))
        for name, parameter in self.unet.named_parameters():
            parameter.requires_grad_(is_temporal(name))
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
        self._denoiser = SequenceDenoiser(self.unet)
        self.tokenise = base.tokens
        self.network: nn.Module = DenoisingNetwork(base, self._denoiser, config)
        self.frozen: Mapping[str, nn.Module] = {
            "vae": base.vae,
            "text_encoder": base.text_encoder,
            "unet": part_of(self.unet, lambda name: not is_temporal(name)),
        }
        self._shape = (num_frames, base.latent_channels, size_px[0] // base.patch_px, size_px[1] // base.patch_px)

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the temporal modules, for diffusers and for AnimateDiff's tools."""
        temporal = {name.removeprefix(_UNET): tensor for name, tensor in weights.items()}
        save_motion(adapter_of(self.unet, temporal), folder)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Sequences: (N, T, 3, H, W) in [0, 1]."""
        return sample_sequences(self.base, self._denoiser, self._config, prompts, seed, self._shape)
