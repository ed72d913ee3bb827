"""The options of every command, which begin with a dash, besides `key=value`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conf.errors import UserError
from conf.value import at_home

USAGE = """Keys are set as key=value; those shown as ??? are required. `--cfg job` prints the configuration that
results, and stops. `--config-dir FOLDER` adds YAML files of your own: FOLDER/renderer/mine.yaml is renderer=mine.
`-m seed=0,1,2 renderer=oil,ink` runs one job for each combination, each in a folder of its own below out, one after
another, or side by side with hydra/launcher=joblib or submitit_slurm. `--info` prints versions, folders, launchers."""
_FOLDER_OPTIONS = ("--config-dir", "-cd")


@dataclass(frozen=True, kw_only=True)
class Options:
    """A command line, taken apart.

    Attributes:
        settings: all words but the options: `key=value` and `group=choice`.
        show: what to print instead of running.
        multirun: whether commas in values mean several jobs.
        own_folder: folder of the user's own YAML files.
    """

    settings: tuple[str, ...]
    show: Literal["help", "version", "configuration", "info"] | None = None
    multirun: bool = False
    own_folder: Path | None = None


def read_options(arguments: Sequence[str]) -> Options:
    """Take a command line apart.

    Raises:
        UserError: if an option lacks its value, or has one that is not allowed.
    """
    settings: list[str] = []
    show: Literal["help", "version", "configuration", "info"] | None = None
    own_folder, multirun = None, False
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        option, sign, value = word.partition("=")
        if option in _FOLDER_OPTIONS:
            values = [value] if sign else [remaining.pop(0) for _ in remaining[:1]]
            own_folder = _folder(option, values)
        elif option in ("--cfg", "-c"):
            values = [value] if sign else [remaining.pop(0) for _ in remaining[:1]]
            if values != ["job"]:
                raise UserError("--cfg: not understood; use --cfg job")
            show = show or "configuration"
        elif word in ("-h", "--help"):
            show = "help"
        elif word == "--info":
            show = show or "info"
        elif word == "--version" and len(arguments) == 1:
            show = "version"
        elif word in ("-m", "--multirun"):
            multirun = True
        else:
            settings.append(word)
    return Options(settings=tuple(settings), show=show, multirun=multirun, own_folder=own_folder)


def _folder(option: str, values: Sequence[str]) -> Path:
    folder = Path(at_home(values[0])) if values and values[0] else None
    if folder is None or not folder.is_dir():
        raise UserError(
            f"{' '.join([option, *values])}: not a folder; use --config-dir FOLDER, a folder of your own YAML"
        )
    return folder
