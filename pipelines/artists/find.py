"""What sequences a folder holds, before any pixel is decoded: their names, hashes, captions."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fsspec import AbstractFileSystem

from conf.errors import UserError
from conf.value import Location
from pipelines.sources.base import SourceEntry
from pipelines.sources.sidecars import Sidecars
from pipelines.sources.stored import PICTURE_EXTENSIONS, ending, list_files, printable
from training.data.storage import naming, open_storage

Layout = Literal["frames", "video", "grid"]

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".gif")


@dataclass(frozen=True, kw_only=True)
class ArtistSource:
    """Where an artist's sequences are.

    Attributes:
        path: a folder, or for videos and grids one file; a local path or any fsspec URL.
        licence: of sequences that do not state their own.
        require_captions: refuse to start when a sequence has no caption of its own.
    """

    path: Location
    licence: str | None = None
    require_captions: bool = False


def find_sequences(source: ArtistSource, layout: Layout) -> list[SourceEntry]:
    """Every sequence, in the order of names: a folder with pictures in it, a video, or a grid picture.

    A caption comes from `boat.txt` beside the video or grid `boat.mp4` or the folder `boat`, else from a caption table
    (`metadata.jsonl`, `captions.csv`) that names it, in its folder or any above.

    Raises:
        UserError: if there is none, storage fails, a caption file is malformed, or a required caption lacks.
    """
    filesystem, root = open_storage(source.path)
    with naming(source.path):
        if filesystem.isdir(root):
            names = list_files(filesystem, root)
        elif filesystem.exists(root):
            root, _, name = root.rpartition("/")
            names = [name]
        else:
            raise UserError(f"{source.path}: missing")
    captions = Sidecars(filesystem, root, frozenset(names), source.licence)
    members = _members(names, layout)
    if not members:
        what = {"frames": "folders of pictures", "video": "videos", "grid": "pictures"}[layout]
        raise UserError(f"{source.path}: holds no {what} (layout={layout})")
    entries = []
    for name, files in members.items():
        note = captions.annotation(name, stem=name if layout == "frames" else None)
        entries.append(
            SourceEntry(
                id=printable(name if name != "." else posixpath.basename(root)),
                sha256=content_hash(filesystem, root, files),
                locator=printable(posixpath.join(root, name) if name != "." else root),
                caption=note.caption,
                licence=note.licence,
            )
        )
    lacking = [entry.id for entry in entries if entry.caption is None] if source.require_captions else []
    if lacking:
        raise UserError(f"{source.path}: {len(lacking)} of {len(entries)} sequences have no caption, as {lacking[0]}")
    return entries


def picture_files(names: Iterable[str]) -> list[str]:
    """Those names that are pictures, 2 before 10."""
    return sorted((name for name in names if ending(name) in PICTURE_EXTENSIONS), key=_by_number)


def content_hash(filesystem: AbstractFileSystem, root: str, names: Iterable[str]) -> str:
    """SHA-256 of the bytes of some files, one after the other.

    Raises:
        UserError: if one cannot be read.
    """
    digest = hashlib.sha256()
    for name in names:
        path = posixpath.join(root, name)
        with naming(path), filesystem.open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def files_of(entry: SourceEntry, layout: Layout) -> tuple[AbstractFileSystem, str, list[str]]:
    """The storage of a sequence, its folder there, and the names of its files in their order."""
    filesystem, path = open_storage(entry.locator)
    if layout != "frames":
        return filesystem, posixpath.dirname(path), [posixpath.basename(path)]
    names = (posixpath.basename(each.rstrip("/")) for each in filesystem.ls(path, detail=False))
    return filesystem, path, picture_files(name for name in names if not name.startswith("."))


def _members(names: Iterable[str], layout: Layout) -> Mapping[str, list[str]]:
    """Name of each sequence -> its files."""
    if layout == "video":
        return {name: [name] for name in sorted(names, key=_by_number) if ending(name) in VIDEO_EXTENSIONS}
    pictures = picture_files(names)
    if layout == "grid":
        return {name: [name] for name in pictures}
    folders: dict[str, list[str]] = {}
    for name in pictures:
        folders.setdefault(posixpath.dirname(name) or ".", []).append(name)
    return folders


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]
