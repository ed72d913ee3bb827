"""What stage `words` trains of the tiny model: its text encoder, beside an encoder of pictures."""

import torch
from torch import Tensor

from training.models.contrast import Contrast, PictureEncoder
from training.models.sd15.base import BaseModel
from training.stages.words import MatchingNetwork


class WordsNetwork(MatchingNetwork):
    """See `training.stages.words.MatchingNetwork`.

    Args:
        base: its text encoder is trained; its codec gives the pictures' codes.
        size_px: height and width of the frames.
    """

    def __init__(self, base: BaseModel, size_px: tuple[int, int]) -> None:
        super().__init__(base.tokens)
        self._base = base
        base.text_encoder.requires_grad_(True)
        width = int(base.text_encoder.config.hidden_size)
        grid = (size_px[0] // base.patch_px, size_px[1] // base.patch_px)
        self.text_encoder, self.vae = base.text_encoder, base.vae
        self.contrast = Contrast(PictureEncoder(base.latent_channels, grid, width), width, width)

    def suits(self, pictures: Tensor, token_ids: Tensor) -> Tensor:
        """(N, M): how well captions, (N, L) as numbers of words, suit (M, 3, H, W) pictures in [-1, 1]."""
        with torch.no_grad():
            codes, _ = self._base.encode_frames(pictures)
        suits: Tensor = self.contrast(codes, self.text_encoder(token_ids).pooler_output)
        return suits
