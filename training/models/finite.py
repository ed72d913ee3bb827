"""Checks for NaN and infinity, which give an error and never a picture, and for tensors that cannot be weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from conf.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


def finite(tensor: "Tensor", what: str) -> "Tensor":
    """Return the tensor if all its values are finite.

    Args:
        tensor: a tensor of any shape.
        what: what the tensor is, for the message.

    Raises:
        UserError: if any of its values is infinite or not a number.
    """
    import torch

    wrong = int((~torch.isfinite(tensor)).sum())
    if wrong:
        way_out = (
            "; fp16 holds numbers up to 65504, dtype=bf16 and fp32 larger ones" if tensor.dtype == torch.float16 else ""
        )
        raise UserError(f"{what}: {wrong} of {tensor.numel()} values are not finite{way_out}")
    return tensor


def check_network(network: "nn.Module") -> None:
    """Refuse a loaded network of which a weight is not finite; some layers hide that in what they output.

    Args:
        network: of any kind, TorchScript included.

    Raises:
        UserError: naming the first such tensor.
    """
    for name, parameter in network.named_parameters():
        finite(parameter, name)
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point():  # others are counts, positions and the like
            finite(buffer.clamp(min=0.0), name)  # masks of attention are minus infinity where nothing is seen


def check_floating(name: str, tensor: "Tensor") -> None:
    """Refuse whole numbers and truth values, which are no weights; quantized weights are such without their scale.

    Args:
        name: its name in the file.
        tensor: a tensor of any shape.

    Raises:
        ValueError: naming it.
    """
    if not tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"{name} is of type {dtype}; allowed: floating-point numbers")


def check_weights(tensors: "Mapping[str, Tensor]") -> None:
    """Refuse tensors that cannot be weights of a network, whoever wrote their file.

    Args:
        tensors: name in the file -> tensor.

    Raises:
        ValueError: naming the first that has whole numbers or truth values, is empty or a single number, or is not
            finite.
    """
    for name, tensor in tensors.items():
        check_floating(name, tensor)
        if tensor.ndim == 0 or tensor.numel() == 0:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, so it holds no weights")
        wrong = int((~tensor.float().isfinite()).sum())
        if wrong:
            raise ValueError(f"{name}: {wrong} of {tensor.numel()} values are not finite")
