"""Splits of videos by their ids, as painvidpro publishes them: `{"youtube": {"BaMZJchLKBQ": "eval", ...}}`."""

import itertools
import json
import posixpath
from collections.abc import Mapping

from conf.errors import UserError
from pipelines.sources.picture_file import read_bytes


def read_splits(path: str) -> Mapping[tuple[str, str], str]:
    """Split of each (source, id).

    Raises:
        UserError: if the file cannot be read, or says something else.
    """
    data = read_bytes(path, "split_file")
    try:
        table = json.loads(data)
        splits = {(source, id_): split for source, ids in table.items() for id_, split in ids.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON object of sources, each with the split of its ids ({error})") from error
    if not all(isinstance(split, str) for split in splits.values()):
        raise UserError(f"{path}: a split is not a name")
    return splits


def split_of(name: str, splits: Mapping[tuple[str, str], str], root: str = "") -> str | None:
    """The split of a sequence by its path: `youtube/BaMZJchLKBQ/frame_data.h5`, `youtube/BaMZJchLKBQ.mp4`.

    Args:
        name: its path below the root.
        splits: as `read_splits` returns them.
        root: the folder that is read, which may be that of a source or of an id.
    """
    parts = [*name.split("/")[:-1], posixpath.splitext(posixpath.basename(name))[0]]
    above = [*root.split("/")[-2:], parts[0]]
    pairs = [*itertools.pairwise(parts), *reversed([*itertools.pairwise(above)])]
    return next((splits[pair] for pair in pairs if pair in splits), None)
