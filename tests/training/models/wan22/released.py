"""The released transformer, and LoRAs for it or for any other."""

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from training.models.wan22.shape import LORA_LAYERS


def released_transformer() -> WanTransformer3DModel:
    """The transformer of Wan2.2-TI2V-5B on the meta device, where its weights take no memory."""
    with torch.device("meta"):
        transformer: WanTransformer3DModel = WanTransformer3DModel(
            num_attention_heads=24, attention_head_dim=128, in_channels=48, out_channels=48, text_dim=4096,
            freq_dim=256, ffn_dim=14336, num_layers=30,
        )  # fmt: skip
    return transformer


def random_lora(transformer: WanTransformer3DModel, rank: int = 2) -> dict[str, Tensor]:
    """A LoRA of random weights for every layer that a LoRA may change."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for name, layer in transformer.named_modules():
        if isinstance(layer, torch.nn.Linear) and name.startswith("blocks.") and name.endswith(LORA_LAYERS):
            state[f"{name}.lora_A.weight"] = torch.randn(rank, layer.in_features, generator=generator)
            state[f"{name}.lora_B.weight"] = torch.randn(layer.out_features, rank, generator=generator)
    return state
