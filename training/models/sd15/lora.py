"""LoRAs of a Stable Diffusion: an artist's style as small changes of the linear layers of its attentions.

A spatial LoRA changes the attention within pictures, a motion LoRA the attention over frames.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from diffusers import UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from training.models import lora
from training.models.lora import LORA_FILE, parents_header
from training.models.sd15.lora_names import UNET, animatediff_from_lora, kohya_from_lora
from training.models.shape import LoraShape

LoraKind = Literal["spatial", "motion"]

_LAYERS: dict[LoraKind, str] = {
    "spatial": r"(?!.*motion_modules).*\.attn[12]\.(?:{targets})",
    "motion": r".*\.?motion_modules\..*\.attn[12]\.(?:{targets})",
}


def add_lora(unet: UNet2DConditionModel | UNetMotionModel, kind: LoraKind, shape: LoraShape) -> None:
    """Put a new LoRA, which changes nothing yet, into a UNet, under the name of its kind; it alone is trained."""
    targets = "|".join(re.escape(target) for target in shape.targets)
    lora.add_lora(unet, kind, _LAYERS[kind].format(targets=targets), shape)


def save_lora(
    state: Mapping[str, Tensor], kind: LoraKind, folder: Path, parents: Mapping[str, str] | None = None
) -> None:
    """Write a LoRA twice: as diffusers loads it, and for other tools (kohya's layout, or AnimateDiff's).

    Args:
        state: peft's names -> tensors, at scale 1.
        kind: kind of the LoRA.
        folder: an existing folder.
        parents: name -> hash of the networks it was trained on; stored in the file.
    """
    from safetensors.torch import save_file

    metadata = parents_header(parents)
    save_file({f"{UNET.prefix}{name}": state[name] for name in state}, folder / LORA_FILE, metadata=metadata)
    other_file, convert = {
        "spatial": ("kohya.safetensors", kohya_from_lora),
        "motion": ("animatediff.safetensors", animatediff_from_lora),
    }[kind]
    save_file(convert(state), folder / other_file, metadata=metadata)


def load_lora(
    key: str, path: Path, unet: UNet2DConditionModel | UNetMotionModel, parents: Mapping[str, str]
) -> dict[str, Tensor]:
    """A LoRA for a UNet; see `training.models.lora.load_lora`. A 2D UNet takes no motion LoRA."""
    return lora.load_lora(key, path, unet, UNET, parents, unfit=partial(_misfit, unet))


def _misfit(unet: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Why a LoRA does not fit a UNet that has no temporal modules."""
    has_motion = any(".motion_modules." in name for name, _ in unet.named_modules())
    return "a motion LoRA; allowed: a spatial one" if kind_of(state) == "motion" and not has_motion else None


def kind_of(state: Mapping[str, Tensor]) -> LoraKind:
    """Whether a LoRA changes pictures, or motion."""
    return "motion" if any(".motion_modules." in name for name in state) else "spatial"
