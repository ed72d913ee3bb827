"""Stage `words`: trains the text encoder of a base that is made here to match captions with pictures.

Its result is a base whose text encoder is trained and whose denoiser is not: stage `base` starts from it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from training.data.batch import SequenceBatch, Tokenise
from training.models.architecture import Base
from training.models.contrast import contrastive_losses
from training.models.weights import holding
from training.stages import StageLoss

_SHOWN = 4  # pictures a prompt


class MatchingNetwork(nn.Module):
    """From a batch to its loss; captions and pictures of the batch are each other's wrong answers.

    Args:
        tokens: turns captions to numbers of words.
    """

    def __init__(self, tokens: Tokenise) -> None:
        super().__init__()
        self._tokens = tokens

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch of finished pictures."""
        assert batch.frames is not None  # latents are refused before
        losses = contrastive_losses(self.suits(batch.frames[:, -1], batch.tokenised(self._tokens)))
        return StageLoss(loss=losses.mean(), per_sample=losses.detach(), timesteps=None)

    def suits(self, pictures: Tensor, token_ids: Tensor) -> Tensor:
        """(N, M): how well captions, (N, L) as numbers of words, suit (M, 3, H, W) pictures in [-1, 1]."""
        raise NotImplementedError


class WordsStage:
    """Trains the text encoder; the codec is frozen, the denoiser is not touched. See `training.stages.Stage`.

    Args:
        base: untrained.
        network: of it.
        sample_batch: held-out pictures, among which samples are chosen.
    """

    name = "words"
    frames: Literal["all", "last"] = "last"

    def __init__(self, base: Base, network: MatchingNetwork, sample_batch: SequenceBatch) -> None:
        self.base, self._network, self._sample_batch = base, network, sample_batch
        self.tokenise: Tokenise | None = base.tokens
        self.network: nn.Module = network
        self.frozen: Mapping[str, nn.Module] = {
            name: encoder
            for name, encoder in base.encoders.items()
            if not any(parameter.requires_grad for parameter in encoder.parameters())
        }

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the base with these weights; the picture encoder, which served training only, is dropped."""
        with holding(self.network, weights):
            self.base.save(folder)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """For each prompt the pictures that suit it best, best first: (N, T, 3, H, W) in [0, 1]."""
        assert self._sample_batch.frames is not None
        pictures = self._sample_batch.frames[:, -1].to(self.base.device)
        token_ids = self.base.tokens(prompts).to(self.base.device)
        best = self._network.suits(pictures, token_ids).topk(min(_SHOWN, len(pictures)), dim=1).indices
        return (pictures[best].float().cpu() / 2 + 0.5).clamp(0, 1)
