"""Which transformer a LoRA was made for, whatever precision it was loaded in."""

import hashlib
from collections.abc import Mapping

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from training.models.lora import is_lora


def network_mark(transformer: WanTransformer3DModel, lora: Mapping[str, Tensor] | None = None) -> str:
    """SHA-256 over the names and the bfloat16 of all weights; of a LoRA in it as well, where one is said."""
    weights = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in transformer.state_dict().items()
        if not is_lora(name)
    }
    digest = hashlib.sha256()
    for name, tensor in sorted((weights | dict(lora or {})).items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()
