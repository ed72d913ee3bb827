"""LoRAs of a Wan: low-rank changes of its attentions and feed-forwards, and the names of these layers in files.

diffusers        transformer.blocks.0.attn1.to_q.lora_A.weight
Wan's own names  diffusion_model.blocks.0.self_attn.q.lora_A.weight, the prefix and `.default` being optional
kohya, musubi    lora_unet_blocks_0_self_attn_q.lora_down.weight, and .alpha
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from training.models import lora
from training.models.lora import LORA_FILE, parents_header
from training.models.lora_layouts import LoraNames
from training.models.shape import LoraShape

_KOHYA_FILE = "kohya.safetensors"
_PLACES = {"self_attn": "attn1", "cross_attn": "attn2", "ffn": "ffn.net"}
_LAYERS = {"q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0", "0": "0.proj", "2": "2"}
_OWN_NAME = re.compile(r"(?:(?:diffusion_model|pipe\.dit|dit)\.)?(blocks\.\d+)\.(\w+)\.([qkvo02])(\..*)")


def wan_name(layer: str) -> str:
    """The name in Wan's own code of a layer of diffusers' transformer; layers without LoRAs keep their name."""
    for place, diffusers in _PLACES.items():
        block, sign, last = layer.partition(f".{diffusers}.")
        own = next((own for own, named in _LAYERS.items() if named == last), None)
        if sign and own is not None:
            return f"{block}.{place}.{own}"
    return layer


def _diffusers_name(name: str) -> str:
    """A tensor's name in Wan's own layout -> diffusers'; other names are unchanged."""
    match = _OWN_NAME.fullmatch(name.replace(".default.weight", ".weight"))
    if match is None or match[2] not in _PLACES:
        return name
    return f"{match[1]}.{_PLACES[match[2]]}.{_LAYERS[match[3]]}{match[4]}"


NAMES = LoraNames(
    network="transformer", prefix="transformer.", kohya="lora_unet_", renamed=_diffusers_name, kohya_layer=wan_name
)


def add_lora(transformer: WanTransformer3DModel, name: str, shape: LoraShape) -> None:
    """Put a new LoRA, which changes nothing yet, into a transformer; it alone is trained, in float32."""
    targets = "|".join(re.escape(target) for target in shape.targets)
    lora.add_lora(transformer, name, rf"blocks\.\d+\.(?:attn[12]\.)?(?:{targets})", shape)
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def save_lora(state: Mapping[str, Tensor], folder: Path, parents: Mapping[str, str] | None = None) -> None:
    """Write a LoRA twice: as diffusers loads it, and in the names of kohya's trainers, musubi among them.

    Args:
        state: peft's names -> tensors, at scale 1.
        folder: an existing folder.
        parents: name -> hash of the networks it was trained on; stored in the file.
    """
    from safetensors.torch import save_file

    metadata = parents_header(parents)
    save_file({f"{NAMES.prefix}{name}": state[name] for name in state}, folder / LORA_FILE, metadata=metadata)
    save_file(kohya_from_lora(state), folder / _KOHYA_FILE, metadata=metadata)


def kohya_from_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """peft's names -> kohya's, with alpha = rank."""
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        layer, _, which = name.removesuffix(".weight").rpartition(".lora_")
        flat = NAMES.kohya + wan_name(layer).replace(".", "_")
        converted[f"{flat}.lora_{'down' if which == 'A' else 'up'}.weight"] = tensor
        if which == "A":
            converted[f"{flat}.alpha"] = torch.tensor(float(len(tensor)))
    return converted


def load_lora(
    key: str, path: Path, transformer: WanTransformer3DModel, parents: Mapping[str, str]
) -> dict[str, Tensor]:
    """A LoRA for a transformer; see `training.models.lora.load_lora`."""
    return lora.load_lora(key, path, transformer, NAMES, parents)


def refuse_misfits(files: Collection[tuple[str, Path]], config: Mapping[str, Any]) -> None:
    """Refuse LoRAs that change layers, or widths of layers, which a transformer of this configuration does not have.

    Args:
        files: each file or folder, with the configuration key that named it.
        config: configuration of the transformer; its weights need not be read.

    Raises:
        UserError: if one does.
    """
    if not files:
        return
    with torch.device("meta"):
        transformer = WanTransformer3DModel.from_config(dict(config))
    for key, path in files:
        load_lora(key, path, transformer, {})
