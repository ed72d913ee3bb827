"""Painters that come with the package, such as `painter=tiny`."""

from pathlib import Path

from training.models.weights import PAINTER_CARD

_HERE = Path(__file__).parent


def shipped() -> list[str]:
    """Names of the painters that are here."""
    return sorted(card.parent.name for card in _HERE.glob(f"*/{PAINTER_CARD}"))


def painter_folder(painter: Path) -> Path:
    """The folder of a painter: a shipped one by its name, any other by its path (`./tiny` is yours, `tiny` is ours)."""
    return _HERE / painter if str(painter) in shipped() else painter
