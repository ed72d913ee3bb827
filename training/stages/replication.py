"""Training with pictures pinned to frames: the network sees some of the clean frames, as in stage `replication`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.data.batch import SequenceBatch
from training.data.text import Text
from training.models.architecture import Base, Trainable
from training.models.conditions import Conditions
from training.stages.condition_draw import ConditionDraw
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, DenoisingStage, sample_sequences


class ReplicationNetwork(DenoisingNetwork):
    """The loss of denoising when some of the clean frames are shown.

    Args:
        base: as in `DenoisingNetwork`.
        trainable: what is trained; its denoiser sees conditions.
        config: settings of the loss.
        draw: how the frames that are shown are drawn.
    """

    def __init__(self, base: Base, trainable: Trainable, config: DenoisingConfig, draw: ConditionDraw) -> None:
        super().__init__(base, trainable.denoiser, config)
        self._draw = draw

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, clean: Tensor, positions: Tensor) -> Tensor:
        """As in `DenoisingNetwork`; a condition is the frame at its position, augmented like the others."""
        conditions = Conditions.among(clean, self._shown_mask(clean, positions))
        predicted: Tensor = self.denoiser(noisy, timesteps, text, conditions)
        return predicted

    def weighted(self, squares: Tensor, positions: Tensor) -> Tensor:
        """As in `DenoisingNetwork`, but frames that are shown have the weight that the draw says."""
        if self._draw.weight == 1:
            return super().weighted(squares, positions)
        weights = 1 + (self._draw.weight - 1) * self._shown_mask(squares, positions)
        return (squares.flatten(2).mean(2) * weights / weights.mean(1, keepdim=True)).mean(1)

    def _shown_mask(self, latents: Tensor, positions: Tensor) -> Tensor:
        """(B, S): 1 at frames that are shown, 0 at others."""
        return self._draw.strengths(self.seed, positions.to(latents.device), latents.shape[1])


class ReplicationStage(DenoisingStage):
    """Trains a denoiser that is shown conditions. See `training.stages.Stage`.

    Args:
        name, base, trainable, config, shape: as in `DenoisingStage`.
        draw: how condition frames are drawn.
        sample_batch: sequences whose last frames are the conditions of samples; None samples without conditions.
    """

    def __init__(
        self,
        name: str,
        base: Base,
        trainable: Trainable,
        config: DenoisingConfig,
        draw: ConditionDraw,
        shape: tuple[int, int, int, int],
        sample_batch: SequenceBatch | None,
    ) -> None:
        super().__init__(name, "all", base, trainable, config, shape)
        self._sample_batch = sample_batch
        self.network = self._network = ReplicationNetwork(base, trainable, config, draw)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Sequences that should end with the pictures of the conditions: (N, T, 3, H, W) in [0, 1]."""
        conditions = self._last_frames(len(prompts))

        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            predicted: Tensor = self._trainable.denoiser(latents, timesteps, text, conditions)
            return predicted

        return sample_sequences(self.base, denoise, self._config, prompts, seed, self._shape)

    @torch.no_grad()
    def _last_frames(self, count: int) -> Conditions:
        device = self.base.device
        if self._sample_batch is None:
            return Conditions(
                latents=torch.zeros(count, *self._shape, device=device),
                mask=torch.zeros(count, self._shape[0], device=device),
            )
        mean, _ = self._network.posterior(self._sample_batch.to(device))
        mean = mean[torch.arange(count) % len(mean)]
        strengths = torch.zeros(mean.shape[:2], device=device)
        strengths[:, -1] = 1
        return Conditions.among(self.base.scaled(mean), strengths)
