"""The network that stage `words` trains for the tiny Wan: its text encoder, beside an encoder of pictures."""

from typing import cast

from torch import Tensor

from training.models.contrast import Contrast, PictureEncoder
from training.models.wan22.base import WanBase
from training.stages.words import MatchingNetwork


class WanWords(MatchingNetwork):
    """See `training.stages.words.MatchingNetwork`.

    Args:
        base: its text encoder is trained; its VAE gives the pictures' codes.
        size_px: height and width of the frames.
        further: whether its transformer is trained already.
    """

    def __init__(self, base: WanBase, size_px: tuple[int, int], *, further: bool = False) -> None:
        width = int(base.configs["text_encoder"]["d_model"])
        _, channels, height, across = base.latent_shape(1, size_px)
        contrast = Contrast(PictureEncoder(channels, (height, across), width), width, width)
        super().__init__(base, base.text_encoder, contrast, further=further)
        self.vae = base.vae
        self._padding = base.tokenizer.pad_token_id

    def caption_vectors(self, embedded: Tensor, token_ids: Tensor) -> Tensor:
        """The mean of the embeddings of a caption's tokens."""
        num_tokens = (token_ids != self._padding).sum(1, keepdim=True)
        return cast(Tensor, embedded.sum(1) / num_tokens)
