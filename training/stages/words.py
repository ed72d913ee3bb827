"""Stage `words`: trains the text encoder of a base that is made here to match captions with pictures.

Its result is a base whose text encoder is trained and whose denoiser is not: stage `base` starts from it. The text
encoder of a base that is already trained can be trained further in the same way: its denoiser relies on the embeddings
as they were, so their drift is added to the loss.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from training.data.batch import SequenceBatch, Tokenise
from training.models.architecture import Base
from training.models.contrast import Contrast, contrastive_losses
from training.models.weights import holding
from training.stages import AllRows, StageLoss, own_rows

_WEIGHT_OF_DRIFT = 2.0
_NUM_CHOSEN = 4  # pictures per prompt


class MatchingNetwork(nn.Module):
    """From a batch to its contrastive loss; captions and pictures of all ranks' batches are each other's negatives.

    Args:
        base: base whose text encoder is trained.
        text_encoder: its text encoder.
        contrast: compares the vectors of captions and pictures.
        further: whether a denoiser was trained on the embeddings, which may then drift only a little.
    """

    def __init__(self, base: Base, text_encoder: nn.Module, contrast: Contrast, *, further: bool) -> None:
        super().__init__()
        self._base = base
        self.text_encoder, self.contrast = text_encoder.requires_grad_(True), contrast
        self.before = copy.deepcopy(text_encoder).requires_grad_(False) if further else None
        self.all_rows: AllRows = own_rows  # see `training.stages.ComparesSamples`

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch of pictures; in eval mode without those of other ranks."""
        assert batch.frames is not None  # latents are refused before
        token_ids = batch.tokenised(self._base.tokens)
        embedded = self.embedded(token_ids)
        pictures, captions = self.vectors(batch.frames[:, -1], embedded, token_ids)
        first = 0
        if self.training:  # in validation a rank may stop at a damaged sequence, and the others would wait for it
            (pictures, first), (captions, _) = self.all_rows(pictures), self.all_rows(captions)
        losses = contrastive_losses(self.contrast.scores(pictures, captions))[first : first + len(batch)]
        if self.before is not None:
            losses = losses + _WEIGHT_OF_DRIFT * drift(embedded, self.embedded_before(token_ids))
        return StageLoss(loss=losses.mean(), per_sample=losses.detach(), timesteps=None)

    def embedded(self, token_ids: Tensor) -> Tensor:
        """Embeddings (N, L, D) of captions given as (N, L) token ids."""
        return self._base.embed_tokens(token_ids)["text"]

    @torch.no_grad()
    def embedded_before(self, token_ids: Tensor) -> Tensor:
        """The same by the text encoder as it was before."""
        assert self.before is not None
        with holding(self.text_encoder, dict(self.before.named_parameters())):
            return self.embedded(token_ids)

    def suits(self, pictures: Tensor, embedded: Tensor, token_ids: Tensor) -> Tensor:
        """How well captions suit pictures.

        Args:
            pictures: (M, 3, H, W) in [-1, 1].
            embedded: (N, L, D) embedded captions.
            token_ids: (N, L) token ids of the same captions.

        Returns:
            (N, M).
        """
        return self.contrast.scores(*self.vectors(pictures, embedded, token_ids))

    def vectors(self, pictures: Tensor, embedded: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (M, D) of pictures and (N, D) of captions that can be compared; arguments as of `suits`."""
        with torch.no_grad():
            mean, _ = self._base.encode_sequences(pictures[:, None])
        return self.contrast.vectors(mean[:, 0], self.caption_vectors(embedded, token_ids))

    def caption_vectors(self, embedded: Tensor, token_ids: Tensor) -> Tensor:
        """(N, D) vectors, one for each caption, from its embeddings (N, L, D) and token ids (N, L)."""
        raise NotImplementedError


def drift(now: Tensor, before: Tensor) -> Tensor:
    """(N,) squared distance between a caption's embeddings now and before, (N, L, D) both, over their squared norm."""
    return (now - before).square().sum((1, 2)) / before.square().sum((1, 2))


class WordsStage:
    """Trains the text encoder; the codec is frozen, the denoiser is not touched. See `training.stages.Stage`.

    Args:
        base: base whose text encoder is trained.
        network: network that matches captions and pictures.
        sample_batch: held-out pictures, among which samples are chosen.
    """

    name = "words"
    frames: Literal["all", "last"] = "last"
    num_steps: None = None

    def __init__(self, base: Base, network: MatchingNetwork, sample_batch: SequenceBatch) -> None:
        self.base, self._network, self._sample_batch = base, network, sample_batch
        self.tokenise: Tokenise | None = base.tokens
        self.network: nn.Module = network
        frozen = {
            name: encoder
            for name, encoder in base.encoders.items()
            if not any(parameter.requires_grad for parameter in encoder.parameters())
        }
        self.frozen: Mapping[str, nn.Module] = (
            frozen if network.before is None else {**frozen, "text_encoder_before": network.before}
        )

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the base with these weights; the picture encoder, which served training only, is dropped."""
        with holding(self.network, weights):
            self.base.save(folder)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """For each prompt the pictures that suit it best, best first: (N, T, 3, H, W) in [0, 1]."""
        assert self._sample_batch.frames is not None
        pictures = self._sample_batch.frames[:, -1].to(self.base.device)
        token_ids = self.base.tokens(prompts).to(self.base.device)
        suits = self._network.suits(pictures, self._network.embedded(token_ids), token_ids)
        best = suits.topk(min(_NUM_CHOSEN, len(pictures)), dim=1).indices
        return (pictures[best].float().cpu() / 2 + 0.5).clamp(0, 1)
