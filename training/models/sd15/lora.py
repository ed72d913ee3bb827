"""LoRA (Hu et al. 2021): an artist's way as small changes of the attention's linear layers, W + scale * up @ down.

A spatial LoRA changes the attention within pictures, a motion LoRA the attention over frames. `peft` carries both; here
is where they go, and the files they come in (`training.models.sd15.lora_layouts`).
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from diffusers import UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from conf.errors import UserError
from conf.progress import tell
from training.data.plain import parse_object
from training.models.finite import finite
from training.models.parts import kind_of_folder
from training.models.read_tensors import read_tensors
from training.models.sd15.lora_layouts import (
    animatediff_from_lora,
    header_of,
    kohya_from_lora,
    lora_from_file,
    lora_settings,
    without_text_encoder,
)
from training.models.shape import LoraShape

LoraKind = Literal["spatial", "motion"]
LORA_FILE = "pytorch_lora_weights.safetensors"
"""As diffusers calls it."""
_FILES = (LORA_FILE, "adapter_model.safetensors", "pytorch_lora_weights.bin", "adapter_model.bin")

_LAYERS: dict[LoraKind, str] = {
    "spatial": r"(?!.*motion_modules).*\.attn[12]\.(?:{targets})",
    "motion": r".*\.?motion_modules\..*\.attn[12]\.(?:{targets})",
}
_MARK = "process_painter"


def is_lora(name: str) -> bool:
    """Whether a parameter belongs to a LoRA."""
    return ".lora_A." in name or ".lora_B." in name


def add_lora(unet: UNet2DConditionModel | UNetMotionModel, kind: LoraKind, shape: LoraShape) -> None:
    """Put a new LoRA, which changes nothing yet, into a UNet, under the name of its kind; it alone is trained."""
    from peft import LoraConfig

    targets = "|".join(re.escape(target) for target in shape.targets)
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=_LAYERS[kind].format(targets=targets),
        init_lora_weights="gaussian",
    )
    with _beside_others(unet):
        unet.add_adapter(config, kind)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(is_lora(name) and f".{kind}." in name)


def apply_lora(unet: UNet2DConditionModel | UNetMotionModel, name: str, state: Mapping[str, Tensor]) -> None:
    """Put a LoRA that is there into a UNet, frozen, beside any others; `unet.set_adapters` sets their scales.

    Args:
        unet: the UNet.
        name: of the LoRA; without dots.
        state: peft's names -> tensors, as `load_lora` gives them.
    """
    with _beside_others(unet):
        unet.load_lora_adapter(dict(state), prefix=None, adapter_name=name)
    for parameter_name, parameter in unet.named_parameters():
        if is_lora(parameter_name):
            parameter.requires_grad_(False)


@contextmanager
def _beside_others(unet: UNet2DConditionModel | UNetMotionModel) -> Iterator[None]:
    """peft warns of a second LoRA, and then leaves only that one switched on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        yield
    unet.set_adapters(list(unet.peft_config))


def lora_of(weights: Mapping[str, Tensor], kind: LoraKind, shape: LoraShape) -> dict[str, Tensor]:
    """A trained LoRA at scale 1.

    Args:
        weights: trained parameters by name in the UNet, as `add_lora` made them.
        kind, shape: of the LoRA.

    Returns:
        Tensors by peft's names, alpha / rank multiplied into the upper matrices.
    """
    scale = shape.alpha / shape.rank
    return {
        name.replace(f".{kind}.weight", ".weight"): (tensor * scale if ".lora_B." in name else tensor).contiguous()
        for name, tensor in weights.items()
    }


def save_lora(
    state: Mapping[str, Tensor], kind: LoraKind, folder: Path, parents: Mapping[str, str] | None = None
) -> None:
    """Write a LoRA twice: as diffusers loads it, and for other tools (kohya's layout, or AnimateDiff's).

    Args:
        state: peft's names -> tensors, at scale 1.
        kind: of the LoRA.
        folder: an existing one.
        parents: name -> hash of the networks it was trained on; kept in the file.
    """
    from safetensors.torch import save_file

    # One entry: safetensors writes several in any order, and the same LoRA would not be the same bytes.
    metadata = {_MARK: json.dumps(dict(parents or {}), sort_keys=True)}
    save_file({f"unet.{name}": tensor for name, tensor in state.items()}, folder / LORA_FILE, metadata=metadata)
    other, convert = {
        "spatial": ("kohya.safetensors", kohya_from_lora),
        "motion": ("animatediff.safetensors", animatediff_from_lora),
    }[kind]
    save_file(convert(state), folder / other, metadata=metadata)


def load_lora(
    key: str, path: Path, unet: UNet2DConditionModel | UNetMotionModel, parents: Mapping[str, str]
) -> dict[str, Tensor]:
    """A LoRA from a folder or a file in the layout of diffusers, PEFT, kohya or AnimateDiff (docs/formats.md).

    What a file holds for the text encoder is left out, and this is said.

    Args:
        key: of the configuration that named it, for messages.
        path: folder or file.
        unet: what it must fit, without any LoRA in it.
        parents: name -> hash of the networks it will change; one that it was not trained on is refused. Files that
            others made do not say.

    Returns:
        peft's names -> float32 tensors, at scale 1.

    Raises:
        UserError: if it is not there, is something else, or belongs to another base.
    """
    file, name = _file_of(key, path), f"{key}={path}"
    layers = {name: layer for name, layer in unet.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    try:
        tensors, num_left_out = without_text_encoder(read_tensors(file, key))
        state = lora_from_file(tensors, layers, lora_settings(file, tensors))
        marked = header_of(file).get(_MARK, "{}")  # of the parents, as `save_lora` noted
        marks = parse_object(marked.encode(), dict[str, str])
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: {error}") from error
    if kind_of(state) == "motion" and not any(".motion_modules." in layer for layer in layers):
        raise UserError(f"{name}: a motion LoRA; allowed: a spatial one")
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
            "those for the UNet are applied"
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


def kind_of(state: Mapping[str, Tensor]) -> LoraKind:
    """Whether a LoRA changes pictures, or motion."""
    return "motion" if any(".motion_modules." in name for name in state) else "spatial"
