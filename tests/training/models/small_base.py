"""A base of the real classes and files, small enough to be made anew in every test session."""

import torch

from training.models.sd15.base import BaseModel
from training.models.tiny.build import build_tiny
from training.models.tiny.shape import TinyShape
from training.noise_schedule import NoiseSchedule

CAPTIONS = (
    "a red house by a lake, painted in oil",
    "two white sailboats on the sea at dusk",
    "a green tree in a brown field, painted in Chinese ink",
)
SHAPE = TinyShape(channels=(16, 32), plain_levels=0, patch_px=8, text_width=16, latent_channels=8)


def pictures(count: int, size_px: int = 64, seed: int = 0) -> torch.Tensor:
    """(N, 3, H, W) smooth random pictures in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=size_px, mode="bicubic").clamp(-1, 1)


def small_base(schedule: NoiseSchedule | None = None, shape: TinyShape = SHAPE) -> BaseModel:
    """An untrained base, frozen, in evaluation mode."""
    base = build_tiny(shape, CAPTIONS, pictures(64), schedule or NoiseSchedule(), seed=0)
    for part in (base.vae, base.text_encoder, base.unet):
        part.requires_grad_(False).eval()
    return base
