"""The files of weights in a folder of diffusers or transformers: which are read, and what is refused in them."""

import re
from itertools import product
from pathlib import Path
from typing import Any

from diffusers import ModelMixin
from torch import nn
from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.plain import OPEN, parse_object
from training.models.finite import check_floating
from training.models.read_tensors import read_tensors

_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_WHOLE_NUMBERS = "position_ids"  # of text encoders; computed, not weights


class _Index(TypedDict):
    """Which of several files has each tensor. Both libraries need both fields."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    metadata: dict[str, Any]
    weight_map: dict[str, str]


def file_choice(network: type[nn.Module], folder: Path, name: str) -> dict[str, Any]:
    """The arguments of `from_pretrained` that choose which files of a folder are read.

    Whole weights are preferred to a variant of them, such as `fp16`, and safetensors to `.bin`; either may be one file,
    or several with an index.

    Args:
        network: a class of diffusers or transformers.
        folder: the folder.
        name: name of the network for messages, such as `base=DIR: its unet`.

    Raises:
        UserError: if there are none, or several variants without anything to choose by; if they are damaged or carry
            code; or if they hold whole numbers, as quantized weights are, which the libraries would take for weights.
    """
    is_diffusers = issubclass(network, ModelMixin)
    stem, pickled = ("diffusion_pytorch_model",) * 2 if is_diffusers else ("model", "pytorch_model")
    files = {
        (variant, ending): path
        for stem_of_ending, ending in ((stem, "safetensors"), (pickled, "bin"))
        for variant, path in _by_variant(folder, stem_of_ending, ending, prefer_index=is_diffusers).items()
    }
    variants = sorted({variant for variant, _ in files} - {""})
    readable_variants = ("", "fp16", *(variants if len(variants) == 1 else ()))
    choice = next((kind for kind in product(readable_variants, ("safetensors", "bin")) if kind in files), None)
    if choice is None:
        if files:
            names = " and ".join(sorted(path.name for path in files.values()))
            raise UserError(
                f"{name} has {len(variants)} variants of its weights, {names}; keep one of them, or take the variant "
                f"out of its name, as in {stem}.safetensors"
            )
        names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise UserError(
            f"{name} has no weights that can be read; it holds {names}; save them as {stem}.safetensors "
            f"(save_pretrained of diffusers does)"
        )
    for path in _listed(files[choice], name):
        _check_file(path, name)
    variant, ending = choice
    return {"use_safetensors": ending == "safetensors", **({"variant": variant} if variant else {})}


def _by_variant(folder: Path, stem: str, ending: str, *, prefer_index: bool) -> dict[str, Path]:
    """Variant, empty for none -> its file, or the index of its files; of both, the one that the library reads."""
    pattern = re.compile(rf"{stem}(?:\.([^.]+))?\.{ending}|{stem}\.{ending}\.index(?:\.([^.]+))?\.json")
    files = {}
    for path in sorted(folder.iterdir(), reverse=not prefer_index):  # the index of a variant is after its file
        match = pattern.fullmatch(path.name)
        variant = (match[1] or match[2] or "") if match else ""
        if match and path.is_file() and not _SHARD.search(variant):
            files[variant] = path
    return files


def _listed(path: Path, name: str) -> list[Path]:
    """A file itself, or the files that an index lists."""
    if path.suffix != ".json":
        return [path]
    try:
        names = sorted(set(parse_object(path.read_bytes(), _Index)["weight_map"].values()))
    except (OSError, ValueError) as error:
        raise UserError(f"{name} cannot be loaded: {path.name}: {error}") from error
    for shard in names:
        if Path(shard).name != shard or not (path.parent / shard).is_file():
            raise UserError(f"{name} cannot be loaded: {path.name} lists {shard}, which is not a file beside it")
    return [path.parent / shard for shard in names]


def _check_file(path: Path, name: str) -> None:
    for tensor_name, tensor in read_tensors(path, name.partition("=")[0]).items():
        try:
            if not tensor_name.endswith(_WHOLE_NUMBERS):
                check_floating(tensor_name, tensor)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
