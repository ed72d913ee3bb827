"""The common part of all denoising stages: noise is added to latents, a network predicts it, the error is the loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from training.data.batch import SequenceBatch, Tokenise
from training.data.text import Text
from training.diffusion import Denoiser, draw, draw_noise, sample
from training.models.architecture import Base, Trainable
from training.objective import Objective
from training.random.philox import normals
from training.random.streams import Stream, seed_of_samples
from training.stages import StageLoss

_SAMPLING_STEPS = 30  # of samples, or the next smaller number that suits the noise


@dataclass(frozen=True, kw_only=True)
class DenoisingConfig:
    """How a stage trains its denoiser.

    Attributes:
        objective: how noise is added, and what is predicted of it.
        min_snr: gamma of min-SNR weights; None for equal weights.
        caption_dropout: probability that a caption is dropped.
        seed: seed of the run.
        guidance: scale of guidance for samples.
    """

    objective: Objective
    min_snr: float | None = None
    caption_dropout: float = 0.1
    seed: int = 0
    guidance: float = 5.0


class DenoisingNetwork(nn.Module):
    """From a batch to its loss; parameters with requires_grad are what a stage trains.

    Args:
        base: its encoders become parts of the network.
        denoiser: (noisy latents, timesteps, text) -> prediction.
        config: settings of the loss.
    """

    def __init__(self, base: Base, denoiser: nn.Module, config: DenoisingConfig) -> None:
        super().__init__()
        self.denoiser = denoiser
        for name, encoder in base.encoders.items():
            self.add_module(name, encoder)
        self._base, self._config = base, config
        self.register_buffer("no_words", base.tokens([""]), persistent=False)
        self._trains_text = any(
            parameter.requires_grad for encoder in base.encoders.values() for parameter in encoder.parameters()
        )

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch; all random draws come from (seed, positions). In eval mode no caption is dropped."""
        objective, seed, base = self._config.objective, self.seed, self._base
        mean, logvar = self.posterior(batch)
        dropout = self._config.caption_dropout if self.training else 0.0
        positions = batch.positions.to(mean.device)
        shape = mean.shape[1:]
        draws = draw(seed, positions, shape, objective, dropout, device=mean.device)
        timesteps, noise, clean = draws.timesteps, draws.noise, base.scaled(mean)
        latents = clean
        if not base.exact:
            latents = clean + base.deviation(logvar) * normals(seed, Stream.POSTERIOR, positions, shape)
        noisy, text = objective.add_noise(latents, noise, timesteps), self._text(batch, draws.keeps_caption)
        predicted = self.predict(noisy, timesteps, text, clean, positions)
        squares = (predicted.float() - objective.target(latents, noise, timesteps)).square()
        errors = squares.flatten(1).mean(1)
        weights = objective.loss_weights(timesteps, self._config.min_snr)
        trained_on = self.weighted(squares, positions) if self.training else errors
        return StageLoss(loss=(weights * trained_on).mean(), per_sample=errors.detach(), timesteps=timesteps)

    @property
    def seed(self) -> int:
        """Seed of all draws."""
        return seed_of_samples(self._config.seed, training=self.training)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, clean: Tensor, positions: Tensor) -> Tensor:
        """The denoiser's prediction for noisy latents; stages that condition it use the clean latents as well.

        Args:
            noisy: (B, S, C, h, w).
            timesteps: (B,).
            text: embeddings of B captions.
            clean: (B, S, C, h, w) mean of the codec's posterior, scaled.
            positions: (B,) positions of the samples, which determine all random draws.
        """
        predicted: Tensor = self.denoiser(noisy, timesteps, text)
        return predicted

    def weighted(self, squares: Tensor, positions: Tensor) -> Tensor:
        """(B,) errors that are minimised, from squared errors (B, S, C, h, w); stages may weight frames."""
        return squares.flatten(1).mean(1)

    @torch.no_grad()
    def posterior(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, S, C, h, w) of the latents, unscaled, float32."""
        if batch.latents is not None:
            return batch.latents.mean, batch.latents.logvar
        assert batch.frames is not None
        mean, logvar = self._base.encode_sequences(batch.frames)
        return mean.float(), logvar.float()

    def _text(self, batch: SequenceBatch, has_caption: Tensor) -> Text:
        no_words = self.get_buffer("no_words")
        if batch.latents is None:
            token_ids = torch.where(
                has_caption[:, None], batch.tokenised(self._base.tokens).to(no_words.device), no_words
            )
            with torch.set_grad_enabled(self._trains_text and torch.is_grad_enabled()):
                return self._base.embed_tokens(token_ids)
        with torch.no_grad():
            no_text = self._base.embed_tokens(no_words)
        return batch.latents.text.where(has_caption, no_text)


class DenoisingStage:
    """Trains the network that an architecture has for a stage. See `training.stages.Stage`.

    Args:
        name: name of the stage, as in `conf/stage/`.
        frames: whether it reads whole sequences, or one picture of each.
        base: the base that the denoiser is trained with.
        trainable: the denoiser.
        config: settings of the loss.
        shape: (S, C, h, w) of latents of samples.
    """

    def __init__(
        self,
        name: str,
        frames: Literal["all", "last"],
        base: Base,
        trainable: Trainable,
        config: DenoisingConfig,
        shape: tuple[int, int, int, int],
    ) -> None:
        self.name, self.frames, self.base = name, frames, base
        self._trainable, self._config, self._shape = trainable, config, shape
        self.num_steps: int | None = config.objective.num_steps
        self.tokenise: Tokenise | None = base.tokens
        self.network: nn.Module = DenoisingNetwork(base, trainable.denoiser, config)
        self.frozen: Mapping[str, nn.Module] = trainable.frozen

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the trained weights in the field's usual format."""
        self._trainable.save(folder, {name.removeprefix("denoiser."): tensor for name, tensor in weights.items()})

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Pictures or sequences: (N, T, 3, H, W) in [0, 1]; T is 1 if the stage reads finished pictures."""
        return sample_sequences(self.base, self._trainable.denoiser, self._config, prompts, seed, self._shape)


@torch.no_grad()
def sample_sequences(
    base: Base,
    denoiser: Denoiser,
    config: DenoisingConfig,
    prompts: Sequence[str],
    seed: int,
    shape: tuple[int, int, int, int],
    *,
    num_steps: int | None = None,
) -> Tensor:
    """Sequences painted from noise.

    Args:
        base: encodes the prompts and decodes the latents.
        denoiser: (noisy latents, timesteps, text) -> prediction; with guidance it gets the prompts twice, in order.
        config: settings, of which objective and guidance are used.
        prompts: (N,) captions.
        seed: seed of the noise; a prompt's noise depends on its place alone.
        shape: (S, C, h, w) of latents.
        num_steps: steps of sampling; None for the number that samples of training have.

    Returns:
        (N, T, 3, H, W) float32 in [0, 1], on the CPU.
    """
    objective = config.objective
    num_steps = num_steps or objective.fewer_steps(_SAMPLING_STEPS)
    places = torch.arange(len(prompts), device=base.device)
    noise = draw_noise(seed, Stream.SAMPLE_NOISE, places, shape, objective.shared)
    text, no_text = base.embed(prompts), base.embed([""]).repeated(len(prompts))
    latents = sample(denoiser, objective, noise, text, no_text, num_steps=num_steps, guidance=config.guidance)
    return base.decode_sequences(latents).float().cpu()
