"""Which files of a folder a painted process may replace or remove: only those that an earlier process wrote there.

`report.json` lists them, with their hashes and its own hash, so that damage is detected. While a process is written,
`.painting.json`, the claim, lists them, so that the folder of a killed run is still recognised. A folder of the first
version, whose report has no list, is recognised by its page. A folder whose page leads to several processes below it
takes no process of its own, and a process's folder no such page: each would replace the other's page.
"""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from conf.errors import ConfigError
from training.data.claim import is_free
from training.data.manifest import stored_hash, sweep_temporaries, to_json, write_atomically
from training.data.plain import OPEN, parse_object, shaped
from training.data.retries import retried
from training.data.seal import sealed, sealed_fields

PROVENANCE = "A plausible process, made by a model. It is not how this picture was made."
REPORT, PAGE = "report.json", "index.html"
_CLAIM, _HASHES = ".painting.json", "sha256"
_ALWAYS = frozenset({"process.mp4", "process.webp", "sheet.png", PAGE, REPORT})
_LIST_OF_OVERVIEW = b'<ul id="processes">'  # on overviews of all versions; data of a page cannot hold a "<"
_FRAME_ON_PAGE = re.compile(rb"frames/\d{2,3}\.png")
_OWN_NAME = re.compile(r"frames/\d{2,3}\.png|process\.(mp4|webp|mkv)|sheet\.png|strokes\.npz|index\.html|report\.json")


class _Listing(TypedDict):
    """The fields of a report or a claim that are read here."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    note: str
    files: NotRequired[list[str]]


def own_files(root: Path) -> frozenset[str]:
    """Names, relative to the folder, of the files that a painted process wrote there; its page, if it is an overview.

    Raises:
        UserError: if the folder holds other files and no process, or cannot be read.
    """
    if root.exists() and not root.is_dir():
        raise ConfigError("out", root, "a folder; this is a file")
    if not root.exists() or is_free(root):
        return frozenset()
    listings = _listings(root)
    if not listings and has_overview(root):
        return frozenset({PAGE})
    listed = {name for listing in listings for name in listing.get("files", ())}
    if not any("files" in listing for listing in listings):
        page = _bytes(root / PAGE)
        if not listings and PROVENANCE.encode() not in page:
            raise ConfigError("out", root, "a new or empty folder; this one holds something that paint did not write")
        listed = {name.decode() for name in _FRAME_ON_PAGE.findall(page)} | _ALWAYS
    return frozenset(name for name in listed if _OWN_NAME.fullmatch(name)) | {REPORT}


def check_writable(root: Path, names: Collection[str]) -> frozenset[str]:
    """As `own_files`, for a process that will write files of these names.

    Raises:
        UserError: also if one of the names is taken by a file that no process wrote, or the page is an overview.
    """
    owned = own_files(root)
    if has_overview(root):
        raise ConfigError("out", root, f"another folder; {PAGE} in this one leads to several paintings below it")
    foreign = sorted(name for name in set(names) - owned if (root / name).exists())
    if foreign:
        raise ConfigError("out", root, f"another folder; {foreign[0]} in this one was not written by paint")
    return owned


def has_overview(root: Path) -> bool:
    """Whether the page in a folder leads to several processes below it."""
    page = _bytes(root / PAGE)
    return PROVENANCE.encode() in page and _LIST_OF_OVERVIEW in page


def has_process(root: Path) -> bool:
    """Whether a folder holds a process itself, complete or not, rather than in folders below it."""
    return bool(_listings(root))


def claim(root: Path, names: Collection[str]) -> None:
    """Record that files of these names are about to be written, and remove the other files of an earlier process.

    Raises:
        UserError: as `check_writable`.
        OSError: if the folder cannot be written.
    """
    owned = check_writable(root, names)
    root.mkdir(parents=True, exist_ok=True)
    listing = {"note": PROVENANCE, "files": sorted({*names, *owned})}
    write_atomically(root / _CLAIM, to_json(listing).encode())  # written first: a run killed after it has a claim
    (root / "frames").mkdir(exist_ok=True)
    for folder in (root, root / "frames"):
        sweep_temporaries(folder)
    for name in {*(owned - set(names)), REPORT}:
        (root / name).unlink(missing_ok=True)


def read_report(root: Path) -> dict[str, Any]:
    """The report of a complete process: every file that it lists is unchanged.

    Reports of the first versions list no hashes; their files are not checked.

    Raises:
        ValueError: if it is not a report, or a listed file is missing or changed; the message names the file.
        FileNotFoundError, IsADirectoryError, NotADirectoryError: if there is no report.
        UserError: if the storage fails.
    """
    data = retried(root / REPORT, (root / REPORT).read_bytes)
    try:
        report = sealed_fields(data)
        hashes = shaped(report.get(_HASHES, {}), dict[str, str])
    except ValueError as error:
        raise ValueError(f"{REPORT}: {error}") from error
    for name, sha256 in hashes.items():
        if not _OWN_NAME.fullmatch(name):
            raise ValueError(f"{name} is not a file of a process")
        try:
            if stored_hash(root / name) != sha256:
                raise ValueError(f"{name} is not what was written")
        except OSError as error:
            raise ValueError(f"{name}: {error.strerror or error}") from error
    return report


def write_report(root: Path, report: Mapping[str, Any], sha256: Mapping[str, str]) -> None:
    """Write the report; it must be the last of all files.

    Args:
        root: folder of the process.
        report: plain data.
        sha256: name -> hash of all other files.
    """
    files = {"files": [*sha256, REPORT], _HASHES: dict(sha256)}
    write_atomically(root / REPORT, sealed(to_json({**report, **files})))


def release(root: Path) -> None:
    """Remove the claim of a process that is completely written: its report now lists its files."""
    (root / _CLAIM).unlink(missing_ok=True)


def withdraw(root: Path, names: Collection[str]) -> None:
    """Remove the files of a process that cannot be written completely, and its claim.

    Without a claim nothing is removed: then nothing was written, and the files belong to an earlier process.

    Args:
        root: folder of the process.
        names: names of its files.
    """
    if not (root / _CLAIM).exists():
        return
    with suppress(OSError):  # if removing fails too, the claim remains and still lists these files
        for name in names:
            (root / name).unlink(missing_ok=True)
        with suppress(OSError):  # another process may have put something into the folder
            (root / "frames").rmdir()
        release(root)


def _listings(root: Path) -> list[_Listing]:
    """The claim and the report of a process, as far as they are there."""
    return [listing for name in (_CLAIM, REPORT) if (listing := _listing(root / name)) is not None]


def _listing(path: Path) -> _Listing | None:
    try:
        listing = parse_object(_bytes(path), _Listing)
    except ValueError:
        return None
    return listing if listing["note"] == PROVENANCE else None


def _bytes(path: Path) -> bytes:
    """Content of a file; empty if there is no such file."""
    try:
        return retried(path, path.read_bytes)
    except (FileNotFoundError, IsADirectoryError):
        return b""
