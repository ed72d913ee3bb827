"""The size of the pictures that weights were trained on, by the card that belongs to them."""

from collections.abc import Sequence
from pathlib import Path

from conf.errors import UserError
from training.models.weights import PAINTER_CARD, RUN_CARD, read_run_card

_FAR = 2  # ratio of two sides from which sizes are too different


def trained_size(weights: Path) -> tuple[int, int] | None:
    """(height, width) of the pictures that weights were trained on; None if no card states it.

    Args:
        weights: weights of a run, of a painter, or from elsewhere.

    Raises:
        UserError: if the card cannot be read.
    """
    if (weights / PAINTER_CARD).is_file():
        from training.models.painter_folder import read_painter_card

        height, width = read_painter_card(weights)["size_px"]
        return height, width
    card = read_run_card(weights)
    if card is None:
        return None
    try:
        height, width = map(int, card["data"]["size_px"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{weights / RUN_CARD}: cannot be read ({error})") from error
    return height, width


def is_far(size_px: Sequence[int], trained_px: Sequence[int]) -> bool:
    """Whether pictures of a size, (height, width), are too large or too small for weights trained on another size."""
    return any(max(pair) >= _FAR * min(pair) for pair in zip(size_px, trained_px, strict=True))
