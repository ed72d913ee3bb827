"""Errors about numbers that are infinite or not a number, which are raised before anything is made from them."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from conf.errors import UserError


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, `most` at most, separated by commas, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def refuse_not_finite(step: int, groups: Mapping[str, Mapping[str, Tensor]], outcome: str) -> None:
    """Refuse the state of training after a step if any of its values is not finite.

    Args:
        step: number of the step.
        groups: what the tensors are, in the plural -> the tensors by name.
        outcome: what happens now, for the end of the message.

    Raises:
        UserError: naming the first group with such values, and its first tensor that holds them.
    """
    for what, tensors in groups.items():
        names = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
        if names:
            raise UserError(f"step {step}: the {what} after it are not finite ({listed(names, 1)}); {outcome}")
