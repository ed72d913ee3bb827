"""Finds the sequences in a folder, with their names, hashes and captions, before any pixel is decoded."""

import hashlib
import itertools
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Literal

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from conf.errors import ConfigError, UserError
from conf.value import SourceLocation, check_whole
from pipelines.artists.drawings import DRAWING_EXTENSIONS, drawings_in
from pipelines.artists.hdf5 import HDF5_EXTENSIONS, archive_caption
from pipelines.artists.layers.reading import LAYERED_EXTENSIONS
from pipelines.artists.procreate import PROCREATE
from pipelines.artists.splits import read_splits, split_of
from pipelines.sources.png import SIGNATURE
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.sidecars import Sidecars
from pipelines.sources.source import Listing, RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import PICTURE_EXTENSIONS, ending, list_files, printable
from training.data.storage import naming, open_storage

Layout = Literal["frames", "video", "grid", "layers", "drawings", "hdf5"]

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v"),
    *(".mpg", ".mpeg", ".m2v", ".vob", ".mts", ".m2ts", ".m2t", ".ts", ".ogv", ".ogm", ".mxf", ".dv", ".gif", ".apng"),
)
_EXTENSIONS: Mapping[Layout, tuple[str, ...]] = {
    "frames": PICTURE_EXTENSIONS,
    "video": (*VIDEO_EXTENSIONS, PROCREATE),
    "grid": PICTURE_EXTENSIONS,
    "layers": LAYERED_EXTENSIONS,
    "drawings": DRAWING_EXTENSIONS,
    "hdf5": HDF5_EXTENSIONS,
}
_KIND_NAMES: Mapping[Layout, str] = {
    "frames": "folders of pictures",
    "video": "videos",
    "grid": "pictures",
    "layers": f"layered documents ({', '.join(LAYERED_EXTENSIONS)})",
    "drawings": "drawings (.ndjson)",
    "hdf5": "archives (.h5, .hdf5)",
}
ANIMATED_EXTENSIONS = (".webp", ".png", ".avif")
"""Endings of pictures that may be animated; only their first bytes tell whether they are."""

_HEAD_BYTES = 1 << 18
_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class ArtistSource:
    """Where an artist's sequences are.

    Attributes:
        path: a folder, or a single file if sequences are files; a local path or any fsspec URL.
        licence: licence of sequences that do not state their own.
        require_captions: whether to refuse to start if a sequence has no caption of its own.
        split_file: file that says which split each video is in (see `splits`); None to take all videos.
        split: the split that is taken.
        most_per_file: number of drawings that are taken from each file, from its beginning; None for all.
    """

    path: SourceLocation
    licence: str | None = None
    require_captions: bool = False
    split_file: SourceLocation | None = None
    split: str | None = None
    most_per_file: int | None = None

    def __post_init__(self) -> None:
        if (self.split_file is None) != (self.split is None):
            raise ConfigError("split", self.split, "given together with source.split_file, or neither")
        check_whole("most_per_file", self.most_per_file, 1, 10_000_000)


def find_sequences(source: ArtistSource, layout: Layout) -> Listing:
    """Every sequence, in the order of names: a folder of pictures, a file, or a line in a file of drawings.

    Animated pictures count as videos. Files that are no sequence and belong to none are passed over and named.

    A caption comes from `boat.txt` beside the video or grid `boat.mp4` or the folder `boat`, else from a caption table
    (`metadata.jsonl`, `captions.csv`) that names it, in its folder or any above.

    Raises:
        UserError: if there is no sequence, the storage fails, a caption table is malformed, or a required caption is
            missing.
    """
    filesystem, root = open_storage(source.path)
    with naming(source.path):
        if filesystem.isdir(root):
            names = folder_names = list_files(filesystem, root)
        elif filesystem.exists(root):
            root, _, name = root.rpartition("/")
            names = [name]
            paths = (each["name"] for each in filesystem.ls(root, detail=True) if each["type"] == "file")
            folder_names = [name, *map(posixpath.basename, paths)]
        else:
            raise UserError(f"{source.path}: missing")
    captions = Sidecars(filesystem, root, frozenset(folder_names), source.licence)
    animated = {name for name in names if layout == "video" and is_animated(filesystem, root, name)}
    members = _members(names, layout, animated)
    if not members:
        raise UserError(f"{source.path}: holds no {_KIND_NAMES[layout]} (layout={layout})")
    passed_over = captions.rows_without(members) if folder_names is names else []
    belonging = {*itertools.chain(*members.values()), *captions.files_of(members, folders=layout == "frames")}
    if source.split_file is not None:
        members, num_others = _of_split(source, members, root)
        passed_over.append(f"{num_others} sequences of other splits")
    entries: list[SourceEntry] = []
    for name, files in members.items():
        note = captions.annotation(name, folder=layout == "frames")
        address = _address(filesystem, posixpath.join(root, name) if name != "." else root)
        if layout == "drawings":
            drawings, unrecognised = drawings_in(address, name, note, source.most_per_file)
            entries += drawings
            if unrecognised:
                passed_over.append(f"{unrecognised} drawings of {printable(name)} that were not recognised")
            continue
        entries.append(
            SourceEntry(
                id=printable(name if name != "." else posixpath.basename(root)),
                sha256=_planned_hash(filesystem, root, files),
                locator=address,
                caption=note.caption or (_archive_caption(address) if layout == "hdf5" else None),
                licence=note.licence,
                fault=note.fault,
            )
        )
    if not entries:
        raise UserError(f"{source.path}: holds no {_KIND_NAMES[layout]} (layout={layout})")
    lacking = [entry.id for entry in entries if entry.lacks_caption] if source.require_captions else []
    if lacking:
        raise UserError(f"{source.path}: {len(lacking)} of {len(entries)} sequences have no caption, as {lacking[0]}")
    unnumbered = picture_files({*names} - belonging) if layout == "frames" else []  # beside numbered ones
    others = {*names} - belonging - {*unnumbered}
    named = [*map(printable, others), *(f"{printable(name)} (a picture without a number)" for name in unnumbered)]
    return Listing(entries, [*sorted(named), *passed_over])


