"""Stage `replication`: pictures pinned to frames. The replication network is trained, base and motion are frozen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from diffusers import MotionAdapter, SparseControlNetModel, UNetMotionModel
from torch import Tensor, nn

from training.data.batch import SequenceBatch
from training.diffusion import Denoiser
from training.models.sd15.base import BaseModel
from training.models.sd15.motion import add_motion
from training.models.sd15.replication import Conditions, add_replication, predict_conditioned, save_replication
from training.stages.condition_draw import ConditionDraw
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, sample_sequences

_REPLICATION = "denoiser.replication."


class ConditionedDenoiser(nn.Module):
    """A motion UNet with a replication network beside it."""

    def __init__(self, unet: UNetMotionModel, replication: SparseControlNetModel) -> None:
        super().__init__()
        self.unet, self.replication = unet, replication

    def forward(self, latents: Tensor, timesteps: Tensor, text: Tensor, conditions: Conditions) -> Tensor:
        """(B, T, C, h, w) noisy latents, (B,) timesteps, (B, L, D) text and conditions -> (B, T, C, h, w)."""
        return predict_conditioned(self.unet, self.replication, latents, timesteps, text, conditions)

    def under(self, conditions: Conditions) -> Denoiser:
        """A denoiser that always sees these conditions."""
        return lambda latents, timesteps, text: self(latents, timesteps, text, conditions)


class ReplicationNetwork(DenoisingNetwork):
    """The loss of denoising when some of the clean frames are shown.

    Args:
        base: as in `DenoisingNetwork`.
        denoiser: motion UNet and replication network.
        config: of the loss.
        draw: of the frames that are shown.
    """

    def __init__(
        self, base: BaseModel, denoiser: ConditionedDenoiser, config: DenoisingConfig, draw: ConditionDraw
    ) -> None:
        super().__init__(base, denoiser, config)
        self._draw = draw

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Tensor, clean: Tensor, positions: Tensor) -> Tensor:
        """As in `DenoisingNetwork`; a condition is the frame that stands there, after any augmentation of it."""
        strengths = self._draw.strengths(self.seed, positions.to(clean.device), clean.shape[1])
        conditions = Conditions.among(clean, strengths)
        predicted: Tensor = self.denoiser(noisy, timesteps, text, conditions)
        return predicted


class ReplicationStage:
    """Trains the replication network, new or one that is there. See `training.stages.Stage`.

    Args:
        base, adapter: frozen.
        replication: to start from; None for the UNet's own encoder.
        config: of the loss.
        draw: of the condition frames.
        shape: (T, C, h, w) of latents.
        shown: sequences whose last frames are the conditions of the samples; None samples without conditions.
        checkpointing: compute activations again instead of keeping them.
    """

    name = "replication"
    frames: Literal["all", "last"] = "all"

    def __init__(
        self,
        base: BaseModel,
        adapter: MotionAdapter,
        replication: SparseControlNetModel | None,
        config: DenoisingConfig,
        draw: ConditionDraw,
        shape: tuple[int, int, int, int],
        shown: SequenceBatch | None,
        *,
        checkpointing: bool = False,
    ) -> None:
        self.base, self._config, self._shape, self._shown = base, config, shape, shown
        self.unet = add_motion(base.unet, adapter).requires_grad_(False)
        if replication is None:
            replication = add_replication(base.unet, max_frames=max(32, shape[0]), carried=draw.carried)
        self.replication = replication.requires_grad_(True)
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
            self.replication.enable_gradient_checkpointing()
        self._denoiser = ConditionedDenoiser(self.unet, self.replication)
        self._network = ReplicationNetwork(base, self._denoiser, config, draw)
        self.tokenise = base.tokens
        self.network: nn.Module = self._network
        self.frozen: Mapping[str, nn.Module] = {
            "vae": base.vae,
            "text_encoder": base.text_encoder,
            "unet_and_motion": self.unet,
        }

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the network as a diffusers `SparseControlNetModel`."""
        ours = {name.removeprefix(_REPLICATION): tensor for name, tensor in weights.items()}
        save_replication(self.replication, folder, ours)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Sequences that should end with the pictures shown: (N, T, 3, H, W) in [0, 1]."""
        denoise = self._denoiser.under(self._last_frames(len(prompts)))
        return sample_sequences(self.base, denoise, self._config, prompts, seed, self._shape)

    @torch.no_grad()
    def _last_frames(self, count: int) -> Conditions:
        device = self.unet.device
        if self._shown is None:
            return Conditions(
                latents=torch.zeros(count, *self._shape, device=device),
                mask=torch.zeros(count, self._shape[0], device=device),
            )
        mean, _ = self._network.posterior(self._shown.to(device))
        mean = mean[torch.arange(count) % len(mean)]
        strengths = torch.zeros(mean.shape[:2], device=device)
        strengths[:, -1] = 1
        return Conditions.among(mean * self.base.scaling, strengths)
