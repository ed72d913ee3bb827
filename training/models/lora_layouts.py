"""The layouts of LoRA files: peft's names, which diffusers uses, and kohya's; each for the layers of any network.

peft         down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.lora_A.weight
kohya        lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0.lora_down.weight, and .alpha
diffusers    down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight
of 2023

`LoraNames` says how the layers of an architecture are called in them.

The scale, alpha / rank, is in tensors called alpha (kohya), in the header of the file (diffusers), in a file beside it
(peft), or 1. States here are in peft's names, at scale 1: alpha / rank is multiplied into the upper matrices.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.data.plain import parse_object
from training.models.finite import check_weights
from training.models.parts import kind_of_tensors

_PEFT = "base_model.model."
_PREFIXES = (_PEFT, "module.")
_TEXT = ("text_encoder", "lora_te", f"{_PEFT}text_model.")
_ENDS = {"down": "A", "up": "B"}
_PROCESSOR = re.compile(r"(?:\.processor)?\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
_LINEAR = re.compile(r"\.lora(?:\.|_)(down|up)\.weight$")
_OTHER_METHODS = {
    "dora_scale": "a DoRA", "lora_magnitude_vector": "a DoRA", "hada_": "a LoHa", "lokr_": "a LoKr",
    "lora_mid": "a LoRA with Tucker's core", "oft_": "an OFT",
}  # fmt: skip
_METADATA = "lora_adapter_metadata"  # key in the header of files that diffusers writes
PEFT_CONFIG = "adapter_config.json"
_NAME = r"[\w.\\^$-]*"
_QUICK_PATTERN = re.compile(rf"(?=.{{1,200}}\Z){_NAME}(?:\.\*{_NAME}){{0,2}}")
"""Patterns that match quickly: files may come from strangers, and an expression such as `(a+)+b` takes forever."""


@dataclass(frozen=True, kw_only=True)
class LoraNames:
    """The names that LoRA files have for the layers of an architecture's network.

    Attributes:
        network: name of the network in messages, such as `UNet`.
        prefix: prefix of its layers in files of diffusers, such as `unet.`.
        kohya: prefix of kohya's names, in which dots are underscores.
        renamed: a name in a layout of this architecture alone -> the network's own; other names are unchanged.
        kohya_layer: name of a layer -> the name that kohya's is made from, if it is not the same.
    """

    network: str
    prefix: str
    kohya: str
    renamed: Callable[[str], str] = str
    kohya_layer: Callable[[str], str] = str


def lora_from_file(
    tensors: Mapping[str, Tensor], layers: Iterable[str], names: LoraNames, settings: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """peft's names from any of the layouts, at scale 1.

    Args:
        tensors: the tensors of a file, for the network alone.
        layers: names of the network's layers, which do not follow from kohya's names with their underscores.
        names: names of its architecture.
        settings: the settings that `lora_settings` read.

    Raises:
        ValueError: if it is no LoRA, or of an unknown method, or naming a tensor that cannot belong to one.
    """
    for name in tensors:
        method = next((method for sign, method in _OTHER_METHODS.items() if sign in name), None)
        if method is not None:
            raise ValueError(f"{method} ({name}); allowed: a LoRA of two matrices a layer")
    dotted = {
        layer_name.replace(".", "_"): layer for layer in layers for layer_name in (layer, names.kohya_layer(layer))
    }
    peft_names = {name: _peft_name(name, dotted, names) for name in tensors}
    if not tensors or not all(
        name.endswith((".lora_A.weight", ".lora_B.weight", ".alpha")) for name in peft_names.values()
    ):
        kind = kind_of_tensors(tensors.keys())
        kind = f"one of another, with {min(tensors)}" if kind.endswith("LoRA") else kind
        raise ValueError(f"not a LoRA in the layout of diffusers, PEFT, kohya or AnimateDiff, but {kind}")
    file_names = {peft_name: name for name, peft_name in peft_names.items()}
    for name, peft_name in peft_names.items():
        if file_names[peft_name] != name:
            raise ValueError(f"{name} and {file_names[peft_name]} are the same tensor of a layer")
    peft_tensors = {peft_name: tensors[name] for peft_name, name in file_names.items()}
    matrices = {name: tensor for name, tensor in peft_tensors.items() if not name.endswith(".alpha")}
    check_weights({file_names[name]: tensor for name, tensor in matrices.items()})
    alphas = {
        name.removesuffix(".alpha"): _alpha(tensor, file_names[name])
        for name, tensor in peft_tensors.items()
        if name not in matrices
    }
    lone_layer = next((layer for layer in alphas if f"{layer}.lora_B.weight" not in matrices), None)
    if lone_layer is not None:
        raise ValueError(f"{file_names[f'{lone_layer}.alpha']} has no matrices beside it")
    state = {name: tensor.float() for name, tensor in matrices.items()}
    for name in [name for name in state if name.endswith(".lora_B.weight")]:
        layer, rank = name.removesuffix(".lora_B.weight"), state[name].shape[1] if state[name].ndim > 1 else 1
        scale = alphas[layer] / rank if layer in alphas else _scale(layer, rank, settings or {})
        state[name] = state[name] if scale == 1 else state[name] * scale
    return state


def without_text_encoder(tensors: Mapping[str, Tensor], names: LoraNames) -> tuple[dict[str, Tensor], int]:
    """The tensors of a LoRA that are for the network, and how many are for the text encoder.

    Raises:
        ValueError: if all are for the text encoder.
    """
    of_network = {name: tensor for name, tensor in tensors.items() if not name.startswith(_TEXT)}
    if tensors and not of_network:
        raise ValueError(
            f"changes the text encoder alone, which is not supported; allowed: a LoRA of the {names.network}"
        )
    return of_network, len(tensors) - len(of_network)


def lora_settings(file: Path, tensors: Iterable[str], names: LoraNames) -> dict[str, Any] | None:
    """The settings that peft made a LoRA with: in the file's header (diffusers), or in a file beside it (peft).

    Args:
        file: file of the LoRA.
        tensors: names of its tensors.
        names: names of the architecture.

    Returns:
        `lora_alpha`, `alpha_pattern` and so on; None if they are not stated, so that alpha is the rank.

    Raises:
        ValueError: if they cannot be read, or are required and missing.
    """
    if any(name.startswith(_PEFT) for name in tensors):
        settings_file = file.with_name(PEFT_CONFIG)
        if not settings_file.is_file():
            raise ValueError(f"a LoRA as PEFT writes it; its {PEFT_CONFIG}, which says its scale, is not beside it")
        text, place = settings_file.read_text(encoding="utf-8", errors="replace"), PEFT_CONFIG
    else:
        text, place = header_of(file).get(_METADATA, ""), "header"
    if not text:
        return None
    try:
        settings = parse_object(text.encode(errors="replace"), dict[str, Any])
    except ValueError as error:
        raise ValueError(f"its {place} cannot be read ({error})") from error
    prefix = names.prefix
    of_network = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
    settings = of_network or {key: value for key, value in settings.items() if "." not in key}
    if settings.get("peft_type", "LORA") != "LORA" or settings.get("use_dora"):
        method = "DORA" if settings.get("use_dora") else settings["peft_type"]
        raise ValueError(f"a {method} adapter, as its {place} says; allowed: LORA")
    return settings


def header_of(file: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty for other files."""
    if file.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata() or {})


