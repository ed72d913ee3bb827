"""Several pictures to paint with one command: which ones, whether all can be read, and which are painted already."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.errors import ConfigError, UserError
from conf.value import is_utf8
from pipelines.inference.own_files import PAGE, own_files, read_report
from pipelines.sources.picture_file import read_picture
from pipelines.sources.stored import PICTURE_EXTENSIONS
from training.data.manifest import is_temporary, stored_hash
from training.data.staging import UNFINISHED

if TYPE_CHECKING:
    from pipelines.inference.config import PaintConfig

_MOST_LISTED = 5
_NOT_HASHED = (
    "phases",  # the prompt names them
    "image",
    "pictures",
    "dataset",
    "split",
    "num_sequences",
    "conditions",
    "painter",
    "out",
    "device",
    "batch_size",
    "offload",
)
"""Keys that do not change what is painted, or whose files' contents are hashed instead."""


def requests_of(config: "PaintConfig") -> list["PaintConfig"]:
    """One configuration for each picture or sequence, with a folder of its own under `out`; a single one has `out`.

    A folder stands for the pictures in it, in the order of their names; its subfolders and hidden files are ignored.
    A picture's own folder has its name without the ending; with it where that would be taken or shared.

    Raises:
        UserError: if a folder holds no picture, two pictures have the same name, one would have no folder of its own,
            or a data set cannot be read.
    """
    if config.dataset is not None:
        from pipelines.inference.of_dataset import requests_of_dataset

        return requests_of_dataset(config)
    named = config.pictures if config.image is None else (config.image,)
    if not config.pictures and (config.image is None or not config.image.is_dir()):
        return [config]
    pictures = [picture for path_or_folder in named for picture in _pictures_in(path_or_folder)]
    paths: dict[str, Path] = {}
    for path, name in zip(pictures, _names_of_folders(pictures), strict=True):
        if _is_taken(name):
            raise UserError(f"image: {path}: its name gives no folder of its own in {config.out}; rename it")
        if name in paths:
            raise UserError(f"image: {paths[name]} and {path} would both be painted into {config.out / name}")
        paths[name] = path
    return [dataclasses.replace(config, image=path, pictures=(), out=config.out / name) for name, path in paths.items()]


def _names_of_folders(pictures: Sequence[Path]) -> list[str]:
    """The name of the folder of each picture: without its ending, or with it where the other is taken or shared."""
    names = [path.stem for path in pictures]
    while True:  # a name with its ending may be another picture's without it: a.gif, and the stem of a.gif.png
        counts = Counter(names)
        clashing = [
            number
            for number, (name, path) in enumerate(zip(names, pictures, strict=True))
            if name != path.name and (counts[name] > 1 or _is_taken(name))
        ]
        if not clashing:
            return names
        for number in clashing:
            names[number] = pictures[number].name


def _is_taken(name: str) -> bool:
    """Whether a name in `out` leads elsewhere, or is that of a file that is written there, if only for a while."""
    return name in (".", "..", UNFINISHED) or name.lower() == PAGE or is_temporary(Path(name))  # disks may ignore case


def _pictures_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.iterdir())
    pictures = [file for file in files if file.suffix.lower() in PICTURE_EXTENSIONS and not file.name.startswith(".")]
    if not pictures:
        raise UserError(f"image={path}: holds no pictures ({', '.join(PICTURE_EXTENSIONS)})")
    return pictures


def readable(config: "PaintConfig", requests: Sequence["PaintConfig"]) -> tuple[list["PaintConfig"], list[str]]:
    """Read every picture once, so that hours of painting do not end at an unreadable one.

    Args:
        config: the configuration as the user typed it.
        requests: what `requests_of` returns for it.

    Returns:
        The requests all of whose pictures can be read, and a line for each picture that cannot.

    Raises:
        ConfigError: if a picture is a file of the painting that would be replaced.
        UserError: if a picture that the user named cannot be read, or if no picture at all can; one line for all.
    """
    for request in requests:
        _refuse_own_pictures(request)
    named = {path for path in (config.image, *config.pictures) if path is not None and not path.is_dir()}
    keys = {file.path: f"conditions.{frame}" for frame, file in config.conditions.items()}
    refused: dict[Path, str] = {}
    for path in dict.fromkeys(file.path for request in requests for file in request.pinned.values()):
        try:
            read_picture(path, key=keys.get(path, "image"))
            if not is_utf8(path.name):
                raise UserError(f"{path}: its name is not in UTF-8, and the report must name it; rename it")
        except UserError as error:
            refused[path] = str(error)
    readable_requests = [
        request for request in requests if refused.keys().isdisjoint(file.path for file in request.pinned.values())
    ]
    reasons = list(refused.values())
    if not readable_requests or not named.isdisjoint(refused):
        raise UserError(in_one_line(reasons, "pictures"))
    return readable_requests, reasons


def _refuse_own_pictures(request: "PaintConfig") -> None:
    root = request.out.resolve()
    for path in (file.path for file in request.pinned.values()):
        place = path.resolve()
        if place.is_relative_to(root) and place.relative_to(root).as_posix() in own_files(root):
            raise ConfigError("out", request.out, f"another folder; {path} in this one would be replaced")


def in_one_line(reasons: Sequence[str], kind: str) -> str:
    """What is wrong with several pictures or captions: how many, the first five reasons, and how many more there are.

    Args:
        reasons: one for each of them.
        kind: what they are, in the plural.
    """
    more = f"; and {len(reasons) - _MOST_LISTED} more" if len(reasons) > _MOST_LISTED else ""
    count = f"{len(reasons)} {kind}: " if len(reasons) > 1 else ""
    return count + "; ".join(reasons[:_MOST_LISTED]) + more


def request_hash(request: "PaintConfig", card: Mapping[str, Any]) -> str:
    """SHA-256 of everything that decides what is painted: settings, pictures, painter and code version.

    Args:
        request: configuration of one process.
        card: the painter's card.
    """
    plain = dataclasses.asdict(dataclasses.replace(request, strokes=None))
    settings = {key: value for key, value in plain.items() if key not in (*_NOT_HASHED, "strokes")}
    if request.strokes is not None:
        recipe = request.strokes.renderer.recipe()
        strokes = request.strokes
        settings["strokes"] = [recipe, strokes.canvas_px, strokes.shown_frames, strokes.order]
    pictures = {
        frame: (stored_hash(file.path), file.strength, file.path.name) for frame, file in request.pinned.items()
    }
    decisive = [settings, pictures, card["files"], version("process-painter")]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()


def is_painted(folder: Path, request: str) -> bool:
    """Whether a folder holds the complete process of the request with that hash; the report is written last."""
    try:
        return read_report(folder).get("request") == request
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return False


def batches(requests: Sequence["PaintConfig"], size: int) -> list[Sequence["PaintConfig"]]:
    """The requests in groups of `size`; the last may be smaller."""
    return [requests[first : first + size] for first in range(0, len(requests), size)]
