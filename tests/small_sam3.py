"""A SAM 3 of the real classes and in the real layout, so small that it runs in milliseconds."""

import string
from pathlib import Path

import torch
from transformers import (
    CLIPTokenizer,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
    Sam3VideoConfig,
    Sam3VideoModel,
)

_SIDE, _WIDTH = 56, 32


def small_sam3() -> Sam3Model:
    """A network with random weights from torch's global generator."""
    layers = {"hidden_size": _WIDTH, "num_attention_heads": 2, "intermediate_size": 64, "num_layers": 1}
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": _WIDTH, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": _SIDE, "patch_size": 14, "window_size": 2, "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    }  # fmt: skip
    text = {
        "model_type": "clip_text_model", "vocab_size": 54, "hidden_size": _WIDTH, "intermediate_size": 64,
        "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 16, "max_position_embeddings": 32,
        "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
    }  # fmt: skip
    config = Sam3Config(
        vision_config={
            "backbone_config": backbone,
            "fpn_hidden_size": _WIDTH,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config=text,
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config={**layers, "num_queries": 6},
        mask_decoder_config={"hidden_size": _WIDTH, "num_attention_heads": 2, "num_upsampling_stages": 2},
    )
    return Sam3Model(config)


def small_sam3_video(detector: Sam3Model) -> Sam3VideoModel:
    """The video network: this detector, and a tracker as in the release."""
    prompts = {"hidden_size": _WIDTH, "image_size": _SIDE, "patch_size": 14, "mask_input_channels": 4}
    masks = {
        "hidden_size": _WIDTH, "mlp_dim": _WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
        "iou_head_hidden_dim": _WIDTH,
    }  # fmt: skip
    tracker = {
        "vision_config": detector.config.vision_config.to_dict(), "prompt_encoder_config": prompts,
        "mask_decoder_config": masks, "memory_attention_hidden_size": _WIDTH, "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": _WIDTH, "memory_encoder_hidden_size": _WIDTH,
        "memory_encoder_output_channels": 16, "image_size": _SIDE,
    }  # fmt: skip
    video = Sam3VideoModel(Sam3VideoConfig(detector_config=detector.config.to_dict(), tracker_config=tracker))
    video.detector_model.load_state_dict(detector.state_dict())
    return video


def save_small_sam3(folder: Path, seed: int = 0, *, tracker: bool = False) -> Path:
    """Save a network as `save_pretrained` of transformers does; returns the folder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        detector = small_sam3()
        (small_sam3_video(detector) if tracker else detector).save_pretrained(folder)
    letters = string.ascii_lowercase
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    pictures = Sam3ImageProcessor(size={"height": _SIDE, "width": _SIDE})
    Sam3Processor(pictures, tokenizer).save_pretrained(folder)
    return folder
