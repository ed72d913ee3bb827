"""What sequences a folder holds, before any pixel is decoded: their names, hashes, captions."""

import hashlib
import itertools
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Literal

from fsspec import AbstractFileSystem

from conf.errors import UserError
from conf.value import Location
from pipelines.sources.png import SIGNATURE
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.sidecars import Sidecars
from pipelines.sources.source import Listing, RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import PICTURE_EXTENSIONS, ending, list_files, printable
from training.data.storage import naming, open_storage

Layout = Literal["frames", "video", "grid"]

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v"),
    *(".mpg", ".mpeg", ".m2v", ".vob", ".mts", ".m2ts", ".m2t", ".ts", ".ogv", ".ogm", ".mxf", ".dv", ".gif", ".apng"),
)
ANIMATED_EXTENSIONS = (".webp", ".png", ".avif")
"""Of pictures that may be animated, which only their first bytes tell."""

_HEAD_BYTES = 1 << 18


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


def find_sequences(source: ArtistSource, layout: Layout) -> Listing:
    """Every sequence, in the order of names: a folder with pictures in it, a video, or a grid picture.

    Animated pictures are videos. What is neither a sequence nor belongs to one is passed over and named.

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
    animated = {name for name in names if layout == "video" and _is_animated(filesystem, root, name)}
    members = _members(names, layout, animated)
    if not members:
        what = {"frames": "folders of pictures", "video": "videos", "grid": "pictures"}[layout]
        raise UserError(f"{source.path}: holds no {what} (layout={layout})")
    entries = []
    for name, files in members.items():
        note = captions.annotation(name, folder=layout == "frames")
        entries.append(
            SourceEntry(
                id=printable(name if name != "." else posixpath.basename(root)),
                sha256=_planned_hash(filesystem, root, files),
                locator=printable(posixpath.join(root, name) if name != "." else root),
                caption=note.caption,
                licence=note.licence,
            )
        )
    lacking = [entry.id for entry in entries if entry.caption is None] if source.require_captions else []
    if lacking:
        raise UserError(f"{source.path}: {len(lacking)} of {len(entries)} sequences have no caption, as {lacking[0]}")
    belonging = {*itertools.chain(*members.values()), *captions.files_of(members, folders=layout == "frames")}
    passed_over = [*sorted(map(printable, {*names} - belonging)), *captions.rows_without(members)]
    return Listing(entries, passed_over)


def picture_files(names: Iterable[str]) -> list[str]:
    """Those names that are pictures, 2 before 10."""
    return sorted((name for name in names if ending(name) in PICTURE_EXTENSIONS), key=_by_number)


def content_hash(filesystem: AbstractFileSystem, root: str, names: Iterable[str]) -> str:
    """SHA-256 of the bytes of some files, one after the other.

    Raises:
        RefusedPicture: if one cannot be read.
        StorageFault: if the storage fails.
    """
    digest = hashlib.sha256()
    for name in names:
        path = posixpath.join(root, name)
        with read_patiently(partial(filesystem.open, path, "rb"), printable(path)) as opened:
            file = PatientFile(opened, printable(path))
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _planned_hash(filesystem: AbstractFileSystem, root: str, names: Sequence[str]) -> str:
    """The same; of the names where the files cannot be read, so that they are refused when their turn comes.

    Raises:
        UserError: if the storage fails: without it the plan would differ from that of another run.
    """
    try:
        return content_hash(filesystem, root, names)
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    except RefusedPicture:
        return hashlib.sha256("\n".join(map(printable, names)).encode()).hexdigest()


def _is_animated(filesystem: AbstractFileSystem, root: str, name: str) -> bool:
    """Whether a picture file holds an animation: PNG's acTL, WebP's flag, AVIF's brand; what is unreadable does not."""
    if ending(name) not in ANIMATED_EXTENSIONS:
        return False
    path = posixpath.join(root, name)
    try:
        head = read_patiently(lambda: bytes(filesystem.cat_file(path, start=0, end=_HEAD_BYTES)), printable(path))
    except RefusedPicture:
        return False
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    if head.startswith(SIGNATURE):
        return b"acTL" in head.partition(b"IDAT")[0]
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
        return bool(head[20] & 2) if len(head) > 20 else False
    return head[4:12] == b"ftypavis"


def files_of(entry: SourceEntry, layout: Layout) -> tuple[AbstractFileSystem, str, list[str]]:
    """The storage of a sequence, its folder there, and the names of its files in their order.

    Raises:
        RefusedPicture: if its folder is gone.
        StorageFault: if the storage fails.
    """
    filesystem, path = open_storage(entry.locator)
    if layout != "frames":
        return filesystem, posixpath.dirname(path), [posixpath.basename(path)]
    paths = read_patiently(lambda: list(filesystem.ls(path, detail=False)), entry.locator)
    names = (posixpath.basename(each.rstrip("/")) for each in paths)
    return filesystem, path, picture_files(name for name in names if not name.startswith("."))


def _members(names: Iterable[str], layout: Layout, animated: Set[str]) -> Mapping[str, list[str]]:
    """Name of each sequence -> its files."""
    if layout == "video":
        videos = (name for name in names if ending(name) in VIDEO_EXTENSIONS or name in animated)
        return {name: [name] for name in sorted(videos, key=_by_number)}
    pictures = picture_files(names)
    if layout == "grid":
        return {name: [name] for name in pictures}
    folders: dict[str, list[str]] = {}
    for name in pictures:
        folders.setdefault(posixpath.dirname(name) or ".", []).append(name)
    return folders


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]