def picture_files(names: Iterable[str]) -> list[str]:
    """The names that are pictures, sorted so that 2 comes before 10."""
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
    """`content_hash`, or a hash of the names if a file cannot be read: the sequence is then refused when it is loaded.

    Raises:
        UserError: if the storage fails; otherwise the plan would differ from that of another run.
    """
    try:
        return content_hash(filesystem, root, names)
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    except RefusedPicture:
        return hashlib.sha256("\n".join(map(printable, names)).encode()).hexdigest()


def is_animated(filesystem: AbstractFileSystem, root: str, name: str) -> bool:
    """Whether a file holds an animation, by PNG's acTL, WebP's flag or AVIF's brand; False if it cannot be read."""
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


def _of_split(source: ArtistSource, members: Mapping[str, list[str]], root: str) -> tuple[Mapping[str, list[str]], int]:
    """The sequences of the requested split, and the number of the others; raises UserError if it has no sequence."""
    assert source.split_file is not None
    splits = read_splits(source.split_file)
    names = sorted(set(splits.values()))
    if source.split not in names:
        raise ConfigError("split", source.split, f"a split of {source.split_file}: {', '.join(names[:_MOST_NAMED])}")
    chosen = {name: files for name, files in members.items() if split_of(name, splits, root) == source.split}
    if not chosen:
        raise UserError(
            f"{source.path}: no sequence is in the split {source.split} of {source.split_file}; "
            "it is found by source and id as two consecutive parts of a path, such as youtube/BaMZJchLKBQ.mp4"
        )
    return chosen, len(members) - len(chosen)


def _address(filesystem: AbstractFileSystem, path: str) -> str:
    """The name by which `open_storage` finds a file: its path if it is on this machine, else its URL."""
    return str(path if isinstance(filesystem, LocalFileSystem) else filesystem.unstrip_protocol(path))


def _archive_caption(path: str) -> str | None:
    """The caption in an HDF5 archive, if any; raises UserError as `_planned_hash` does."""
    try:
        return archive_caption(path)
    except StorageFault as fault:
        raise UserError(str(fault)) from fault


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
    return filesystem, path, _numbered(picture_files(name for name in names if not name.startswith(".")))


def _members(names: Iterable[str], layout: Layout, animated: Set[str]) -> Mapping[str, list[str]]:
    """Name of each sequence -> its files."""
    files = sorted((name for name in names if ending(name) in _EXTENSIONS[layout] or name in animated), key=_by_number)
    if layout != "frames":
        return {name: [name] for name in files}
    folders: dict[str, list[str]] = {}
    for name in files:
        folders.setdefault(posixpath.dirname(name) or ".", []).append(name)
    return {folder: _numbered(pictures) for folder, pictures in folders.items()}


def _numbered(names: Sequence[str]) -> list[str]:
    """The names that have a number, where most have one: `reference.png` is no stage among `1.png`, `2.png` and on."""
    numbered = [name for name in names if re.search(r"\d", posixpath.splitext(posixpath.basename(name))[0])]
    return numbered if 2 * len(numbered) > len(names) else list(names)


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]
