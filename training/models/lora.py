"""LoRA (Hu et al. 2021): an artist's way as small changes of the attention's linear layers, W + scale * up @ down.

A spatial LoRA changes the attention within pictures, a motion LoRA the attention over frames. `peft` carries both; here
is where they go, and the files they come in (`training.models.lora_layouts`).
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
from training.models.lora_layouts import animatediff_from_lora, kohya_from_lora, lora_from_file
from training.models.shape import LoraShape
from training.tensors import read_tensors

LoraKind = Literal["spatial", "motion"]
LORA_FILE = "pytorch_lora_weights.safetensors"
"""As diffusers calls it."""

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
    """A LoRA from a folder that `save_lora` wrote, or from a file in the layout of diffusers, kohya or AnimateDiff.

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
    file = path / LORA_FILE if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise UserError(f"{key}={path}: holds no LoRA ({LORA_FILE})")
    tensors = read_tensors(file, key)
    layers = {name: layer for name, layer in unet.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    try:
        state = lora_from_file(tensors, layers)
    except ValueError as error:
        raise UserError(f"{key}={path}: {error}") from error
    for name, tensor in state.items():
        layer, _, end = name.rpartition(".lora_")
        weight = layers[layer].weight if layer in layers else None
        if weight is None or tensor.ndim < 2 or weight.shape[end[0] == "A"] != tensor.shape[end[0] == "A"]:
            raise UserError(f"{key}={path}: made for another base; {name} fits no layer of this one")
    for name, value in _marks(file).items():
        if name in parents and value != parents[name]:
            raise UserError(f"{key}={path}: made for another base; it was trained on another {name}")
    return {name: tensor.float() for name, tensor in state.items()}


def kind_of(state: Mapping[str, Tensor]) -> LoraKind:
    """Whether a LoRA changes pictures, or motion."""
    return "motion" if any(".motion_modules." in name for name in state) else "spatial"


def _marks(file: Path) -> dict[str, str]:
    """What `save_lora` noted of the parents."""
    if file.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata() or {}
    return dict(json.loads(metadata.get(_MARK, "{}")))
