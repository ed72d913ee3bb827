"""The toy's base: a codec without weights, a text encoder of bytes, and a transformer over whole sequences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from conf.errors import UserError
from tests.training.models.toy_architecture.flow import Flow
from training.data.text import Text
from training.models.conditions import Conditions
from training.models.weights import module_hash

PATCH_PX, FRAMES_A_LATENT, CHANNELS, WIDTH, LENGTH = 8, 2, 12, 16, 24
CONFIG, WEIGHTS = "toy.json", "toy.safetensors"


def tokens(captions: Sequence[str]) -> Tensor:
    """(B, L) bytes of captions."""
    return torch.tensor([list(caption.encode()[:LENGTH].ljust(LENGTH)) for caption in captions])


class TextEncoder(nn.Module):
    """Embeds bytes as the tensors `words` (B, L, D) and `pooled` (B, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.whole = nn.Embedding(256, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, token_ids: Tensor) -> Text:
        words = self.letters(token_ids)
        return Text({"words": words, "pooled": self.whole(words.mean(1))})


class Transformer(nn.Module):
    """(B, S, C, h, w) latents, timesteps, text and conditions -> (B, S, C, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(2 * CHANNELS + 1, WIDTH), nn.Linear(WIDTH, CHANNELS)
        self.level = nn.Linear(1, WIDTH)
        self.block = nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, dropout=0.0, batch_first=True)

    def forward(self, latents: Tensor, timesteps: Tensor, text: Text, conditions: Conditions | None = None) -> Tensor:
        condition_channels = torch.zeros_like(latents[:, :, :1]).expand(-1, -1, CHANNELS + 1, -1, -1)
        if conditions is not None:
            repeated = conditions.repeated(len(latents))
            mask = repeated.mask[:, :, None, None, None].expand_as(latents[:, :, :1])
            condition_channels = torch.cat([repeated.latents, mask], dim=2).to(latents)
        cells = torch.cat([latents, condition_channels], dim=2).movedim(2, -1)
        inner = self.enter(cells.flatten(1, 3)) + text["pooled"][:, None]
        inner = inner + self.level(timesteps.to(inner)[:, None] / 1000)[:, None]
        mixed = self.block(torch.cat([inner, text["words"].to(inner)], dim=1))[:, : inner.shape[1]]
        predicted: Tensor = self.leave(mixed)
        return predicted.reshape(*cells.shape[:-1], CHANNELS).movedim(-1, 2)


@dataclass(frozen=True, kw_only=True)
class ToyBase:
    """See `training.models.architecture.Base`."""

    text_encoder: TextEncoder
    transformer: Transformer
    objective: Flow
    exact: bool = True
    patch_px: int = PATCH_PX
    cell_px: int = PATCH_PX

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        return {"text_encoder": self.text_encoder}

    @property
    def device(self) -> torch.device:
        return self.text_encoder.letters.weight.device

    def tokens(self, captions: Sequence[str]) -> Tensor:
        return tokens(captions)

    def latent_shape(self, num_frames: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
        return -(-num_frames // FRAMES_A_LATENT), CHANNELS, size_px[0] // PATCH_PX, size_px[1] // PATCH_PX

    def latent_slot(self, frame: int, num_frames: int) -> int:
        return frame // FRAMES_A_LATENT

    def encode_sequences(self, frames: Tensor, at_once: int | None = None) -> tuple[Tensor, Tensor]:
        if frames.shape[1] == 1:
            frames = frames.expand(-1, FRAMES_A_LATENT, -1, -1, -1)
        coarse = functional.avg_pool3d(frames.transpose(1, 2), (FRAMES_A_LATENT, PATCH_PX // 2, PATCH_PX // 2))
        mean = functional.pixel_unshuffle(coarse.transpose(1, 2), 2)
        return mean, torch.full_like(mean, -30.0)

    def scaled(self, mean: Tensor) -> Tensor:
        return 2 * mean

    def deviation(self, logvar: Tensor) -> Tensor:
        return 2 * (0.5 * logvar).exp()

    def decode_sequences(self, latents: Tensor) -> Tensor:
        coarse = functional.pixel_shuffle(latents / 2, 2).repeat_interleave(FRAMES_A_LATENT, dim=1)
        frames = coarse.repeat_interleave(PATCH_PX // 2, dim=-1).repeat_interleave(PATCH_PX // 2, dim=-2)
        return (frames / 2 + 0.5).clamp(0, 1)

    def embed(self, captions: Sequence[str], device: torch.device | None = None) -> Text:
        return self.embed_tokens(tokens(captions).to(self.device if device is None else device))

    def embed_tokens(self, token_ids: Tensor) -> Text:
        embedded: Text = self.text_encoder(token_ids)
        return embedded

    def unknown_words(self, prompt: str) -> list[str]:
        return []

    def fingerprint(self) -> str:
        return module_hash(self.text_encoder)

    def save(self, folder: Path) -> None:
        (folder / CONFIG).write_text(json.dumps({"shift": self.objective.shift}))
        save_file(nn.ModuleList([self.text_encoder, self.transformer]).state_dict(), folder / WEIGHTS)


def new_base(seed: int = 0) -> ToyBase:
    """An untrained base."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base = ToyBase(text_encoder=TextEncoder(), transformer=Transformer(), objective=Flow())
    for network in (base.text_encoder, base.transformer):
        network.requires_grad_(False).eval()
    return base


def load_toy(folder: Path, key: str) -> ToyBase:
    """The base in a folder."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"{key}={folder}: not a toy; it lacks {CONFIG}")
    base = new_base()
    nn.ModuleList([base.text_encoder, base.transformer]).load_state_dict(load_file(folder / WEIGHTS))
    shift = float(json.loads((folder / CONFIG).read_text())["shift"])
    return ToyBase(text_encoder=base.text_encoder, transformer=base.transformer, objective=Flow(shift=shift))
