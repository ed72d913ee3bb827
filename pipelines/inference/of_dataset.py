"""A data set to paint: its captions, or its pictures, each into a folder that has the sequence's key for a name."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from conf.errors import ConfigError, UserError
from pipelines.inference.own_files import REPORT
from training.data.manifest import write_atomically
from training.data.sequence import StoredSequence
from training.data.split import StoredSplit, open_split

if TYPE_CHECKING:
    from pipelines.inference.config import PaintConfig

GIVEN = "given"
"""Folder in `out` of the given pictures, as they are stored in the data set."""
_READ_AT_ONCE = 64  # sequences


def requests_of_dataset(config: "PaintConfig") -> list["PaintConfig"]:
    """One configuration for each sequence: task=generate takes its caption as prompt, other tasks a frame as image.

    The pictures are written below `out`, byte for byte as they are stored: the finished picture for task=reconstruct,
    frame `at` for task=complete.

    Raises:
        UserError: if the data set cannot be read, lacks a caption or a picture, or a folder cannot be written.
    """
    assert config.dataset is not None
    split = open_split(config.dataset, config.split)
    if config.num_sequences is not None and config.num_sequences > len(split):
        raise ConfigError("num_sequences", config.num_sequences, f"1 to {len(split)}, in the {config.split} split")
    indices = range(config.num_sequences or len(split))
    requests = []
    for first in range(0, len(indices), _READ_AT_ONCE):
        for sequence in split.read(indices[first : first + _READ_AT_ONCE]):
            requests.append(_request(config, split, sequence))
    return requests


@contextmanager
def given_pictures(config: "PaintConfig") -> Iterator[None]:
    """Context of a run: if it fails or is stopped, given pictures that it wrote below `out` in vain are removed."""
    if config.dataset is None:
        yield
        return
    folder = config.out / GIVEN
    is_new = not folder.exists()
    written_before = frozenset() if is_new else frozenset(path.name for path in folder.glob("*"))
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what ended the run is what the user should read
            _withdraw(config.out, written_before)
            if is_new:
                folder.rmdir()
        raise


def _withdraw(out: Path, written_before: frozenset[str]) -> None:
    """Remove given pictures that were not written before, and whose processes are not painted."""
    for path in (out / GIVEN).iterdir():
        if path.name not in written_before and not (out / path.stem / REPORT).exists():
            path.unlink()


def _request(config: "PaintConfig", split: StoredSplit, sequence: StoredSequence) -> "PaintConfig":
    where = f"dataset={split.url}: sequence {sequence.key}"
    request = partial(dataclasses.replace, config, dataset=None, out=config.out / sequence.key)
    if config.task == "generate":
        if not sequence.caption:
            raise UserError(f"{where}: no caption; task=reconstruct paints from its picture")
        return request(prompt=sequence.caption)
    try:
        frames = sequence.facts["frames"]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    frame = len(frames) - 1 if config.task == "reconstruct" else config.at
    member = frames[frame]["member"] if frame < len(frames) else None
    if member not in sequence.members:
        raise UserError(f"{where}: holds no picture of frame {frame}")
    if sequence.key == GIVEN:
        raise UserError(f"{where}: would be painted into {config.out / GIVEN}, the folder of the given pictures")
    path = config.out / GIVEN / f"{sequence.key}{Path(member).suffix}"
    _write(path, sequence.members[member])
    return request(image=path)


def _write(path: Path, picture: bytes) -> None:
    try:
        if path.exists() and path.read_bytes() != picture:
            raise UserError(f"{path}: another picture is there; set out= to a new folder")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, picture)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
