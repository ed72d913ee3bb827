"""Network weights that a user has on disk, read without running any code that they carry."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.errors import UserError

if TYPE_CHECKING:
    import torch

_CODE_SIGNS = ("Unsupported global", "Unsupported class", "TorchScript", "GLOBAL", "unsupported GLOBAL", "REDUCE")


def read_tensors(path: Path, key: str = "weights") -> "dict[str, torch.Tensor]":
    """The state dict in a `.safetensors` file, or in a `.pth`, `.pt`, `.ckpt` or `.bin` file as `torch.save` writes it.

    The caller finds out from names and shapes which network it belongs to. A checkpoint may have it under `state_dict`
    or `controlnet`.

    Args:
        path: path of the file.
        key: configuration key that named it, for messages.

    Returns:
        name -> tensor, on the CPU.

    Raises:
        UserError: if there is no such file, it cannot be read, holds no tensors by name, or holds pickled code.
    """
    where = f"{key}={path}"
    if not path.is_file():
        raise UserError(f"{where}: " + ("a folder; name the file in it" if path.is_dir() else "no such file"))
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror or error})") from error
    content = _safetensors(path, where) if path.suffix == ".safetensors" else torch_file(path, where)
    return _tensors(content, where)


def _safetensors(path: Path, where: str) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{where}: not a safetensors file, or not a whole one") from error


def torch_file(path: Path, where: str) -> Any:
    """The content of a file of `torch.save`: plain values and tensors; no other object is ever made.

    Raises:
        UserError: if it is something else, holds pickled code, or is compressed, which `torch.save` never does: a small
            file could then fill all memory.
    """
    import torch

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                    raise UserError(f"{where}: compressed; save it with torch.save, which does not compress")
    except UserError:
        raise
    except Exception as error:  # damaged archives raise anything: names that are no UTF-8, wrong numbers, ...
        raise UserError(f"{where}: not a PyTorch weights file, or not a whole one") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickles and TorchScript; what matters is raised
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # arbitrary bytes that are read as a pickle raise anything: KeyError, EOFError, ...
        if isinstance(error, pickle.UnpicklingError | RuntimeError) and _is_about_code(str(error)):
            raise UserError(
                f"{where}: holds code besides tensors, which is not run; save its state_dict() alone"
            ) from error
        raise UserError(f"{where}: not a PyTorch weights file, or not a whole one") from error


def _is_about_code(message: str) -> bool:
    return any(sign in message for sign in _CODE_SIGNS)


def _tensors(content: Any, where: str) -> "dict[str, torch.Tensor]":
    import torch

    for inner in ("state_dict", "controlnet"):
        if isinstance(content, dict) and isinstance(content.get(inner), dict):
            content = content[inner]
    if isinstance(content, dict):
        content = {
            name: value for name, value in content.items() if name != "animatediff_config"
        }  # as its trainer leaves it
    if not isinstance(content, dict) or not content:
        raise UserError(f"{where}: holds no tensors by name; save the network's state_dict()")
    for name, value in content.items():
        if not isinstance(name, str):
            raise UserError(f"{where}: the name {str(name)[:60]} of a tensor is not text but {type(name).__name__}")
        if not isinstance(value, torch.Tensor):
            raise UserError(f"{where}: {str(name)[:60]!r} is not a tensor but {type(value).__name__}")
        if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_complex():
            raise UserError(f"{where}: {name[:60]!r} is no plain tensor of numbers, but sparse, quantized or the like")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{where}: {name[:60]!r} has {value.numel()} numbers, of which the file holds fewer")
    return dict(content)
