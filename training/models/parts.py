"""Loads one network from a folder or the hub: complete and of the right class; or an error says why not.

diffusers and transformers fill missing tensors with random numbers, or leave them empty, and only print a warning. Here
a tensor that is missing, foreign or of another shape is an error that names it.
"""

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import FrozenDict
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from conf.errors import UserError
from training.data.plain import parse_object
from training.models.finite import finite
from training.models.read_tensors import read_tensors

_Network = TypeVar("_Network", bound=nn.Module)

LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError)
"""What diffusers and transformers raise on folders that they cannot read."""
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_NOT_NEEDED = (".position_ids", "vision_model.", "visual_projection.", "text_projection.", "logit_scale")
"""Tensors of a whole CLIP, some of which releases store with a text encoder."""
_COMPUTED = ".pos_embed.pe"
"""Tables of positions, which releases may leave out, as they are computed sines and not weights."""
_PLACE = "_name_or_path"  # key of diffusers' configurations
TEMPORAL = "temporal modules (AnimateDiff)"
"""How `kind_of_tensors` describes them."""
_KINDS = {
    "MotionAdapter": "temporal modules (a MotionAdapter)",
    "SparseControlNetModel": "a replication network (a SparseControlNetModel)",
    "UNet2DConditionModel": "a UNet alone (a UNet2DConditionModel)",
    "ControlNetModel": "a ControlNet for single pictures (a ControlNetModel)",
}


def load_network(
    network: type[_Network], where: str, name: str, part: str = "", dtype: torch.dtype = torch.float32
) -> _Network:
    """A network with all its weights and no others.

    Weights are read from safetensors; if a local folder has only a variant of them (`*.fp16.safetensors`), from that;
    if it has only a `.bin` file, from its tensors, and no code that it carries is run.

    Args:
        network: a class of diffusers or transformers.
        where: a folder, or a name on the hub.
        name: name of the network for messages, such as `base=DIR: its unet`.
        part: the folder within, if any.
        dtype: type of its weights; diffusers keeps some of them in float32 even if it is a smaller type.

    Raises:
        UserError: if it is missing, is of another class, lacks tensors, or has others or of other shapes.
    """
    folder = Path(where) / part
    file_choice = _chosen_file(network, folder, name) if folder.is_dir() else {"use_safetensors": True}
    is_diffusers = issubclass(network, ModelMixin)
    mismatch_choice = {} if is_diffusers else {"ignore_mismatched_sizes": True}  # these are refused below, by name
    type_choice = {} if dtype == torch.float32 else {"torch_dtype" if is_diffusers else "dtype": dtype}
    try:
        with _quiet():
            _refuse_other_class(network, where, part, name)
            loaded, report = cast(Any, network).from_pretrained(
                where, subfolder=part, output_loading_info=True, **mismatch_choice, **type_choice, **file_choice
            )
    except LOADING_ERRORS as error:
        reason = " ".join(str(error).split()).partition(" If you want")[0].replace("Cannot load because ", "")
        raise UserError(f"{name} cannot be loaded: {reason[:300]}") from error
    _refuse_other_tensors(network, report, name)
    for tensor_name, tensor in loaded.state_dict().items():
        finite(tensor, f"{name}: {tensor_name}")
    if is_diffusers:
        _forget_place(loaded)
    return cast(_Network, loaded if type_choice else loaded.float())


def refuse_absent(path: str | Path, name: str) -> None:
    """Refuse a missing folder before the hub is asked for it, if its path cannot be a name on the hub.

    Raises:
        UserError: naming it.
    """
    if not Path(path).exists() and not _HUB_NAME.fullmatch(str(path)):
        raise UserError(f"{name}: no such folder")


def unreadable(name: str, where: str, error: Exception) -> UserError:
    """The error for a base that cannot be read, from a folder or from the hub, which may be out of reach."""
    reason = " ".join(str(error).split())[:300]
    if Path(where).exists():
        return UserError(f"{name}: cannot be loaded: {reason}")
    return UserError(f"{name}: no such folder, and the Hugging Face hub did not give it: {reason}")


def kind_of_folder(folder: Path) -> str:
    """A description of what a folder of weights holds, for messages."""
    if (folder / "painter.json").is_file():
        return "a painter"
    if any((folder / name).is_file() for name in ("pytorch_lora_weights.safetensors", "adapter_config.json")):
        return "a LoRA"
    try:
        kind = str(parse_object((folder / "config.json").read_bytes(), dict[str, Any])["_class_name"])
    except (OSError, ValueError, KeyError):
        kind = ""
    if kind:
        return _KINDS.get(kind, f"a {kind}")
    if (folder / "model_index.json").is_file() or (folder / "unet").is_dir():
        return "a base (a diffusers folder)"
    if (folder / "actor.safetensors").is_file():
        return "an actor (of stage=agent)"
    if (folder / "vae").is_dir():
        return "a codec (of stage=codec)"
    return "a single file" if folder.is_file() else "something else"


