"""Loads one network from a folder or the hub: complete and of the right class; or an error says why not.

diffusers and transformers fill missing tensors with random numbers, or leave them empty, and only print a warning. Here
a tensor that is missing, foreign or of another shape is an error that names it.
"""

import logging
import math
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import FrozenDict
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from conf.errors import ConfigError, UserError
from training.data.plain import parse_object
from training.models.finite import finite
from training.models.read_tensors import read_tensors
from training.models.weight_files import file_choice

_Network = TypeVar("_Network", bound=nn.Module)

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

    Weights are read from the files that `training.models.weight_files` chooses. No code that they carry is run.

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
    choice_of_files = file_choice(network, folder, name) if folder.is_dir() else {"use_safetensors": True}
    is_diffusers = issubclass(network, ModelMixin)
    mismatch_choice = {} if is_diffusers else {"ignore_mismatched_sizes": True}  # these are refused below, by name
    type_choice = {} if dtype == torch.float32 else {"torch_dtype" if is_diffusers else "dtype": dtype}
    try:
        with _quiet():
            _refuse_other_class(network, where, part, name)
            loaded, report = cast(Any, network).from_pretrained(
                where, subfolder=part, output_loading_info=True, **mismatch_choice, **type_choice, **choice_of_files
            )
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of any kind; see `reading`
        reason = _reason(error, folder)
        names_file = isinstance(error, OSError) or bool(_damage(folder))
        if folder.is_dir() and not names_file and not _can_be_built(network, where, part):
            reason = f"its config.json does not describe a {network.__name__} ({reason})"
        raise UserError(f"{name} cannot be loaded: {reason}") from error
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


@contextmanager
def reading(name: str, where: str, place: str) -> Iterator[None]:
    """Context in which a library reads a part of a base; whatever it raises becomes one line.

    Args:
        name: name of the base for messages, such as `base=DIR`.
        where: a folder, or a name on the hub.
        place: the file or folder within that is read.

    Raises:
        UserError: as `unreadable`.
    """
    try:
        with _quiet():
            yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        # Libraries compute with the values of a configuration before anything checks them, and their own checks raise
        # classes of others: no heads at all are a ZeroDivisionError, a width in letters one of huggingface_hub.
        raise unreadable(name, where, error, place) from error


def unreadable(name: str, where: str, error: Exception, place: str) -> UserError:
    """The error for a base that cannot be read, from a folder or from the hub, which may be out of reach."""
    reason = _reason(error, Path(where) / place)
    if Path(where).exists() or isinstance(error, ValueError):  # about what was read
        return UserError(f"{name}: {place} cannot be loaded: {reason}")
    return UserError(f"{name}: no such folder, and the Hugging Face hub did not give it: {reason}")


def refuse_unless_positive(value: object, key: str, file: str) -> None:
    """Refuse a value that latents or noise cannot be multiplied and divided by.

    Args:
        value: the value of a key in a configuration.
        key: the key.
        file: name of the configuration for messages, such as `base=DIR: vae/config.json`.

    Raises:
        UserError: if it is not a finite number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"{file}: {ConfigError(key, value, 'a finite number above 0')}")


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


def _reason(error: Exception, place: Path) -> str:
    """Why a library cannot read a file or folder: what of it is damaged, as it may not say, or else its own words."""
    message = " ".join(str(error).split()).partition(" If you want")[0].replace("Cannot load because ", "")[:300]
    return _damage(place) or (f"no such entry: {message}" if isinstance(error, KeyError) else message)


def _damage(place: Path) -> str:
    """What of a file of JSON, or of those in a folder, is no JSON object; empty if nothing is."""
    for path in [place] if place.is_file() else sorted(place.glob("*.json")):
        try:
            parse_object(path.read_bytes(), dict[str, Any])
        except (OSError, ValueError) as error:
            return str(error) if path == place else f"{path.name}: {error}"
    return ""


def _can_be_built(network: type[nn.Module], where: str, part: str) -> bool:
    """Whether its configuration alone makes a network, so that an error is about its weights."""
    kind = cast(Any, network)
    try:
        with _quiet(), torch.device("meta"):
            if issubclass(network, ModelMixin):
                kind.from_config(kind.load_config(where, subfolder=part or None))
            else:
                kind(kind.config_class.from_pretrained(where, subfolder=part))
    except Exception:
        return False
    return True


def _refuse_other_class(network: type[nn.Module], where: str, part: str, name: str) -> None:
    if Path(where).is_dir() and not (Path(where) / part / "config.json").is_file():
        raise UserError(f"{name} has no config.json")
    if issubclass(network, ModelMixin):
        kind = cast(Any, network).load_config(where, subfolder=part or None).get("_class_name", network.__name__)
    elif issubclass(network, PreTrainedModel) and Path(where).is_dir():
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
    """Silence both libraries, which report missing tensors on many lines; here that is a one-line error.

    diffusers also shows a bar for weights in several files; that of transformers is off already.
    """
    levels = transformers_logging.get_verbosity(), diffusers_logging.get_verbosity()
    has_bar = diffusers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    diffusers_logging.set_verbosity(logging.CRITICAL)
    diffusers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about layers of width 0, which are refused
            yield
    finally:
        if has_bar:
            diffusers_logging.enable_progress_bar()
        transformers_logging.set_verbosity(levels[0])
        diffusers_logging.set_verbosity(levels[1])
