"""What all stages share: noise is added to latents, a network predicts it, and the error is the loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from training.data.batch import SequenceBatch
from training.diffusion import Denoiser, NoiseSchedule, draw, draw_noise, sample
from training.models.sd15.base import BaseModel
from training.models.sd15.motion import predict
from training.random.philox import normals
from training.random.streams import Stream
from training.stages import StageLoss

_SAMPLING_STEPS = 30


@dataclass(frozen=True, kw_only=True)
class DenoisingConfig:
    """How a stage trains its denoiser.

    Attributes:
        schedule: of the noise.
        min_snr: gamma of min-SNR weights; None for none.
        caption_dropout: probability that a caption is dropped.
        seed: of the run.
        guidance: of the samples that are shown.
    """

    schedule: NoiseSchedule
    min_snr: float | None = None
    caption_dropout: float = 0.1
    seed: int = 0
    guidance: float = 5.0


class FrameDenoiser(nn.Module):
    """A 2D UNet that sees the frames of a sequence one by one."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """(B, T, C, h, w) noisy latents, (B,) timesteps, (B, L, D) text -> (B, T, C, h, w)."""
        num_frames = latents.shape[1]
        predicted: Tensor = self.unet(
            latents.flatten(0, 1),
            timesteps.repeat_interleave(num_frames),
            text.repeat_interleave(num_frames, dim=0),
        ).sample
        return predicted.reshape(latents.shape)


class SequenceDenoiser(nn.Module):
    """A motion UNet."""

    def __init__(self, unet: UNetMotionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """(B, T, C, h, w) noisy latents, (B,) timesteps, (B, L, D) text -> (B, T, C, h, w)."""
        return predict(self.unet, latents, timesteps, text)


class DenoisingNetwork(nn.Module):
    """From a batch to its loss; parameters with requires_grad are what a stage trains.

    Args:
        base: its text encoder and VAE become parts of the network.
        denoiser: (noisy latents, timesteps, text) -> prediction.
        config: of the loss.
    """

    def __init__(self, base: BaseModel, denoiser: nn.Module, config: DenoisingConfig) -> None:
        super().__init__()
        self.denoiser, self.text_encoder, self.vae = denoiser, base.text_encoder, base.vae
        self._base, self._config = base, config
        self.register_buffer("no_words", base.tokens([""]), persistent=False)
        self._trains_text = any(parameter.requires_grad for parameter in base.text_encoder.parameters())

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch; all that is random comes from (seed, positions). No caption is dropped in eval mode."""
        schedule, seed = self._config.schedule, self.seed
        mean, logvar = self.posterior(batch)
        dropout = self._config.caption_dropout if self.training else 0.0
        positions = batch.positions.to(mean.device)
        shape = mean.shape[1:]
        draws = draw(seed, positions, shape, schedule.num_steps, dropout, schedule.shared, device=mean.device)
        timesteps, noise, clean = draws.timesteps, draws.noise, mean * self._base.scaling
        latents = clean
        if not self._base.exact:
            deviation = (0.5 * logvar).exp() * self._base.scaling
            latents = clean + deviation * normals(seed, Stream.POSTERIOR, positions, shape)
        noisy, text = schedule.add_noise(latents, noise, timesteps), self._text(batch, draws.keeps_caption)
        predicted = self.predict(noisy, timesteps, text, clean, positions)
        errors = (predicted.float() - schedule.target(latents, noise, timesteps)).square().flatten(1).mean(1)
        weights = schedule.loss_weights(timesteps, self._config.min_snr)
        return StageLoss(loss=(weights * errors).mean(), per_sample=errors.detach(), timesteps=timesteps)

    @property
    def seed(self) -> int:
        """Of all draws: the run's, and in eval mode another, for positions of held-out samples are training's too."""
        return self._config.seed if self.training else Stream.VALIDATION.seed(self._config.seed)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Tensor, clean: Tensor, positions: Tensor) -> Tensor:
        """What the denoiser says of noisy latents; stages that show it more than these see the clean ones as well.

        Args:
            noisy: (B, T, C, h, w).
            timesteps: (B,).
            text: (B, L, D).
            clean: (B, T, C, h, w) mean of the VAE's posterior, scaled.
            positions: (B,) of the samples, from which anything random follows.
        """
        predicted: Tensor = self.denoiser(noisy, timesteps, text)
        return predicted

    @torch.no_grad()
    def posterior(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, T, C, h, w) of the latents, unscaled, float32."""
        if batch.latents is not None:
            return batch.latents.mean, batch.latents.logvar
        assert batch.frames is not None
        mean, logvar = self._base.encode_frames(batch.frames.flatten(0, 1))
        shape = (*batch.frames.shape[:2], *mean.shape[1:])
        return mean.float().reshape(shape), logvar.float().reshape(shape)

    def _text(self, batch: SequenceBatch, kept: Tensor) -> Tensor:
        no_words = self.get_buffer("no_words")
        if batch.latents is None:
            token_ids = torch.where(kept[:, None], self._base.token_ids(batch), no_words)
            with torch.set_grad_enabled(self._trains_text and torch.is_grad_enabled()):
                return self._base.embed_tokens(token_ids)
        with torch.no_grad():
            nothing = self._base.embed_tokens(no_words)
        return torch.where(kept[:, None, None], batch.latents.text, nothing)


@torch.no_grad()
def sample_sequences(
    base: BaseModel,
    denoiser: Denoiser,
    config: DenoisingConfig,
    prompts: Sequence[str],
    seed: int,
    shape: tuple[int, int, int, int],
    *,
    num_steps: int = _SAMPLING_STEPS,
) -> Tensor:
    """Sequences painted from noise.

    Args:
        base: text encoder and VAE.
        denoiser: (noisy latents, timesteps, text) -> prediction; with guidance it gets the prompts twice, in order.
        config: whose schedule and guidance count.
        prompts: (N,) captions.
        seed: of the noise; a prompt's noise depends on its place alone.
        shape: (T, C, h, w) of latents.
        num_steps: of DDIM.

    Returns:
        (N, T, 3, H, W) float32 in [0, 1], on the CPU.
    """
    device = base.text_encoder.device
    schedule = config.schedule
    places = torch.arange(len(prompts), device=device)
    noise = draw_noise(seed, Stream.SAMPLE_NOISE, places, shape, schedule.shared)
    latents = sample(
        denoiser,
        schedule,
        noise,
        base.embed(prompts),
        base.embed([""]).expand(len(prompts), -1, -1),
        num_steps=num_steps,
        guidance=config.guidance,
    )
    pictures = base.decode(latents.flatten(0, 1)).float().cpu()
    return pictures.reshape(len(prompts), -1, *pictures.shape[1:])
