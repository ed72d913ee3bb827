"""The files of paintings and data sets, which no export may replace.

The report of a painting holds the hashes of its files, so a painting of which one is replaced is refused for ever. The
files of a data set are checked, counted or published with it.
"""

from pathlib import Path

from conf.errors import ConfigError, UserError
from pipelines.hub.dataset_page import SHEET
from pipelines.inference.own_files import PAGE, REPORT, own_files
from training.data.layout import dataset_file, quarantine_file, samples_file, shards_folder, timings_folder
from training.data.own_page import README

_FRAMES = "frames"  # of a painting; all pictures in this folder are read as its frames


def refuse_parts(out: Path) -> None:
    """Refuse an output that is a file of a painting or a data set in whose folder it lies.

    Other names in such a folder are allowed.

    Args:
        out: the file or folder that a command is about to write; it need not exist.

    Raises:
        ConfigError: naming the painting or the data set.
    """
    place = out.parent.resolve() / out.name  # a link is replaced itself, not what it leads to
    for folder in place.parents:
        name = place.relative_to(folder)
        for kind, has_part in (("painting", _painting_has), ("data set", _dataset_has)):
            if has_part(folder, name):
                raise ConfigError("out", out, f"another name: {name.as_posix()} belongs to the {kind} {folder}")


def _painting_has(folder: Path, name: Path) -> bool:
    """Whether a folder is a painting, complete or not, that a file of this name belongs to."""
    if not ((folder / REPORT).is_file() or (folder / PAGE).is_file() or (folder / _FRAMES).is_dir()):
        return False
    try:
        owned = own_files(folder)
    except (UserError, OSError):  # no painting, or not readable and so nothing that could be replaced unnoticed
        return False
    return name.parts[0] == _FRAMES or name.as_posix() in owned


def _dataset_has(folder: Path, name: Path) -> bool:
    """Whether a folder is a data set that a file of this name belongs to."""
    if not dataset_file(folder).is_file():
        return False
    files = (dataset_file(folder), samples_file(folder), quarantine_file(folder), folder / README, folder / SHEET)
    folders = (shards_folder(folder), timings_folder(folder))
    return folder / name in files or folder / name.parts[0] in folders
