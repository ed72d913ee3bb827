"""Wans of the real classes and files, small enough to be made anew in every test session."""

from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import nn

from tests.training.models.small_base import CAPTIONS, pictures
from training.models.wan22.base import WanBase
from training.models.wan22.build import build_tiny
from training.models.wan22.flow import Flow
from training.models.wan22.registration import FramesAs, Order, WanTinyConfig
from training.models.wan22.shape import WanShape

SHAPE = WanShape(width=32, num_heads=2, num_blocks=2, text_width=16, latent_channels=6)


def small_wan(shape: WanShape = SHAPE, **model: Any) -> WanBase:
    """An untrained base whose transformer does not predict zeros."""
    config = WanTinyConfig(name="wan22_tiny", shape=shape, **model)
    base = build_tiny(config, CAPTIONS, pictures(64), Flow(shift=3.0), seed=0)
    nn.init.normal_(base.transformer.proj_out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return base


def video_wan(frames: FramesAs = "video", order: Order = "forward") -> WanBase:
    """A small base with a VAE of Wan2.2's kind: 16 px per cell, 4 frames per latent, random weights."""
    channels = SHAPE.latent_channels
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLWan(
            base_dim=4, decoder_base_dim=4, z_dim=channels, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
            temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12, patch_size=2,
            scale_factor_spatial=16, latents_mean=[0.1] * channels, latents_std=[0.5] * channels,
        )  # fmt: skip
    base = small_wan()
    networks: dict[str, nn.Module] = {"vae": vae, "text_encoder": base.text_encoder, "transformer": base.transformer}
    return replace(
        base,
        configs={**base.configs, "vae": dict(vae.config)},
        load=lambda part: networks[part].requires_grad_(False).eval(),
        frames=frames,
        order=order,
    )
