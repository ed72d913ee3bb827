"""Attention over the few frames of one place, for the compiler.

Fused attention kernels work in blocks of 64 queries and more; a temporal module asks for as many places as a picture
has cells, of 8 frames each, and seven eighths of every block are thrown away. Written as sums, it is one kernel of the
compiler's, which reads each number once. Without the compiler every product would be kept: it is for compiled networks.
"""

from typing import Any

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

_MOST_FRAMES = 32  # the products grow with the square; from here on blocks are full enough


class FrameAttention:
    """A diffusers attention processor for self-attention over at most `_MOST_FRAMES` frames, without a mask.

    Longer sequences, and attention to something else, are left to torch's own kernels.
    """

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
        if max(num_frames, attended.shape[1]) > _MOST_FRAMES:
            mixed = nn.functional.scaled_dot_product_attention(
                query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
            ).transpose(1, 2)
        else:
            mixed = attend(query, key, value)
        projected: Tensor = attention.to_out[0](mixed.reshape(num_places, num_frames, width))
        dropped: Tensor = attention.to_out[1](projected)
        return dropped


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
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


def attend_over_frames(network: nn.Module) -> None:
    """Let the temporal modules of a network attend so, in place."""
    for name, module in network.named_modules():
        if ".motion_modules." in name and isinstance(module, Attention):
            module.set_processor(FrameAttention())
