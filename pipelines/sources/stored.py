"""The common base of sources of stored pictures: configuration, storage, and loading the planned pictures."""

import hashlib
import json
import os
import posixpath
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from conf.errors import ConfigError, UserError
from conf.value import SourceLocation
from pipelines.sources.captions import CaptionTemplate
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.framing import WHITE, Framing, Ground
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import Listing, Picture, RefusedPicture, SourceEntry, StorageFault
from training.data.layout import DATASET_CARD

# .heic and .heif need an extra. Without it they are refused with its name, since ignoring them would be a surprise.
PICTURE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class StoredSource(ABC):
    """Pictures that are stored as bytes.

    Attributes:
        path: where they are: a local path or any fsspec URL (`s3://…`, `gs://…`, `memory://…`).
        require_captions: refuse a source in which a picture has no caption.
        licence: licence of pictures that do not name their own.
        extensions: endings of the names of pictures, in lower case; in the names, case does not matter.
        max_pixels: pictures of more pixels are refused by their header; 256 to 178956970.
        caption: caption of pictures that have none; `%name` is the name of the file as words.
    """

    path: SourceLocation
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
            return read_patiently(lambda: self.read(entry), printable(entry.locator))
        except RefusedPicture:
            filesystem, home = self.home(entry)
            # An unplugged disk leaves an empty folder.
            if not filesystem.exists(home) or (filesystem.isdir(home) and not filesystem.ls(home, detail=False)):
                raise StorageFault(f"{home}: gone, and {entry.id} with it; try again later") from None
            raise

    def listing(self, entries: Sequence[SourceEntry], passed_over: Iterable[str]) -> Listing:
        """The listing of the pictures that were indexed; those without a caption get one from the template.

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
            StorageFault: if the storage fails, or the folder or file that holds the picture is gone.
        """
        entry.check()
        data = self.read_planned(entry)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise RefusedPicture("changed since the run was planned")
        return Picture(image=framing.apply(decode(data, max_pixels=self.max_pixels, ground=ground), ground))

    def check_captions(self, entries: Sequence[SourceEntry]) -> None:
        """Raise UserError if captions are required and lacking."""
        lacking = [entry.id for entry in entries if entry.lacks_caption] if self.require_captions else []
        if lacking:
            raise UserError(
                f"{self.path}: {len(lacking)} of {len(entries)} pictures have no caption, the first is {lacking[0]} "
                "(require_captions=true)"
            )


def list_files(filesystem: AbstractFileSystem, root: str) -> list[str]:
    """Paths of all files under a folder, relative to it, sorted, without hidden ones (`.git`, `._photo.jpg`).

    Links are followed; each folder is entered once, so that cycles end. Broken links are listed, pipes and devices are
    not. A data set of this program below the folder, finished or begun, is listed as one path that ends in `/`: frames
    that a command wrote beside its pictures must not become the source of its next run.

    Raises:
        UserError: if the storage fails.
    """
    if isinstance(filesystem, LocalFileSystem):
        return _without_own(filesystem, root, sorted(_local_files(root)))
    paths = (path.removeprefix(root).lstrip("/") for path in filesystem.find(root))
    return _without_own(filesystem, root, sorted(path for path in paths if not is_hidden(path)))


def _without_own(filesystem: AbstractFileSystem, root: str, names: list[str]) -> list[str]:
    """The same names, with one name in place of all files of a data set of this program."""
    cards = (name for name in names if name.endswith(f"/{DATASET_CARD}"))
    folders = tuple(f"{posixpath.dirname(card)}/" for card in cards if _is_own(filesystem, posixpath.join(root, card)))
    outermost = [folder for folder in folders if not folder.startswith(tuple({*folders} - {folder}))]
    return sorted([*(name for name in names if not name.startswith(folders)), *outermost])


def _is_own(filesystem: AbstractFileSystem, path: str) -> bool:
    """Whether a `dataset.json` is the card of a data set of this program; other programs' files may have that name."""
    try:
        card = json.loads(read_patiently(lambda: bytes(filesystem.cat_file(path)), printable(path)))
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    except (RefusedPicture, ValueError, RecursionError):
        return False
    return isinstance(card, dict) and {"recipe", "config_hash", "shards"} <= card.keys()


def is_hidden(path: str) -> bool:
    """Whether a relative path names a hidden file or folder, or something inside a hidden folder."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def _local_files(root: str) -> Iterator[str]:
    """Paths of a local folder's files; fsspec's own walk omits linked files and hides folders that it may not enter."""
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
    """Whether a path is a regular file or missing; a pipe with a picture's name would block its reader forever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def printable(name: str) -> str:
    """A name that any file format can hold: bytes that are not UTF-8 (from old archives) become `\\xe9`.

    Other halves of characters, which JSON can hold, become `\\ud800`.
    """
    return _HALF_CHARACTER.sub(_escaped, name)


def _escaped(half: re.Match[str]) -> str:
    """Python's stand-in for a byte (PEP 383) as that byte, any other half of a character as its number."""
    code = ord(half[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def ending(name: str) -> str:
    """The ending of a name in lower case, which decides whether a file is a picture: `.jpg` for `a/B.JPG`."""
    return posixpath.splitext(name)[1].lower()


def _raise(error: OSError) -> None:
    raise error
