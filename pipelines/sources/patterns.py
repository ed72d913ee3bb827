"""Which files a path stands for: one file, all of a folder, or those that a pattern names."""

import itertools
import posixpath
import re
from collections.abc import Sequence

from braceexpand import braceexpand
from fsspec import AbstractFileSystem

from conf.errors import ConfigError, UserError
from pipelines.sources.stored import list_files, printable
from training.data.storage import naming, open_storage

_MOST_FILES = 1_000_000
_RANGE = re.compile(r"\{(-?[0-9]{1,40})\.\.(-?[0-9]{1,40})")


def matching_files(path: str, ending: str, kind: str) -> tuple[AbstractFileSystem, list[str], list[str]]:
    """The filesystem, the sorted paths of all files, and the names of the other files of a folder.

    Args:
        path: a file, a folder, or a pattern: `train-{00000..00015}.tar`, `train-*.tar`; local, or any fsspec URL.
        ending: ending of the files of a folder that count, such as `.tar`; case does not matter.
        kind: plural noun for these files in messages, such as `tars`.

    Raises:
        UserError: if there is no such file.
        ConfigError: if the pattern is malformed, or stands for more than a million files.
    """
    filesystem, root = open_storage(path)
    with naming(path):
        if filesystem.isdir(root):
            names = list_files(filesystem, root)
            chosen = [name for name in names if name.lower().endswith(ending)]
            if not chosen:
                raise UserError(f"{path}: holds no {kind} (*{ending})")
            files = [posixpath.join(root, name) for name in chosen]
            return filesystem, files, sorted(map(printable, {*names} - {*chosen}))
        if filesystem.exists(root):
            return filesystem, [root], []
    files = []
    for pattern in _patterns(path, ending, kind):
        filesystem, root = open_storage(pattern)
        with naming(pattern):
            matches = filesystem.glob(root)
        if not matches:
            raise UserError(f"{path}: missing" + (f" ({pattern})" if pattern != path else ""))
        files += matches
    return filesystem, sorted(set(files)), []


def short_names(files: Sequence[str]) -> list[str]:
    """A name for each file: its path without the parent folders that all files share."""
    parts = [file.split("/") for file in files]
    common_parts = itertools.takewhile(
        lambda column: len(set(column)) == 1, zip(*(part[:-1] for part in parts), strict=False)
    )
    num_common = sum(1 for _ in common_parts)
    return ["/".join(part[num_common:]) for part in parts]


def _patterns(path: str, ending: str, kind: str) -> list[str]:
    """A path with its braces expanded."""
    try:
        if any(abs(int(last) - int(first)) >= _MOST_FILES for first, last in _RANGE.findall(path)):
            raise ValueError(f"more than {_MOST_FILES} {kind}")
        patterns = list(itertools.islice(braceexpand(path), _MOST_FILES + 1))
        if len(patterns) > _MOST_FILES:
            raise ValueError(f"more than {_MOST_FILES} {kind}")
    except ValueError as error:
        raise ConfigError("path", path, f"a pattern such as train-{{00000..00015}}{ending} ({error})") from error
    return patterns
