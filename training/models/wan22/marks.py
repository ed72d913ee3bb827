"""A hash by which a LoRA names its transformer, the same in whatever precision that is loaded."""

import hashlib
from collections.abc import Mapping

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from training.models.lora import is_lora


def network_mark(transformer: WanTransformer3DModel, lora: Mapping[str, Tensor] | None = None) -> str:
    """SHA-256 over the names and the bfloat16 values of all weights, and of a LoRA in the network if one is given."""
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