def _alpha(tensor: Tensor, name: str) -> float:
    """The number in a tensor called alpha, which may be stored as a whole number.

    Raises:
        ValueError: naming it, if it is not one finite number.
    """
    if tensor.numel() != 1 or tensor.dtype == torch.bool or not math.isfinite(float(tensor)):
        raise ValueError(f"{name} is not one finite number, but of type {tensor.dtype}, shape {tuple(tensor.shape)}")
    return float(tensor)


def _scale(layer: str, rank: int, settings: Mapping[str, Any]) -> float:
    """alpha / rank of a layer, or alpha / sqrt(rank) for rsLoRA (Kalajdzievski 2023), as in peft."""
    from peft.utils.other import get_pattern_key

    patterns = settings.get("alpha_pattern") or {}
    try:
        slow_pattern = next((pattern for pattern in patterns if not _QUICK_PATTERN.fullmatch(pattern)), None)
        if slow_pattern is not None:
            raise ValueError(
                f"the pattern {slow_pattern[:60]!r}; allowed: names of layers, with .* in two places at most"
            )
        alpha = float(patterns.get(get_pattern_key(list(patterns), layer), settings.get("lora_alpha", rank)))
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise ValueError(f"its alpha for {layer} cannot be read ({error})") from error
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _peft_name(name: str, dotted: Mapping[str, str], names: LoraNames) -> str:
    """peft's name of a tensor of any layout; other names are unchanged.

    Args:
        name: name in the file.
        dotted: names of layers with underscores for dots -> their names.
        names: names of the architecture.

    Raises:
        ValueError: if it is a name in kohya's layout, but of no layer.
    """
    if name.startswith(names.kohya):
        flat, _, end = name.removeprefix(names.kohya).partition(".")
        if flat not in dotted:
            raise ValueError(f"{name} belongs to no layer of the base's {names.network}")
        name = f"{dotted[flat]}.{end}"
    for prefix in (*_PREFIXES, names.prefix):
        name = name.removeprefix(prefix)
    name = names.renamed(name)
    name = _PROCESSOR.sub(
        lambda match: f".to_{match[1]}{'.0' * (match[1] == 'out')}.lora_{_ENDS[match[2]]}.weight", name
    )
    return _LINEAR.sub(lambda match: f".lora_{_ENDS[match[1]]}.weight", name)
