"""The names that LoRA files have for the layers of a Stable Diffusion, and the layouts that other tools need.

AnimateDiff  down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.
             to_out_lora.down.weight

States are in peft's names, at scale 1 (`training.models.lora_layouts`).
"""

import re
from collections.abc import Mapping

from torch import Tensor

from training.models.lora_layouts import LoraNames
from training.models.sd15.animatediff import diffusers_name, original_from_motion


def _diffusers_name(name: str) -> str:
    return diffusers_name(name) if ".motion_modules." in name else name


UNET = LoraNames(network="UNet", prefix="unet.", kohya="lora_unet_", renamed=_diffusers_name)


def kohya_from_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """peft's names -> kohya's, with alpha = rank."""
    from diffusers.utils import convert_state_dict_to_kohya

    converted: dict[str, Tensor] = convert_state_dict_to_kohya({f"unet.{name}": state[name] for name in state})
    return converted


def animatediff_from_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """peft's names -> those of AnimateDiff's motion LoRAs, which have no alpha."""
    ends = {"A": "down", "B": "up"}

    def renamed(name: str) -> str:
        return re.sub(
            r"\.to_(q|k|v|out)(?:\.0)?\.lora_(A|B)\.weight$",
            lambda match: f".processor.to_{match[1]}_lora.{ends[match[2]]}.weight",
            name,
        )

    return {renamed(name): tensor for name, tensor in original_from_motion(state).items()}
