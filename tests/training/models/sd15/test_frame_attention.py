"""Attention over frames, in parts or written as sums, is the attention of torch's kernels."""

from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from tests.training.models.small_base import small_base
from training.models.sd15 import frame_attention
from training.models.sd15.frame_attention import FrameAttention, attend_over_frames, fused, sums
from training.models.sd15.motion import add_motion, is_temporal
from training.models.sd15.replication import add_replication, load_replication


@pytest.mark.parametrize("as_sums", [False, True])
@pytest.mark.parametrize("num_frames", [1, 8, 32, 40])  # more than 32 are left to torch
def test_it_computes_what_the_processor_of_diffusers_computes(
    num_frames: int, as_sums: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: as_sums)
    torch.manual_seed(0)
    attention = Attention(query_dim=24, heads=3, dim_head=8)
    places = torch.randn(5, num_frames, 24)
    attention.set_processor(AttnProcessor2_0())
    expected = attention(places)
    attention.set_processor(FrameAttention(as_sums=as_sums))
    torch.testing.assert_close(attention(places), expected, atol=1e-5, rtol=1e-5)


def test_sums_are_for_the_compiler_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = Attention(query_dim=24, heads=3, dim_head=8, processor=FrameAttention(as_sums=True))
    monkeypatch.delattr(frame_attention, "sums")
    attention(torch.randn(5, 8, 24))


def test_gradients_are_those_of_torchs_kernel() -> None:
    torch.manual_seed(0)
    leaves = [torch.randn(4, 8, 2, 16, requires_grad=True) for _ in range(3)]
    query, key, value = (leaf.transpose(1, 2) for leaf in leaves)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    loss = wanted.transpose(1, 2).square().sum()
    expected = torch.autograd.grad(loss, leaves)
    for gradient, other in zip(torch.autograd.grad(sums(*leaves).square().sum(), leaves), expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-4, rtol=1e-4)


def test_more_places_than_a_kernel_takes_are_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    leaves = [torch.randn(7, 8, 2, 16, requires_grad=True) for _ in range(3)]
    expected = fused(*leaves)
    calls: list[int] = []
    kernel = torch.nn.functional.scaled_dot_product_attention

    def counted(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        calls.append(len(query))
        return kernel(query, key, value)

    monkeypatch.setattr(frame_attention, "_MOST_PLACES", 3)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    assert torch.equal(fused(*leaves), expected) and calls == [3, 3, 1]
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(fused(*leaves).square().sum(), leaves))


def kinds_of(network: torch.nn.Module) -> dict[bool, set[bool]]:
    """Of spatial and temporal attention: whether it is ours."""
    kinds: dict[bool, set[bool]] = {}
    for name, module in network.named_modules():
        if isinstance(module, Attention):
            kinds.setdefault(is_temporal(name), set()).add(isinstance(module.processor, FrameAttention))
    return kinds


def test_temporal_modules_alone_attend_so_in_every_network_that_has_them(tmp_path: Path) -> None:
    unet = small_base().unet
    replication = add_replication(unet)
    replication.save_pretrained(tmp_path)
    for network in (add_motion(unet, None), replication, load_replication(tmp_path, unet)):
        assert kinds_of(network) == {True: {True}, False: {False}}
    attend_over_frames(replication, as_sums=True)
    assert kinds_of(replication) == {True: {True}, False: {False}}
