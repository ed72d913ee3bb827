"""Painters that come with the package, such as `painter=tiny`."""

from pathlib import Path

from training.data.mirror import local_copy
from training.data.remote import AnyPath
from training.models.weights import PAINTER_CARD

_HERE = Path(__file__).parent


def shipped() -> list[str]:
    """Names of the painters in this package."""
    return sorted(card.parent.name for card in _HERE.glob(f"*/{PAINTER_CARD}"))


def painter_folder(painter: AnyPath) -> Path:
    """The folder of a painter: a shipped one by its name (`tiny`), any other by its path (`./tiny`).

    A painter in an object store is copied to the cache, and the copy's folder is returned.
    """
    return _HERE / str(painter) if str(painter) in shipped() else local_copy("painter", painter)
