"""A Segment Anything network of the real classes, so small that it runs in milliseconds."""

from functools import partial
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

_SIDE, _PATCH, _WIDTH = 64, 16, 32


def small_sam(checkpoint: None = None) -> Sam:
    """Build a network as `segment_anything.build_sam` does, with smaller numbers."""
    grid = _SIDE // _PATCH
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=2, embed_dim=_WIDTH, img_size=_SIDE, mlp_ratio=2, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=2, patch_size=_PATCH, qkv_bias=True, use_rel_pos=True, global_attn_indexes=[1], window_size=2,
            out_chans=_WIDTH,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=_WIDTH, image_embedding_size=(grid, grid), input_image_size=(_SIDE, _SIDE), mask_in_chans=4
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=1, embedding_dim=_WIDTH, mlp_dim=64, num_heads=2),
            transformer_dim=_WIDTH, iou_head_depth=2, iou_head_hidden_dim=32,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )  # fmt: skip


def save_small_sam(path: Path, seed: int = 0) -> Path:
    """Save a checkpoint like the released ones: a bare state dict."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(small_sam().state_dict(), path)
    return path
