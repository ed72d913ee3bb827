"""Checks for NaN and infinity: an error, and never a picture."""

from typing import TYPE_CHECKING

from conf.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def finite(tensor: "Tensor", what: str) -> "Tensor":
    """The tensor itself.

    Args:
        tensor: of any shape.
        what: it is, for the message.

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
