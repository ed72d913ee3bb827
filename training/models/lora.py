"""LoRA (Hu et al. 2021): small changes of linear layers, W + scale * up @ down, for the network of any architecture.

`peft` implements them; this module adds them to networks of diffusers, saves and reads them
(`training.models.lora_layouts`). The architecture decides which layers they change.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from conf.errors import UserError
from conf.progress import tell
from training.data.plain import parse_object
from training.models.finite import finite
from training.models.lora_layouts import LoraNames, header_of, lora_from_file, lora_settings, without_text_encoder
from training.models.parts import kind_of_folder
from training.models.read_tensors import read_tensors
from training.models.shape import LoraShape

LORA_FILE = "pytorch_lora_weights.safetensors"
"""Name of the file, as diffusers has it."""
_FILES = (LORA_FILE, "adapter_model.safetensors", "pytorch_lora_weights.bin", "adapter_model.bin")
_MARK = "process_painter"


def is_lora(name: str) -> bool:
    """Whether a parameter belongs to a LoRA."""
    return ".lora_A." in name or ".lora_B." in name


def add_lora(network: Any, name: str, layers: str, shape: LoraShape) -> None:
    """Put a new LoRA, which changes nothing yet, into a network; it alone is trained.

    Args:
        network: a network of diffusers.
        name: name of the LoRA, without dots.
        layers: pattern of the names of the layers that it changes.
        shape: its sizes.
    """
    from peft import LoraConfig

    config = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=layers, init_lora_weights="gaussian")
    with _beside_others(network):
        network.add_adapter(config, name)
    for parameter_name, parameter in network.named_parameters():
        parameter.requires_grad_(is_lora(parameter_name) and f".{name}." in parameter_name)


def apply_lora(network: Any, name: str, state: Mapping[str, Tensor]) -> None:
    """Put an existing LoRA into a network, frozen, beside any others; `network.set_adapters` sets their scales.

    Args:
        network: a network of diffusers.
        name: name of the LoRA, without dots.
        state: peft's names -> tensors, as `load_lora` returns them.
    """
    with _beside_others(network):
        network.load_lora_adapter(dict(state), prefix=None, adapter_name=name)
    for parameter_name, parameter in network.named_parameters():
        if is_lora(parameter_name):
            parameter.requires_grad_(False)


@contextmanager
def _beside_others(network: Any) -> Iterator[None]:
    """Context in which a LoRA is added without peft's warning, and after which all LoRAs are on, not only the last."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        yield
    network.set_adapters(list(network.peft_config))


def lora_of(weights: Mapping[str, Tensor], name: str, shape: LoraShape) -> dict[str, Tensor]:
    """A trained LoRA at scale 1.

    Args:
        weights: trained parameters by name in the network, as `add_lora` made them.
        name, shape: name and sizes of the LoRA.

    Returns:
        Tensors by peft's names, alpha / rank multiplied into the upper matrices.
    """
    scale = shape.alpha / shape.rank
    return {
        key.replace(f".{name}.weight", ".weight"): (tensor * scale if ".lora_B." in key else tensor).contiguous()
        for key, tensor in weights.items()
    }


def parents_header(parents: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata of a file of weights that says what they were trained on: name -> hash of each network.

    It is one entry, because safetensors writes several in any order, so that the same LoRA could have other bytes.
    """
    return {_MARK: json.dumps(dict(parents or {}), sort_keys=True)}


def load_lora(
    key: str,
    path: Path,
    network: nn.Module,
    names: LoraNames,
    parents: Mapping[str, str],
    unfit: Callable[[Mapping[str, Tensor]], str | None] = lambda _: None,
) -> dict[str, Tensor]:
    """A LoRA from a folder or a file in any of the layouts of `training.models.lora_layouts` (docs/formats.md).

    Tensors for the text encoder are left out, with a warning.

    Args:
        key: configuration key that named it, for messages.
        path: folder or file.
        network: the network that it must fit, without any LoRA in it.
        names: names of the network's architecture.
        parents: name -> hash of the networks that it will change; networks that it was not trained on are refused.
            Files from elsewhere do not state theirs.
        unfit: function of peft's names -> tensors that returns why they cannot be used, or None.

    Returns:
        peft's names -> float32 tensors, at scale 1.

    Raises:
        UserError: if it is missing, is something else, or belongs to another base.
    """
    file, name = _file_of(key, path), f"{key}={path}"
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    try:
        tensors, num_left_out = without_text_encoder(read_tensors(file, key), names)
        state = lora_from_file(tensors, layers, names, lora_settings(file, tensors, names))
        stored_parents = header_of(file).get(_MARK, "{}")  # of the parents, by `parents_header`
        marks = parse_object(stored_parents.encode(), dict[str, str])
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: {error}") from error
    reason = unfit(state)
    if reason is not None:
        raise UserError(f"{name}: {reason}")
    for layer in sorted({tensor_name.rpartition(".lora_")[0] for tensor_name in state}):
        pair = [state.get(f"{layer}.lora_{which}.weight") for which in "AB"]
        if layer not in layers or not _fits(layers[layer].weight, *pair):
            shapes = [tuple(tensor.shape) if tensor is not None else "missing" for tensor in pair]
            raise UserError(
                f"{name}: made for another base; {layer} ({shapes[0]}, {shapes[1]}) fits no layer of this one"
            )
    for tensor_name, tensor in state.items():
        finite(tensor, f"{name}: {tensor_name}")
    for parent, value in marks.items():
        if parent in parents and value != parents[parent]:
            raise UserError(f"{name}: made for another base; it was trained on another {parent}")
    if num_left_out:
        tell(
            f"warning: {name}: its {num_left_out} tensors for the text encoder are left out; "
            f"those for the {names.network} are applied"
        )
    return state


def _file_of(key: str, path: Path) -> Path:
    """The file of a LoRA that a path names."""
    if not path.is_dir():
        return path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    raise UserError(f"{key}={path}: holds no LoRA ({' or '.join(_FILES)}), but {kind_of_folder(path)}")


def _fits(weight: Tensor, down: Tensor | None, up: Tensor | None) -> bool:
    """Whether up @ down has the shape of a layer's weight."""
    if down is None or up is None or not down.ndim == up.ndim == weight.ndim or down.shape[0] != up.shape[1]:
        return False
    return down.shape[1:] == weight.shape[1:] and up.shape[0] == weight.shape[0] and up.shape[2:].numel() == 1
