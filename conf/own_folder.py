"""Checks a folder of YAML files that somebody else may have written, before Hydra composes them.

Hydra resolves `${oc.env:NAME}` and the like, and copies the target of an alias each time: a file of a few lines could
carry a password into a data set, or fill all memory.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from conf.errors import UserError

if TYPE_CHECKING:
    from yaml.events import Event

_MOST_BYTES = 1 << 20
_DEEPEST = 30


def check_own_folder(folder: Path) -> None:
    """Check all YAML files in a folder, without building any value from them.

    Raises:
        UserError: if one cannot be read, is no YAML, looks something up, repeats something, or nests too deep.
    """
    from yaml import YAMLError

    for path in sorted(folder.glob("**/*.yaml")):
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
            reason = f"more than {_MOST_BYTES} bytes" if len(data) > _MOST_BYTES else _reason(data.decode())
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        if reason:
            raise UserError(f"--config-dir {folder}: {path.relative_to(folder)}: {reason}")


def _reason(text: str) -> str:
    """Why a file is refused; empty if nothing is wrong. Only its events are parsed, so that no value is built."""
    import yaml

    if "${" in text:
        return "${...} is not looked up here; write the value itself"
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            return f"line {_line(event)}: aliases (*name) and tags (!name) are not read"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return f"line {_line(event)}: nested deeper than {_DEEPEST}"
    return ""


def _line(event: "Event") -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1
