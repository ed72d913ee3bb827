"""Reads processes of data sets, of `pipelines.paint`, and of other systems as frames, videos or grids."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from fsspec.implementations.local import LocalFileSystem

from conf.errors import ConfigError, UserError
from conf.progress import Progress
from pipelines.artists.find import (
    VIDEO_EXTENSIONS,
    ArtistSource,
    files_of,
    find_sequences,
    is_animated,
    picture_files,
)
from pipelines.artists.footage import Footage
from pipelines.artists.frames import read_frames
from pipelines.artists.grid import GridConfig, read_grid, shape_in_name
from pipelines.artists.video import read_video
from pipelines.evaluation.process import Process
from pipelines.inference.own_files import read_report
from pipelines.pages.gallery.choice import spread
from pipelines.sources.source import RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import printable
from pipelines.synthesis.dataset_faults import read_sound_manifests
from training.data.dataset import read_card
from training.data.manifest import SampleSpan, tar_path
from training.data.remote import AnyPath
from training.data.retries import retried
from training.data.sequence import read_span

_Foreign = Literal["frames", "video", "grid"]
FoundLayout = Literal["dataset", "painter", "frames", "video", "grid"]
Layout = Literal["auto", "dataset", "painter", "frames", "video", "grid"]

PAINTER_REPORT = "report.json"
_FRAMES_FOLDER = "frames"
_DATASET_CARD = "dataset.json"
_NUM_FRAMES = range(2, 257)  # how many frames of a process are kept, evenly spaced
_ANY_PX = 1 << 14  # canvas size for `gather`: so large that frames are not shrunk


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Processes of one set.

    Attributes:
        processes: processes of the same length and size.
        layout: layout that the set was read as.
        refused: name of each sequence that could not be read, and the reason.
        lengths: number of frames that each process had.
        notes: what else the user is told of the set.
    """

    processes: list[Process]
    layout: FoundLayout
    refused: list[tuple[str, str]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How sets are read: the shape of grids, the most sequences (chosen evenly), their length and size."""

    grid: GridConfig
    max_sequences: int
    num_frames: int
    size_px: int


def read_set(key: str, folder: Path, layout: Layout, wanted: Wanted) -> Imported:
    """All processes below a folder, brought to one length and size (see `Process.prepared`).

    Args:
        key: the configuration key of the folder, for messages.
        folder: the folder of the processes.
        layout: `auto` detects it, see `detect`.
        wanted: how the set is read.

    Raises:
        ConfigError: if there are no sequences that can be read.
        UserError: if a data set or a report is damaged.
    """
    if not folder.is_dir():
        raise ConfigError(key, folder, "a folder of sequences; this path does not exist")
    read_as = detect(folder, wanted.grid) if layout == "auto" else layout
    notes: list[str] = []
    if read_as == "dataset":
        members = _of_datasets(folder)
    elif read_as == "painter":
        members = _of_painter(folder)
    else:
        entries = find_sequences(ArtistSource(path=str(folder)), read_as)
        members = [(entry.id, partial(_foreign, entry, read_as, wanted)) for entry in entries]
        notes = entries.note(key)
    if not members:
        raise ConfigError(key, folder, f"a folder of sequences; it holds none (read as {read_as})")
    processes, refused, lengths = [], [], []
    places = spread(len(members), wanted.max_sequences)
    with Progress(f"reading {key}", len(places)) as progress:
        for place in places:
            name, read = members[place]
            try:
                process = read()
                processes.append(process.prepared(wanted.num_frames, wanted.size_px))
                lengths.append(len(process.frames))
            except StorageFault as fault:
                raise UserError(str(fault)) from fault
            except (RefusedPicture, ValueError) as error:
                refused.append((name, str(error)))
            progress.advance(1)
    if not processes:
        raise ConfigError(key, folder, f"sequences that can be read; {refused[0][0]}: {refused[0][1]}")
    return Imported(processes=processes, layout=read_as, refused=refused, lengths=lengths, notes=notes)


def detect(folder: Path, grid: GridConfig) -> FoundLayout:
    """The contents of a folder: data sets, paintings with reports, videos, grid pictures, or else folders of frames.

    An animated picture (WebP, PNG, AVIF), recognised by its first bytes, is a video. A picture is a grid if its name
    gives its shape (`boat_2x3.png`) or `grid.rows` is set.
    """
    if _with(folder, _DATASET_CARD):
        return "dataset"
    if _with(folder, PAINTER_REPORT):
        return "painter"
    files = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    if any(name.lower().endswith(VIDEO_EXTENSIONS) or _is_animated(folder, name) for name in files):
        return "video"
    pictures = picture_files(files)
    return "grid" if pictures and (grid.rows is not None or all(map(_has_shape_in_name, pictures))) else "frames"


_Member = tuple[str, Callable[[], Process]]


def _of_datasets(folder: Path) -> list[_Member]:
    """The sequences of a data set, or of all data sets in a folder."""
    members: list[_Member] = []
    for root in _with(folder, _DATASET_CARD):
        faults: list[str] = []
        for manifest in read_sound_manifests(root, read_card(root), faults):
            tar = tar_path(root, manifest.name)
            members += [
                (name := f"{printable(root.name)}/{span.key}", partial(_stored, name, tar, span))
                for span in manifest.samples
            ]
        if faults:
            raise UserError(f"{root}: damaged: {faults[0]}")
    return members


def _stored(name: str, tar: AnyPath, span: SampleSpan) -> Process:
    def read() -> bytes:
        with tar.open("rb") as file:
            file.seek(span.offset)
            return file.read(span.length)

    try:
        sequence = read_span(span, retried(tar, read))
    except OSError as error:
        raise RefusedPicture(f"{tar.name}: cannot be read: {error.strerror or error}") from error
    source = sequence.facts["source"]["sha256"]
    return Process(name=name, frames=sequence.frames(), caption=sequence.caption, source=source)


def _of_painter(folder: Path) -> list[_Member]:
    """Folders that `pipelines.paint` wrote: they have a report, and the frames are in `frames/` or beside it.

    A folder of frames without a report is a process that was not painted to its end; it is included, so that reading it
    reports that.
    """
    roots = set(_with(folder, PAINTER_REPORT))
    unfinished = {path.parent for path in folder.glob(f"*/{_FRAMES_FOLDER}")} if folder not in roots else set()
    return [(printable(root.name), partial(_painted, root)) for root in sorted(roots | unfinished)]


def _painted(root: Path) -> Process:
    try:
        report = read_report(root)
        caption, source = str(report.get("prompt") or ""), report.get("source")
    except OSError as error:
        raise RefusedPicture(f"{PAINTER_REPORT}: {error.strerror}; it was not painted to its end") from error
    except ValueError as error:
        raise RefusedPicture(f"not a whole painting by its {PAINTER_REPORT}: {error}") from error
    subfolder = root / _FRAMES_FOLDER
    frames_folder = subfolder if subfolder.is_dir() else root
    numbered = picture_files(path.name for path in frames_folder.iterdir() if path.stem[-1:].isdecimal())
    footage = read_frames(str(frames_folder), numbered, _ANY_PX, _NUM_FRAMES)
    return _process(printable(root.name), footage, caption, str(source) if source else None)


def _foreign(entry: SourceEntry, layout: _Foreign, wanted: Wanted) -> Process:
    """A process of another system, found as `pipelines.ingest` finds it, but not treated."""
    entry.check()
    if layout == "grid":
        footage = read_grid(entry.locator, wanted.grid, entry.caption or "")
    elif layout == "video":
        footage = read_video(entry.locator, _ANY_PX, _NUM_FRAMES)
    else:
        _, path, names = files_of(entry, layout)
        footage = read_frames(path, names, _ANY_PX, _NUM_FRAMES)
    return _process(Path(entry.id).stem, footage, entry.caption or "", None)


def _process(name: str, footage: Footage, caption: str, source: str | None) -> Process:
    if len(footage) < 2:
        raise RefusedPicture("one frame is no process")
    return Process(name=name, frames=np.stack(footage.frames), caption=caption, source=source)


def _with(folder: Path, file: str) -> list[Path]:
    """The folder itself if it holds a file of this name, else the folders in it that do."""
    if (folder / file).is_file():
        return [folder]
    return [path.parent for path in sorted(folder.glob(f"*/{file}"))]


def _is_animated(folder: Path, name: str) -> bool:
    return is_animated(LocalFileSystem(), str(folder), name)


def _has_shape_in_name(name: str) -> bool:
    try:
        shape_in_name(name)
    except RefusedPicture:
        return False
    return True
