"""Attention over the few frames of one place.

A temporal module attends once for each cell of each sequence of a step, which are more places than torch's fused
kernels take at once: 16 sequences of 512 px have 65,536. So the kernels are called in parts.

In compiled networks attention is written as sums. Fused kernels work in blocks of 64 queries and more, so with 8 frames
seven eighths of every block are wasted; sums become one compiled kernel, which reads each number once. Without the
compiler every product would be kept in memory, so sums are not used then.
"""

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

_MOST_PLACES = 32_768  # per call; CUDA allows 65,535 blocks along a batch
_MOST_FRAMES = 32  # for sums: their cost grows with the square, and with more frames blocks are full enough


class FrameAttention:
    """A diffusers attention processor for self-attention over frames, without a mask.

    Args:
        as_sums: whether to write attention as sums. It has no effect while the network runs uncompiled, as in samples
            of training, nor with more than `_MOST_FRAMES` frames.
    """

    def __init__(self, *, as_sums: bool = False) -> None:
        self._as_sums = as_sums

    def __call__(
        self, attention: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        """(N, T, C) -> (N, T, C)."""
        attended = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        num_places, num_frames, width = hidden_states.shape
        query, key, value = (
            layer(source).unflatten(-1, (attention.heads, -1))
            for layer, source in (
                (attention.to_q, hidden_states),
                (attention.to_k, attended),
                (attention.to_v, attended),
            )
        )
        is_short = max(num_frames, attended.shape[1]) <= _MOST_FRAMES
        as_sums = self._as_sums and is_short and torch.compiler.is_compiling()
        mixed = sums(query, key, value) if as_sums else fused(query, key, value)
        projected: Tensor = attention.to_out[0](mixed.reshape(num_places, num_frames, width))
        dropped: Tensor = attention.to_out[1](projected)
        return dropped


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention by torch's kernels; arguments as of `sums`."""
    parts = [
        nn.functional.scaled_dot_product_attention(*(each.transpose(1, 2) for each in part)).transpose(1, 2)
        for part in zip(*(torch.split(each, _MOST_PLACES) for each in (query, key, value)), strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def sums(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention as sums of products, computed in float32.

    Args:
        query: (N, T, H, D) of H heads.
        key, value: (N, S, H, D).

    Returns:
        (N, T, H, D).
    """
    scores = (query[:, :, None].float() * key[:, None].float()).sum(-1) * query.shape[-1] ** -0.5
    mixed: Tensor = (scores.softmax(2)[..., None] * value[:, None].float()).sum(2)
    return mixed.to(value.dtype)


def attend_over_frames(network: nn.Module, *, as_sums: bool = False) -> None:
    """Make the temporal modules of a network use `FrameAttention`, in place; `as_sums` is for compiled networks."""
    for name, module in network.named_modules():
        if ".motion_modules." in name and isinstance(module, Attention):
            module.set_processor(FrameAttention(as_sums=as_sums))
