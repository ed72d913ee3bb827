"""Stage `codec`: trains the convolutional codec of a base that is made here, on frames of all stages of a painting.

With `base=` it trains only the decoder of that base's codec, so that its latents stay those that its denoiser was
trained on. With noise as large as that which denoising leaves, the decoder learns to remove it.

The loss compares pixels (L1), and also their differences to their neighbours, without which edges and bristles blur.
Two terms make latents easy for a denoiser to learn: noise on the latents, so that similar latents must mean similar
pictures, and a pull of latents towards 0, as otherwise the codec would drown the noise by larger numbers. Together they
are the divergence from a normal distribution that variational autoencoders use (Kingma, Welling 2014), at a given
deviation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from training.data.batch import SequenceBatch
from training.models.codec import PatchCodec
from training.models.weights import holding
from training.random.philox import normals, words
from training.random.streams import Stream, seed_of_samples
from training.stages import StageLoss
from training.stages.codec_settings import CodecSettings

CODEC = "vae"
"""Folder of the codec in the weights, as in those of a base."""
_CROPS = 2  # per sequence, each of a frame of its own
_AT_ONCE = 32  # pictures that are encoded together
_LEAST_DEVIATION = 1e-6  # lower bound, for latents that are all equal


class CodecNetwork(nn.Module):
    """From a batch of sequences to the loss of coding parts of their frames.

    Args:
        codec: the codec that is trained.
        settings: settings of the loss.
        seed: seed of the run.
        decoder_alone: whether the encoder is frozen.
    """

    def __init__(self, codec: PatchCodec, settings: CodecSettings, seed: int, *, decoder_alone: bool = False) -> None:
        super().__init__()
        self.codec = codec.requires_grad_(True)
        if decoder_alone:
            for part in encoder_parts(codec).values():
                part.requires_grad_(False)
        self._settings, self._seed = settings, seed

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss of a batch; crops and noise come from (seed, positions)."""
        assert batch.frames is not None  # latents are refused before
        seed = seed_of_samples(self._seed, training=self.training)
        pictures = crops(batch.frames, batch.positions, seed, self._settings.crop_px)
        latents = self.codec.encode(pictures).latent_dist.mean
        per_crop = latents.shape[1:]
        noise = normals(seed, Stream.CODEC_NOISE, batch.positions, (_CROPS, *per_crop)).reshape(-1, *per_crop)
        deviations = self._settings.noise * uniform(batch.positions, seed)[:, None, None, None]
        decoded = self.codec.decode(latents + (deviations * noise).to(latents.device)).sample
        errors = coding_errors(decoded.float(), pictures, self._settings.edges)
        errors = errors + self._settings.pull / 2 * latents.float().square().flatten(1).mean(1)
        losses = errors.reshape(-1, _CROPS).mean(1)
        return StageLoss(loss=losses.mean(), per_sample=losses.detach(), timesteps=None)


def crops(frames: Tensor, positions: Tensor, seed: int, crop_px: int) -> Tensor:
    """Squares of random frames at random places, two of each sequence: (2 B, 3, crop_px, crop_px).

    Args:
        frames: (B, T, 3, H, W).
        positions: (B,) positions of the sequences in the stream, which determine frames and places.
        seed: seed of the draws.
        crop_px: side of the squares; frames with a shorter side limit it.
    """
    num_frames, _, height, width = frames.shape[1:]
    tall, wide = min(crop_px, height), min(crop_px, width)
    random_words = _drawn(positions, seed)[:, : 3 * _CROPS].reshape(-1, _CROPS, 3)
    frame, top, left = (  # each (2 B, 1, 1, 1)
        (random_words[..., axis] * end >> 32).flatten()[:, None, None, None]
        for axis, end in enumerate((num_frames, height - tall + 1, width - wide + 1))
    )
    sequence = torch.arange(len(frames), device=random_words.device).repeat_interleave(_CROPS)[:, None, None, None]
    channel, row, column = (torch.arange(count, device=random_words.device) for count in (3, tall, wide))
    squares = frames[sequence, frame, channel[:, None, None], top + row[:, None], left + column]
    return squares.contiguous(memory_format=torch.channels_last)  # convolutions on a CPU are faster with it


def uniform(positions: Tensor, seed: int) -> Tensor:
    """(2 B,) uniform numbers from 0 to 1 for the crops of sequences at (B,) positions."""
    return _drawn(positions, seed)[:, 3 * _CROPS :].flatten().float() / 2**32


def _drawn(positions: Tensor, seed: int) -> Tensor:
    """(B, 8) random words: frame, row and column of each of the two squares of a sequence, then a number for each."""
    return words(seed, Stream.CROPS, positions, 4 * _CROPS)


def encoder_parts(codec: PatchCodec) -> dict[str, nn.Module]:
    """The networks between pictures and latents, by name."""
    parts = {"to_code": codec.to_code, "code_details": codec.code_details}
    return {name: part for name, part in parts.items() if part is not None}


def coding_errors(decoded: Tensor, pictures: Tensor, edges: float) -> Tensor:
    """(N,) mean absolute errors of (N, 3, H, W) pixels, plus `edges` times those of differences between neighbours."""
    difference = decoded - pictures
    down, right = difference.diff(dim=-2), difference.diff(dim=-1)
    pixels, *neighbours = (part.abs().flatten(1).mean(1) for part in (difference, down, right))
    return pixels + edges * torch.stack(neighbours).sum(0)


class CodecStage:
    """Trains a codec; it has no other parts. See `training.stages.Stage`.

    Args:
        network: network of the codec.
        pictures: (N, 3, H, W) in [-1, 1], pictures of the data whose latents are scaled to unit variance; None if the
            encoder is frozen, so that its latents stay as they are.
        held_out: sequences that samples show.
    """

    name = "codec"
    frames: Literal["all", "last"] = "all"
    num_steps: None = None
    tokenise: None = None

    def __init__(self, network: CodecNetwork, pictures: Tensor | None, held_out: SequenceBatch) -> None:
        self._network, self._pictures, self._held_out = network, pictures, held_out
        self.network: nn.Module = network
        self.frozen: Mapping[str, nn.Module] = {} if pictures is not None else encoder_parts(network.codec)

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the codec as diffusers does, with the factor that scales its latents to unit variance."""
        codec = self._network.codec
        with holding(self.network, weights), torch.no_grad():
            if self._pictures is not None:
                parts = torch.split(self._pictures, _AT_ONCE)
                latents = torch.cat([codec.encode(part.to(codec.device)).latent_dist.mean for part in parts])
                codec.register_to_config(scaling_factor=1 / float(latents.std().clamp_min(_LEAST_DEVIATION)))
            codec.save_pretrained(folder / CODEC, safe_serialization=True)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Held-out sequences, each above its reconstruction, whatever the prompts: (2 N, T, 3, H, W) in [0, 1]."""
        codec = self._network.codec
        assert self._held_out.frames is not None
        frames = self._held_out.frames.to(codec.device)
        decoded = codec.autoencode(frames.flatten(0, 1)).reshape(frames.shape)
        return (torch.stack([frames, decoded], 1).flatten(0, 1).float().cpu() / 2 + 0.5).clamp(0, 1)
