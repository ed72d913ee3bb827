"""Stage `words`: which words go with which pictures. Only the tiny model needs it; others come with a text encoder.

What it leaves is a base whose text encoder is trained, and whose UNet is not: stage `base` goes on from there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from training.data.batch import SequenceBatch
from training.models.sd15.base import BaseModel
from training.models.tiny.contrast import Contrast, PictureEncoder, contrastive_losses
from training.models.weights import holding
from training.stages import StageLoss

_SHOWN = 4  # pictures a prompt


class WordsNetwork(nn.Module):
    """From a batch to its loss; captions and pictures of the batch are each other's wrong answers.

    Args:
        base: its text encoder is trained; its codec gives the pictures' codes.
        grid: height and width of the codes.
    """

    def __init__(self, base: BaseModel, grid: tuple[int, int]) -> None:
        super().__init__()
        self._base = base
        width = int(base.text_encoder.config.hidden_size)
        self.text_encoder, self.vae = base.text_encoder, base.vae
        self.contrast = Contrast(PictureEncoder(base.latent_channels, grid, width), width, width)

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch of finished pictures."""
        assert batch.frames is not None  # latents are refused before
        losses = contrastive_losses(self.suits(batch.frames[:, -1], self._base.token_ids(batch)))
        return StageLoss(loss=losses.mean(), per_sample=losses.detach(), timesteps=None)

    def suits(self, pictures: Tensor, token_ids: Tensor) -> Tensor:
        """(N, M): how well captions, (N, L) as numbers of words, suit (M, 3, H, W) pictures in [-1, 1]."""
        with torch.no_grad():
            codes, _ = self._base.encode_frames(pictures)
        suits: Tensor = self.contrast(codes, self.text_encoder(token_ids).pooler_output)
        return suits


class WordsStage:
    """Trains the text encoder; tokenizer and codec are frozen, the UNet is not touched. See `training.stages.Stage`.

    Args:
        base: untrained.
        size_px: height and width of the frames.
        shown: held-out pictures, among which samples are chosen.
    """

    name = "words"
    frames: Literal["all", "last"] = "last"

    def __init__(self, base: BaseModel, size_px: tuple[int, int], shown: SequenceBatch) -> None:
        self.base, self._shown = base, shown
        base.text_encoder.requires_grad_(True)
        self._network = WordsNetwork(base, (size_px[0] // base.patch_px, size_px[1] // base.patch_px))
        self.tokenise = base.tokens
        self.network: nn.Module = self._network
        self.frozen: Mapping[str, nn.Module] = {"vae": base.vae}

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the base as a diffusers folder, with these weights; the picture encoder has done its work."""
        with holding(self.network, weights):
            self.base.save(folder)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """For each prompt the pictures that suit it best, best first: (N, T, 3, H, W) in [0, 1]."""
        assert self._shown.frames is not None
        device = self.base.text_encoder.device
        pictures = self._shown.frames[:, -1].to(device)
        token_ids = self.base.tokens(prompts).to(device)
        best = self._network.suits(pictures, token_ids).topk(min(_SHOWN, len(pictures)), dim=1).indices
        return (pictures[best].float().cpu() / 2 + 0.5).clamp(0, 1)
