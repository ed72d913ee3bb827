"""What stage `words` trains of the tiny Wan: its text encoder, beside an encoder of pictures."""

from typing import cast

import torch
from torch import Tensor

from training.data.batch import SequenceBatch
from training.models.tiny.contrast import Contrast, PictureEncoder, contrastive_losses
from training.models.wan22.base import WanBase
from training.stages import StageLoss
from training.stages.words import MatchingNetwork


class WanWords(MatchingNetwork):
    """From a batch to its loss; captions and pictures of the batch are each other's wrong answers.

    Args:
        base: its text encoder is trained; its VAE gives the pictures' codes.
        size_px: height and width of the frames.
    """

    def __init__(self, base: WanBase, size_px: tuple[int, int]) -> None:
        super().__init__()
        self._base = base
        self.text_encoder, self.vae = base.text_encoder.requires_grad_(True), base.vae
        _, channels, *grid = base.latent_shape(1, size_px)
        width = int(base.configs["text_encoder"]["d_model"])
        self.contrast = Contrast(PictureEncoder(channels, cast(tuple[int, int], tuple(grid)), width), width, width)

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch of finished pictures."""
        assert batch.frames is not None  # latents are refused before
        losses = contrastive_losses(self.suits(batch.frames[:, -1], batch.tokenised(self._base.tokens)))
        return StageLoss(loss=losses.mean(), per_sample=losses.detach(), timesteps=None)

    def suits(self, pictures: Tensor, token_ids: Tensor) -> Tensor:
        """(N, M): how well captions, (N, L) as numbers of pieces, suit (M, 3, H, W) pictures in [-1, 1]."""
        with torch.no_grad():
            codes, _ = self._base.encode_sequences(pictures[:, None])
        embedded = self._base.embed_tokens(token_ids)["text"]
        num_pieces = (token_ids != self._base.tokenizer.pad_token_id).sum(1, keepdim=True)
        return cast(Tensor, self.contrast(codes[:, 0], embedded.sum(1) / num_pieces))
