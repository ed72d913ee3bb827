"""What sources of stored pictures share: their configuration, their storage, and loading what was planned."""

import hashlib
import json
import os
import posixpath
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from conf.errors import ConfigError, UserError
from conf.value import Location
from pipelines.sources.captions import CaptionTemplate
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.framing import WHITE, Framing, Ground
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import Listing, Picture, RefusedPicture, SourceEntry, StorageFault
from training.data.layout import DATASET_CARD

# .heic and .heif need an extra; without it they are refused with its name: ignoring them would surprise.
PICTURE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)


@dataclass(frozen=True, kw_only=True)
class StoredSource(ABC):
    """Pictures that lie as bytes in some storage.

    Attributes:
        path: where they are: a local path or any fsspec URL (`s3://…`, `gs://…`, `memory://…`).
        require_captions: refuse a source in which a picture has no caption.
        licence: licence of pictures that do not name their own.
        extensions: what the names of pictures end with, in lower case; case does not matter in the names.
        max_pixels: larger pictures are refused, by their header; 256 to 178956970.
        caption: caption of pictures that have none; `%name` is the name of the file, as words.
    """

    path: Location
    require_captions: bool = False
    licence: str | None = None
    extensions: tuple[str, ...] = PICTURE_EXTENSIONS
    max_pixels: int = MAX_PIXELS
    caption: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "extensions", tuple(self.extensions))  # OmegaConf hands over a list
        if not self.extensions or any(e != e.lower() or not e.startswith(".") for e in self.extensions):
            raise ConfigError("extensions", list(self.extensions), "lower-case endings such as [.jpg, .png]")
        if not 256 <= self.max_pixels <= MAX_PIXELS:
            raise ConfigError("max_pixels", self.max_pixels, f"256 to {MAX_PIXELS}")
        if self.caption is not None and not CaptionTemplate(self.caption).allows({"name"}):
            raise ConfigError("caption", self.caption, "text that may hold %name; %% is a percent sign")

    @property
    def brings_labels(self) -> bool:
        """Stored pictures come without ground truth."""
        return False

    @abstractmethod
    def read(self, entry: SourceEntry) -> bytes:
        """The bytes of one picture, as they are now."""

    @abstractmethod
    def home(self, entry: SourceEntry) -> tuple[AbstractFileSystem, str]:
        """The storage, and the path in it of the folder or tar that holds a picture."""

    def read_planned(self, entry: SourceEntry) -> bytes:
        """The bytes of one picture, which must be those that were planned; storage errors are retried.

        Raises:
            RefusedPicture, StorageFault: as `load`.
        """
        try:
            return read_patiently(lambda: self.read(entry), entry.locator)
        except RefusedPicture:
            filesystem, home = self.home(entry)
            # An empty folder is what a disk leaves behind that was unplugged.
            if not filesystem.exists(home) or (filesystem.isdir(home) and not filesystem.ls(home, detail=False)):
                raise StorageFault(f"{home}: gone, and {entry.id} with it; try again later") from None
            raise

    def listing(self, entries: Sequence[SourceEntry], passed_over: Iterable[str]) -> Listing:
        """The pictures that were found, those without a caption given one by the template.

        Raises:
            UserError: if captions are required and lacking.
        """
        self.check_captions(entries)
        if self.caption is not None:
            template = CaptionTemplate(self.caption)
            entries = [
                entry if entry.caption else replace(entry, caption=template.caption(entry.id)) for entry in entries
            ]
        return Listing(entries, passed_over)

    def load(self, entry: SourceEntry, framing: Framing, ground: Ground = WHITE) -> Picture:
        """Read, decode and frame one picture.

        Raises:
            RefusedPicture: if it cannot be read, is not a picture, or is not the one that was indexed.
            StorageFault: if the storage fails, or all that was planned is gone from it.
        """
        data = self.read_planned(entry)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise RefusedPicture("changed since the run was planned")
        return Picture(image=framing.apply(decode(data, max_pixels=self.max_pixels, ground=ground), ground))

    def check_captions(self, entries: Sequence[SourceEntry]) -> None:
        """Raise UserError if captions are required and lacking."""
        lacking = [entry.id for entry in entries if entry.caption is None] if self.require_captions else []
        if lacking:
            raise UserError(
                f"{self.path}: {len(lacking)} of {len(entries)} pictures have no caption, the first is {lacking[0]} "
                "(require_captions=true)"
            )


def list_files(filesystem: AbstractFileSystem, root: str) -> list[str]:
    """Paths of all files under a folder, relative to it, sorted; nothing hidden (`.git`, `._photo.jpg`).

    Links are followed, each folder is entered once, so that circles end. Broken links are listed, pipes and devices
    are not. A data set of ours below the folder, finished or begun, stands as one path that ends in `/`: what a command
    wrote beside its pictures is no source of its next run.

    Raises:
        UserError: if the storage fails.
    """
    if isinstance(filesystem, LocalFileSystem):
        return _without_own(filesystem, root, sorted(_local_files(root)))
    paths = (path.removeprefix(root).lstrip("/") for path in filesystem.find(root))
    return _without_own(filesystem, root, sorted(path for path in paths if not is_hidden(path)))


def _without_own(filesystem: AbstractFileSystem, root: str, names: list[str]) -> list[str]:
    """The same, with one name for all that is in a data set of ours."""
    cards = (name for name in names if name.endswith(f"/{DATASET_CARD}"))
    own = tuple(f"{posixpath.dirname(card)}/" for card in cards if _is_own(filesystem, posixpath.join(root, card)))
    outermost = [folder for folder in own if not folder.startswith(tuple({*own} - {folder}))]
    return sorted([*(name for name in names if not name.startswith(own)), *outermost])


def _is_own(filesystem: AbstractFileSystem, path: str) -> bool:
    """Whether a `dataset.json` is of a data set of ours; there are others of that name, and it may be damaged."""
    try:
        card = json.loads(read_patiently(lambda: bytes(filesystem.cat_file(path)), printable(path)))
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    except (RefusedPicture, ValueError, RecursionError):
        return False
    return isinstance(card, dict) and {"recipe", "config_hash", "shards"} <= card.keys()


def is_hidden(path: str) -> bool:
    """Whether a relative path is of something hidden, or in something hidden."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def _local_files(root: str) -> Iterator[str]:
    """fsspec's own walk neither lists linked files nor reports folders that it may not enter."""
    entered: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_raise):
        real = os.path.realpath(folder)
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith(".") and _regular_or_missing(path):
                yield os.path.relpath(path, root)


def _regular_or_missing(path: str) -> bool:
    """A named pipe that calls itself a picture would block its reader for ever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def printable(name: str) -> str:
    """A name that any file format can hold: bytes that are not UTF-8 (old archives) are written `\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def ending(name: str) -> str:
    """What decides whether a file is a picture: `.jpg` of `a/B.JPG`."""
    return posixpath.splitext(name)[1].lower()


def _raise(error: OSError) -> None:
    raise error
