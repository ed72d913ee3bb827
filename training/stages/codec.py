"""Stage `codec`: trains the convolutional codec of a base that is made here, on frames of all times of a process.

With `base=` it trains the decoder of that base's codec alone, whose latents stay what its denoiser knows: under noise
that is as large as what denoising leaves, the decoder learns to take it away.

Pixels are to come back (L1), and so are their differences to their neighbours, without which edges and bristles blur.
What a denoiser can learn is made sure of twice: noise on the latents, so that near latents must mean near pictures, and
a pull of latents towards 0, or the codec would drown the noise by larger numbers. Together they are the divergence from
a normal distribution that variational autoencoders use (Kingma, Welling 2014), at a given deviation.
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
_CROPS = 2  # of each sequence, each of a frame of its own
_AT_ONCE = 32  # pictures, for their latents
_LEAST_DEVIATION = 1e-6  # of latents that are all alike


class CodecNetwork(nn.Module):
    """From a batch of sequences to the loss of coding parts of their frames.

    Args:
        codec: is trained.
        settings: of the loss.
        seed: of the run.
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
        positions: (B,) of the sequences in the stream, from which frames and places follow.
        seed: of the draws.
        crop_px: side of the squares; that of smaller frames where these are smaller.
    """
    num_frames, _, height, width = frames.shape[1:]
    tall, wide = min(crop_px, height), min(crop_px, width)
    drawn = _drawn(positions, seed)[:, : 3 * _CROPS].reshape(-1, _CROPS, 3)
    frame, top, left = (  # each (2 B, 1, 1, 1)
        (drawn[..., axis] * end >> 32).flatten()[:, None, None, None]
        for axis, end in enumerate((num_frames, height - tall + 1, width - wide + 1))
    )
    sequence = torch.arange(len(frames), device=drawn.device).repeat_interleave(_CROPS)[:, None, None, None]
    channel, row, column = (torch.arange(count, device=drawn.device) for count in (3, tall, wide))
    chosen = frames[sequence, frame, channel[:, None, None], top + row[:, None], left + column]
    return chosen.contiguous(memory_format=torch.channels_last)  # in which convolutions on a CPU are faster


def uniform(positions: Tensor, seed: int) -> Tensor:
    """(2 B,) numbers from 0 to 1, of the crops of sequences at some (B,) positions."""
    return _drawn(positions, seed)[:, 3 * _CROPS :].flatten().float() / 2**32


def _drawn(positions: Tensor, seed: int) -> Tensor:
    """(B, 8) words: frame, row and column of each of the two squares of a sequence, then a number for each."""
    return words(seed, Stream.CROPS, positions, 4 * _CROPS)


def encoder_parts(codec: PatchCodec) -> dict[str, nn.Module]:
    """The networks between pictures and latents, by name."""
    parts = {"to_code": codec.to_code, "code_details": codec.code_details}
    return {name: part for name, part in parts.items() if part is not None}


def coding_errors(decoded: Tensor, pictures: Tensor, edges: float) -> Tensor:
    """(N,) mean absolute errors of (N, 3, H, W) pixels, and `edges` times those of their differences to neighbours."""
    difference = decoded - pictures
    down, right = difference.diff(dim=-2), difference.diff(dim=-1)
    pixels, *neighbours = (part.abs().flatten(1).mean(1) for part in (difference, down, right))
    return pixels + edges * torch.stack(neighbours).sum(0)


class CodecStage:
    """Trains a codec; it has no other parts. See `training.stages.Stage`.

    Args:
        network: of the codec.
        pictures: (N, 3, H, W) in [-1, 1], of the data, whose latents are brought to unit variance; None where the
            encoder is frozen, whose latents stay as they are.
        held_out: sequences that samples show.
    """

    name = "codec"
    frames: Literal["all", "last"] = "all"
    tokenise: None = None

    def __init__(self, network: CodecNetwork, pictures: Tensor | None, held_out: SequenceBatch) -> None:
        self._network, self._pictures, self._held_out = network, pictures, held_out
        self.network: nn.Module = network
        self.frozen: Mapping[str, nn.Module] = {} if pictures is not None else encoder_parts(network.codec)

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the codec as diffusers does, with the factor that brings its latents to unit variance."""
        codec = self._network.codec
        with holding(self.network, weights), torch.no_grad():
            if self._pictures is not None:
                parts = torch.split(self._pictures, _AT_ONCE)
                latents = torch.cat([codec.encode(part.to(codec.device)).latent_dist.mean for part in parts])
                codec.register_to_config(scaling_factor=1 / float(latents.std().clamp_min(_LEAST_DEVIATION)))
            codec.save_pretrained(folder / CODEC, safe_serialization=True)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Held-out sequences above what the codec makes of each, for any prompts: (2 N, T, 3, H, W) in [0, 1]."""
        codec = self._network.codec
        assert self._held_out.frames is not None
        frames = self._held_out.frames.to(codec.device)
        decoded = codec.autoencode(frames.flatten(0, 1)).reshape(frames.shape)
        return (torch.stack([frames, decoded], 1).flatten(0, 1).float().cpu() / 2 + 0.5).clamp(0, 1)
