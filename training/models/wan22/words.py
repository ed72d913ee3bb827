"""What stage `words` trains of the tiny Wan: its text encoder, beside an encoder of pictures."""

from typing import cast

import torch
from torch import Tensor

from training.models.contrast import Contrast, PictureEncoder
from training.models.wan22.base import WanBase
from training.stages.words import MatchingNetwork


class WanWords(MatchingNetwork):
    """See `training.stages.words.MatchingNetwork`.

    Args:
        base: its text encoder is trained; its VAE gives the pictures' codes.
        size_px: height and width of the frames.
    """

    def __init__(self, base: WanBase, size_px: tuple[int, int]) -> None:
        super().__init__(base.tokens)
        self._base = base
        self.text_encoder, self.vae = base.text_encoder.requires_grad_(True), base.vae
        _, channels, *grid = base.latent_shape(1, size_px)
        width = int(base.configs["text_encoder"]["d_model"])
        self.contrast = Contrast(PictureEncoder(channels, cast(tuple[int, int], tuple(grid)), width), width, width)

    def suits(self, pictures: Tensor, token_ids: Tensor) -> Tensor:
        """(N, M): how well captions, (N, L) as numbers of pieces, suit (M, 3, H, W) pictures in [-1, 1]."""
        with torch.no_grad():
            codes, _ = self._base.encode_sequences(pictures[:, None])
        embedded = self._base.embed_tokens(token_ids)["text"]
        num_pieces = (token_ids != self._base.tokenizer.pad_token_id).sum(1, keepdim=True)
        return cast(Tensor, self.contrast(codes[:, 0], embedded.sum(1) / num_pieces))
