"""The layouts of LoRA files: peft's names, which diffusers uses, kohya's, and those of AnimateDiff's motion LoRAs.

peft         down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.lora_A.weight
kohya        lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0.lora_down.weight, and .alpha
AnimateDiff  down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.
             to_out_lora.down.weight

States here are in peft's names, at scale 1: alpha / rank is multiplied into the upper matrices.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from training.models.animatediff import motion_from_original, original_from_motion

_KOHYA = "lora_unet_"
_ANIMATEDIFF = re.compile(r"\.processor\.to_(q|k|v|out)_lora\.(down|up)\.weight$")


def kohya_from_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """peft's names -> kohya's, with alpha = rank."""
    from diffusers.utils import convert_state_dict_to_kohya

    converted: dict[str, Tensor] = convert_state_dict_to_kohya({f"unet.{name}": state[name] for name in state})
    return converted


def animatediff_from_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """peft's names -> those of AnimateDiff's motion LoRAs, which know no alpha."""
    ends = {"A": "down", "B": "up"}

    def renamed(name: str) -> str:
        return re.sub(
            r"\.to_(q|k|v|out)(?:\.0)?\.lora_(A|B)\.weight$",
            lambda match: f".processor.to_{match[1]}_lora.{ends[match[2]]}.weight",
            name,
        )

    return {renamed(name): tensor for name, tensor in original_from_motion(state).items()}


def lora_from_file(tensors: Mapping[str, Tensor], layers: Iterable[str]) -> dict[str, Tensor]:
    """peft's names from any of the layouts.

    Args:
        tensors: of a file.
        layers: names of the network's layers, which kohya's names, with their underscores, do not tell by themselves.

    Raises:
        ValueError: if it is no LoRA, or changes more than a UNet.
    """
    if any(name.startswith(("text_encoder", "lora_te")) for name in tensors):
        raise ValueError("changes the text encoder as well, which is not supported")
    if any(name.startswith(_KOHYA) for name in tensors):
        return _from_kohya(tensors, layers)
    if any(_ANIMATEDIFF.search(name) for name in tensors):
        return _from_animatediff(tensors)
    state = {name.removeprefix("unet."): tensor for name, tensor in tensors.items()}
    if any(".lora.down." in name for name in state):
        state = {
            name.replace(".lora.down.", ".lora_A.").replace(".lora.up.", ".lora_B."): state[name] for name in state
        }
    if not all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in state):
        raise ValueError("not a LoRA in the layout of diffusers, kohya or AnimateDiff")
    return state


def _from_kohya(tensors: Mapping[str, Tensor], layers: Iterable[str]) -> dict[str, Tensor]:
    dotted = {layer.replace(".", "_"): layer for layer in layers}
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        flat, _, end = name.removeprefix(_KOHYA).partition(".")
        if end == "alpha":
            continue
        if flat not in dotted or end not in ("lora_down.weight", "lora_up.weight"):
            raise ValueError(f"{name} belongs to no layer of the base's UNet")
        if end == "lora_down.weight":
            state[f"{dotted[flat]}.lora_A.weight"] = tensor
            continue
        rank = tensor.shape[1]
        alpha = float(tensors.get(f"{_KOHYA}{flat}.alpha", tensor.new_tensor(rank)))
        state[f"{dotted[flat]}.lora_B.weight"] = tensor if alpha == rank else tensor * (alpha / rank)
    return state


def _from_animatediff(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ends = {"down": "A", "up": "B"}

    def renamed(name: str) -> str:
        return _ANIMATEDIFF.sub(
            lambda match: f".to_{match[1]}{'.0' * (match[1] == 'out')}.lora_{ends[match[2]]}.weight", name
        )

    return motion_from_original({renamed(name): tensor for name, tensor in tensors.items()})