def kind_of_weights(key: str, path: Path) -> str:
    """A description of what a folder or file of weights holds, for messages.

    Args:
        key: configuration key that named it.
        path: the folder or file.

    Raises:
        UserError: if it is a file that cannot be read.
    """
    return kind_of_folder(path) if path.is_dir() else kind_of_tensors(read_tensors(path, key))


def kind_of_tensors(names: Collection[str]) -> str:
    """A description of what a file with tensors of these names holds, for messages."""
    if any("lora" in name for name in names):
        return "a motion LoRA" if any("motion_modules" in name for name in names) else "a LoRA"
    if any("controlnet_cond_embedding.conv_in" in name for name in names):
        return "a network that is shown pictures, not latents (as SparseCtrl for scribbles)"
    if any("controlnet_cond_embedding" in name for name in names):
        return "a replication network (SparseCtrl)"
    if any("motion_modules" in name for name in names):
        return TEMPORAL
    if any(name.startswith(("model.diffusion_model.", "cond_stage_model.")) for name in names):
        return "a whole model in one file"
    return f"other tensors, such as {min(names)}"


def _chosen_file(network: type[nn.Module], folder: Path, name: str) -> dict[str, Any]:
    """The arguments of `from_pretrained` that choose which file of a folder is read."""
    stem, pickled = ("diffusion_pytorch_model",) * 2 if issubclass(network, ModelMixin) else ("model", "pytorch_model")
    if any((folder / f"{stem}.safetensors{end}").is_file() for end in ("", ".index.json")):
        return {"use_safetensors": True}
    if (folder / f"{pickled}.bin").is_file():
        read_tensors(folder / f"{pickled}.bin", name.partition("=")[0])  # refuses what carries code
        return {"use_safetensors": False}
    variants = sorted(path.name.split(".")[1] for path in folder.glob(f"{stem}.*.safetensors"))
    if "fp16" in variants or len(variants) == 1:
        return {"use_safetensors": True, "variant": "fp16" if "fp16" in variants else variants[0]}
    names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    raise UserError(
        f"{name} has no weights that can be read; it holds {names}; save them as {stem}.safetensors "
        f"(save_pretrained of diffusers does)"
    )


def _refuse_other_class(network: type[nn.Module], where: str, part: str, name: str) -> None:
    if issubclass(network, ModelMixin):
        kind = cast(Any, network).load_config(where, subfolder=part or None).get("_class_name", network.__name__)
    elif issubclass(network, PreTrainedModel) and (Path(where) / part / "config.json").is_file():
        config = parse_object((Path(where) / part / "config.json").read_bytes(), dict[str, Any])
        family = str(config.get("model_type", "clip")).partition("_")[0]
        kind = network.__name__ if family == "clip" else (config.get("architectures") or [family])[0]
    else:
        return
    if kind != network.__name__:
        raise UserError(f"{name} is {_KINDS.get(kind, f'a {kind}')}, not a {network.__name__}")


def _refuse_other_tensors(network: type[nn.Module], report: dict[str, Any], name: str) -> None:
    not_needed = _NOT_NEEDED if issubclass(network, PreTrainedModel) else ()
    missing = sorted(tensor for tensor in report["missing_keys"] if not tensor.endswith(_COMPUTED))
    foreign = sorted(
        tensor for tensor in report["unexpected_keys"] if not any(part in f".{tensor}" for part in not_needed)
    )
    reshaped = sorted(report["mismatched_keys"])
    if missing:
        raise UserError(f"{name} lacks {len(missing)} tensors of a {network.__name__}, such as {missing[0]}")
    if foreign:
        raise UserError(
            f"{name} holds {len(foreign)} tensors that its config.json has no place for, such as {foreign[0]}"
        )
    if reshaped:
        tensor, shape, expected_shape = reshaped[0]
        raise UserError(f"{name}: {tensor} is {tuple(shape)}, not {tuple(expected_shape)} as its config.json says")


def _forget_place(network: Any) -> None:
    """Drop the path that diffusers notes in the configuration of a network, and saves with its weights.

    The same weights would be other bytes, of another hash, depending on where their parent lay.
    """
    network._internal_dict = FrozenDict({key: value for key, value in network.config.items() if key != _PLACE})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence both libraries, which report missing tensors on many lines; here that is a one-line error."""
    levels = transformers_logging.get_verbosity(), diffusers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    diffusers_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(levels[0])
        diffusers_logging.set_verbosity(levels[1])
