"""Attention over the few frames of one place.

A temporal module asks for as many places as all pictures of a step have cells, which is more than torch's fused kernels
take at once: 16 sequences of 512 px are 65,536 places. So they are asked in parts.

For the compiler attention is written as sums. Fused kernels work in blocks of 64 queries and more, and of 8 frames
seven eighths of every block are thrown away; as sums it is one kernel of the compiler's, which reads each number once.
Without the compiler every product would be kept, so there it is never done.
"""

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

_MOST_PLACES = 32_768  # of a call; CUDA counts blocks along a batch to 65,535
_MOST_FRAMES = 32  # as sums: the products grow with the square, and from here on blocks are full enough


class FrameAttention:
    """A diffusers attention processor for self-attention over frames, without a mask.

    Args:
        as_sums: where the network is compiled; it has no effect where that is not so at the moment, as in samples of
            training, nor for more than `_MOST_FRAMES` frames.
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
        few = max(num_frames, attended.shape[1]) <= _MOST_FRAMES
        as_sums = self._as_sums and few and torch.compiler.is_compiling()
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
    """Attention as sums of products, in float32 inside.

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
    """Let the temporal modules of a network attend so, in place; `as_sums` where it is compiled."""
    for name, module in network.named_modules():
        if ".motion_modules." in name and isinstance(module, Attention):
            module.set_processor(FrameAttention(as_sums=as_sums))
