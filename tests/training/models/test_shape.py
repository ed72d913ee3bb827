"""Sizes that kernels like, in new models; models that are there keep theirs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from tests.training.models.small_base import CAPTIONS, pictures, small_base
from training.models.sd15.base import load_base
from training.models.sd15.frame_attention import FrameAttention
from training.models.sd15.motion import adapter_of, add_motion, is_temporal, load_motion, save_motion
from training.models.sd15.replication import add_replication
from training.models.shape import num_heads
from training.models.tiny.build import build_tiny
from training.models.tiny.shape import TinyShape
from training.noise_schedule import NoiseSchedule

SHAPE = TinyShape(channels=(32, 48), plain_levels=1, patch_px=8, text_width=48, latent_channels=8)


def attentions(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, Attention)]


def size_of_head(attention: Any) -> int:
    return int(attention.inner_dim) // int(attention.heads)


@given(st.lists(st.integers(1, 100).map(lambda n: 16 * n), min_size=1, max_size=4))
def test_heads_that_layers_of_all_sizes_share_are_multiples_of_8(widths: list[int]) -> None:
    heads = num_heads(*widths)
    assert 1 <= heads <= 8 and all(width % (8 * heads) == 0 for width in widths)


def test_stable_diffusion_and_the_default_tiny_model_keep_their_eight_heads() -> None:
    assert num_heads(320, 640, 1280, 1280) == num_heads(*TinyShape().channels) == 8
    assert num_heads(12, 24) == 8  # of a UNet that has no such sizes


def test_every_attention_of_a_new_model_can_be_fused_and_none_is_kept_from_it() -> None:
    base = build_tiny(SHAPE, CAPTIONS, pictures(64), NoiseSchedule(), seed=0)
    networks = (base.unet, add_motion(base.unet, None), add_replication(base.unet))
    for network in networks:
        found = attentions(network)
        assert found and {size_of_head(each) % 8 for each in found} == {0}
        assert {type(each.processor) for each in found} <= {AttnProcessor2_0, FrameAttention}
    config = base.text_encoder.config
    assert config.hidden_size // config.num_attention_heads % 8 == 0
    assert config._attn_implementation == "sdpa"


def test_text_of_any_allowed_width_has_heads_that_fit() -> None:
    for width in range(16, 200, 16):
        assert width % num_heads(width, most=max(1, width // 32)) == 0


@torch.no_grad()
@pytest.mark.parametrize("original", [False, True])
def test_heads_of_twelve_numbers_that_were_trained_stay_so(tmp_path: Path, original: bool) -> None:
    base = small_base(shape=TinyShape(channels=(96,), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    unet = type(base.unet).from_config({**base.unet.config, "attention_head_dim": 8})
    unet.load_state_dict(base.unet.state_dict())
    replace(base, unet=unet).save(tmp_path / "base")
    loaded = load_base(tmp_path / "base").unet
    assert {size_of_head(each) for each in attentions(loaded)} == {12}

    motion = add_motion(loaded, None)
    assert {size_of_head(each) for each in attentions(motion) if each.heads != 8} == {16}
    adapter = adapter_of(motion)
    save_motion(adapter, tmp_path / "motion")
    place = tmp_path / "motion"
    if original:  # as files were written until now, of whichever motion: 8 heads, and no word of it
        place = tmp_path / "old.safetensors"
        save_file(load_file(tmp_path / "motion" / "animatediff.safetensors"), place)
    again = add_motion(loaded, load_motion(place, loaded))
    temporal = {name: each for name, each in again.named_modules() if isinstance(each, Attention) and is_temporal(name)}
    assert {size_of_head(each) for each in temporal.values()} == ({12} if original else {16})
    told = load_motion(tmp_path / "motion" / "animatediff.safetensors", loaded)
    assert told.config.motion_num_attention_heads == 6
