"""Words and pictures in one space: the text encoder is trained so that a caption lies near its own picture.

This is a small CLIP (Radford et al. 2021). Stable Diffusion starts from such a text encoder, and so should the tiny
model: while words mean nothing yet, a denoiser learns to ignore them, and takes thousands of steps to unlearn that.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (64, 128, 128, 128)
_STRIDES = (1, 2, 1, 2)
_NUM_GROUPS = 8
_FIRST_SHARPNESS = 1 / 0.07  # as published
_MOST_SHARPNESS = 50.0


class PictureEncoder(nn.Module):
    """One vector for a picture; it depends on where things are, because captions distinguish sky from ground.

    Args:
        channels: channels of the codes of a picture.
        grid: height and width of the codes.
        width: width of the vector.
    """

    def __init__(self, channels: int, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        height, across = grid
        for wide, stride in zip(_WIDTHS, _STRIDES, strict=True):
            layers += [nn.Conv2d(channels, wide, 3, stride, 1), nn.GroupNorm(_NUM_GROUPS, wide), nn.SiLU()]
            channels, height, across = wide, -(-height // stride), -(-across // stride)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * across, width))

    def forward(self, codes: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, D)."""
        vectors: Tensor = self.layers(codes)
        return vectors


class Contrast(nn.Module):
    """How well each caption of a batch suits each picture.

    Args:
        pictures: picture encoder.
        text_width: width of a caption's vector.
        width: width of the common space.
    """

    def __init__(self, pictures: PictureEncoder, text_width: int, width: int) -> None:
        super().__init__()
        self.pictures = pictures
        self.to_common = nn.Linear(text_width, width)
        self.log_sharpness = nn.Parameter(
            torch.tensor([math.log(_FIRST_SHARPNESS)])
        )  # sharded training takes no scalars

    def forward(self, codes: Tensor, captions: Tensor) -> Tensor:
        """(M, C, h, w) pictures' codes, (N, D) captions -> (N, M), as `scores`."""
        return self.scores(*self.vectors(codes, captions))

    def vectors(self, codes: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """(M, C, h, w) pictures' codes, (N, D) captions -> (M, D') and (N, D') of length 1, in the common space."""
        picture_vectors = functional.normalize(self.pictures(codes), dim=-1)
        return picture_vectors, functional.normalize(self.to_common(captions), dim=-1)

    def scores(self, picture_vectors: Tensor, caption_vectors: Tensor) -> Tensor:
        """(M, D') and (N, D') vectors of pictures and captions -> (N, M), sharpened cosines."""
        return caption_vectors @ picture_vectors.T * self.log_sharpness.exp().clamp(max=_MOST_SHARPNESS)


def contrastive_losses(suits: Tensor) -> Tensor:
    """(B,) losses of a batch: each caption is to find its picture, each picture its caption (Radford et al., figure 3).

    Args:
        suits: (B, B) scores, captions by pictures; those on the diagonal belong together.
    """
    targets = torch.arange(len(suits), device=suits.device)
    losses = [functional.cross_entropy(scores, targets, reduction="none") for scores in (suits, suits.T)]
    return torch.stack(losses).mean(0)
