"""The network that stage `words` trains for the tiny model: its text encoder, beside an encoder of pictures."""

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
        further: whether its denoiser is trained already.
    """

    def __init__(self, base: BaseModel, size_px: tuple[int, int], *, further: bool = False) -> None:
        width = int(base.text_encoder.config.hidden_size)
        _, channels, height, across = base.latent_shape(1, size_px)
        contrast = Contrast(PictureEncoder(channels, (height, across), width), width, width)
        super().__init__(base, base.text_encoder, contrast, further=further)
        self.vae = base.vae
        self._end = int(base.tokenizer.eos_token_id)

    def caption_vectors(self, embedded: Tensor, token_ids: Tensor) -> Tensor:
        """The embedding of a caption's end token, which has attended to all of it, as in CLIP."""
        ends = (token_ids == self._end).int().argmax(1)  # the first; captions are filled up with more
        return embedded[torch.arange(len(embedded), device=embedded.device), ends]
