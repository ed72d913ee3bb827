"""Attention over frames, written as sums, is the attention of torch's kernels."""

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from tests.training.models.small_base import small_base
from training.models.sd15.frame_attention import FrameAttention, attend, attend_over_frames
from training.models.sd15.motion import add_motion, is_temporal


@pytest.mark.parametrize("num_frames", [1, 8, 32, 40])  # more than 32 are left to torch
def test_it_computes_what_the_processor_of_diffusers_computes(num_frames: int) -> None:
    torch.manual_seed(0)
    attention = Attention(query_dim=24, heads=3, dim_head=8)
    places = torch.randn(5, num_frames, 24)
    attention.set_processor(AttnProcessor2_0())
    expected = attention(places)
    attention.set_processor(FrameAttention())
    torch.testing.assert_close(attention(places), expected, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_torchs_kernel() -> None:
    torch.manual_seed(0)
    leaves = [torch.randn(4, 8, 2, 16, requires_grad=True) for _ in range(3)]
    query, key, value = (leaf.transpose(1, 2) for leaf in leaves)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    loss = wanted.transpose(1, 2).square().sum()
    expected = torch.autograd.grad(loss, leaves)
    for gradient, other in zip(torch.autograd.grad(attend(*leaves).square().sum(), leaves), expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-4, rtol=1e-4)


def test_only_temporal_modules_attend_so() -> None:
    unet = add_motion(small_base().unet, None)
    attend_over_frames(unet)
    kinds = {
        is_temporal(name): isinstance(module.processor, FrameAttention)
        for name, module in unet.named_modules()
        if isinstance(module, Attention)
    }
    assert kinds == {True: True, False: False}
