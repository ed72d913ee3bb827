"""Folders whose content counts as a whole, so that no command may put its output into them.

Weights and painters are hashed over all their files: one more file, and a parent counts as changed. The shards of a
data set are listed, and checkpoints are removed by the run that wrote them.
"""

from itertools import pairwise
from pathlib import Path

from conf.errors import ConfigError
from training.data.layout import DATASET_CARD, shards_folder
from training.data.remote import AnyPath, RemotePath, answers

_CARDS = {
    "run_card.json": "the weights of a run",
    "painter.json": "a painter",
    "model_index.json": "a model",
}  # card -> what the folder holds that has it
_OWNED_FOLDERS = {
    "run.json": ("weights", "earlier-weights", "checkpoints"),
    DATASET_CARD: (shards_folder(Path()).name,),
}  # card -> folders beside it that belong to the same run or data set


def refuse_owned(out: AnyPath) -> None:
    """Refuse an output that lies in weights, a painter, a model, or the shards or checkpoints of something else.

    Args:
        out: the folder or file that a command is about to write; it need not exist.

    Raises:
        ConfigError: naming the folder that it lies in, and what that holds.
    """
    kinds_by_card: dict[AnyPath, tuple[AnyPath, str]] = {}
    for inner, folder in pairwise(_with_parents(out)):
        for card, kind in _CARDS.items():
            kinds_by_card[folder / card] = (folder, kind)
        for card, names in _OWNED_FOLDERS.items():
            if inner.name in names:
                kinds_by_card[folder / card] = (inner, f"the {inner.name} of {folder.name}")
    are_there = list(answers(out, lambda card: card.is_file(), kinds_by_card))
    for (folder, kind), is_there in zip(kinds_by_card.values(), are_there, strict=True):
        if is_there:
            raise ConfigError("out", out, f"a place outside {folder}, which holds {kind} and nothing else")


def _with_parents(out: AnyPath) -> list[AnyPath]:
    """A place and all folders that it lies in, from the inside."""
    if isinstance(out, RemotePath):
        protocol, _, name = out.url.partition("://")
        parts = name.split("/")
        return [RemotePath(f"{protocol}://{'/'.join(parts[:count])}") for count in range(len(parts), 0, -1)]
    resolved = out.resolve()
    return [resolved, *resolved.parents]
