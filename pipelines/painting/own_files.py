"""Which files of a folder a painted process may replace or remove: those that one wrote there before, and no others.

`report.json` lists them. While a process is written, `.painting.json` does, so that a folder whose run was killed is
still known as ours. A folder of the first version, whose report has no list, is told by the page that it wrote.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from conf.errors import ConfigError
from training.data.claim import is_free
from training.data.manifest import sweep_temporaries, to_json, write_atomically
from training.data.plain import OPEN, parse_object
from training.data.retries import retried

PROVENANCE = "A plausible process, made by a model. It is not how this picture was made."
REPORT, PAGE = "report.json", "index.html"
_CLAIM = ".painting.json"
_ALWAYS = frozenset({"process.mp4", "process.webp", "sheet.png", PAGE, REPORT})
_FRAME_ON_PAGE = re.compile(rb"frames/\d{2,3}\.png")
_OWN_NAME = re.compile(r"frames/\d{2,3}\.png|process\.(mp4|webp|mkv)|sheet\.png|index\.html|report\.json")


class _Listing(TypedDict):
    """What is read of a report or a claim."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    note: str
    files: NotRequired[list[str]]


def own_files(root: Path) -> frozenset[str]:
    """Names, relative to the folder, of what a painted process wrote there.

    Raises:
        UserError: if the folder holds other things and no process, or cannot be read.
    """
    if root.exists() and not root.is_dir():
        raise ConfigError("out", root, "a folder; this is a file")
    if not root.exists() or is_free(root):
        return frozenset()
    listings = [listing for name in (_CLAIM, REPORT) if (listing := _listing(root / name)) is not None]
    listed = {name for listing in listings for name in listing.get("files", ())}
    if not any("files" in listing for listing in listings):
        page = _bytes(root / PAGE)
        if not listings and PROVENANCE.encode() not in page:
            raise ConfigError("out", root, "a new or empty folder; this one holds something that was not painted here")
        listed = {name.decode() for name in _FRAME_ON_PAGE.findall(page)} | _ALWAYS
    return frozenset(name for name in listed if _OWN_NAME.fullmatch(name)) | {REPORT}


def check_writable(root: Path, names: Collection[str]) -> frozenset[str]:
    """As `own_files`, for a process that will write files of these names.

    Raises:
        UserError: also if one of the names is taken by a file that no process wrote.
    """
    owned = own_files(root)
    foreign = sorted(name for name in set(names) - owned if (root / name).exists())
    if foreign:
        raise ConfigError("out", root, f"another folder; {foreign[0]} in this one was not painted here")
    return owned


def claim(root: Path, names: Collection[str]) -> None:
    """Say that files of these names are about to be written; what an earlier process left besides is removed.

    Raises:
        UserError: as `check_writable`.
        OSError: if the folder cannot be written.
    """
    owned = check_writable(root, names)
    (root / "frames").mkdir(parents=True, exist_ok=True)
    listing = {"note": PROVENANCE, "files": sorted({*names, *owned})}
    write_atomically(root / _CLAIM, to_json(listing).encode())
    for folder in (root, root / "frames"):
        sweep_temporaries(folder)
    for name in {*(owned - set(names)), REPORT}:
        (root / name).unlink(missing_ok=True)


def release(root: Path) -> None:
    """The process is written whole, and its report lists its files."""
    (root / _CLAIM).unlink(missing_ok=True)


def _listing(path: Path) -> _Listing | None:
    try:
        listing = parse_object(_bytes(path), _Listing)
    except ValueError:
        return None
    return listing if listing["note"] == PROVENANCE else None


def _bytes(path: Path) -> bytes:
    """Content of a file; nothing where there is none."""
    try:
        return retried(path, path.read_bytes)
    except (FileNotFoundError, IsADirectoryError):
        return b""
