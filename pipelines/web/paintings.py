"""The folder of an app. It has a folder for each painting, as `paint` writes it, named by the time when it was begun.

OUT/app.json                  marks the folder as that of an app
OUT/uploads                   files that visitors upload, while the app runs
OUT/20261127-151255-9f3a61c2  a painting; the last eight letters are random, so that nobody can guess the name
"""

import re
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from typing_extensions import TypedDict

from pipelines.inference.own_files import PAGE, REPORT
from training.data.manifest import to_json, write_atomically
from training.data.plain import OPEN, Whole, parse_object

CARD = "app.json"
NAME = r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"
FILE = r"(?:frames/[0-9]{2,3}\.png|process\.(?:mp4|webp)|sheet\.png|strokes\.npz|index\.html|report\.json)"
"""Names of paintings, and of the files in them, as regular expressions."""


class _Report(TypedDict):
    """The fields of a report that are read."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    prompt: str
    task: str
    seed: Whole
    files: list[str]


@dataclass(frozen=True, kw_only=True)
class StoredPainting:
    """A painting that is complete.

    Attributes:
        folder: its folder.
        prompt, task, seed: as in its report.
        frames: names of the files of its frames, in order.
        files: names of all files.
    """

    folder: Path
    prompt: str
    task: str
    seed: int
    frames: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def zipped(self, file: IO[bytes]) -> None:
        """Write all files into a zip, in a folder of the painting's name."""
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # pictures and videos are compressed
            for name in self.files:
                archive.write(self.folder / name, f"{self.name}/{name}")


@dataclass(frozen=True)
class Paintings:
    """All paintings of an app.

    Attributes:
        root: the folder, which the process that runs the app has claimed and locked.
    """

    root: Path

    @property
    def uploads(self) -> Path:
        """Folder of uploaded files; it exists between `begin` and `end`."""
        return self.root / "uploads"

    def begin(self) -> None:
        """Write the card, and remove what a killed app may have left: an unfinished painting, and uploads."""
        write_atomically(self.root / CARD, to_json({"what": "paintings of process-painter's app"}).encode())
        for folder in self._folders():
            if not (folder / REPORT).exists():
                shutil.rmtree(folder)
        self.end()
        self.uploads.mkdir()

    def end(self) -> None:
        """Remove the uploaded files."""
        shutil.rmtree(self.uploads, ignore_errors=True)

    def new_folder(self) -> Path:
        """The folder for a painting that begins now; it is not made."""
        return self.root / f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"

    def find(self, name: str) -> StoredPainting | None:
        """The painting of that name, or None if there is none; the name may be any text."""
        if not re.fullmatch(NAME, name):
            return None
        try:
            report = parse_object((self.root / name / REPORT).read_bytes(), _Report)
        except (OSError, ValueError):
            return None
        files = tuple(file for file in report["files"] if re.fullmatch(FILE, file))
        frames = tuple(sorted(file for file in files if file.startswith("frames/")))
        if not frames or PAGE not in files:
            return None
        return StoredPainting(
            folder=self.root / name, prompt=report["prompt"], task=report["task"], seed=report["seed"],
            frames=frames, files=files,
        )  # fmt: skip

    def latest(self, most: int, among: frozenset[str] | None = None) -> list[StoredPainting]:
        """The newest paintings, the newest first.

        Args:
            most: the most paintings.
            among: names of the paintings that may be shown; None for all.
        """
        chosen: list[StoredPainting] = []
        for folder in self._folders():
            if len(chosen) < most and (among is None or folder.name in among):
                painting = self.find(folder.name)
                chosen += [painting] if painting is not None else []
        return chosen

    def make_room(self, most: int) -> None:
        """Remove the oldest paintings, so that with one more there are at most `most`."""
        for folder in list(self._folders())[most - 1 :]:
            shutil.rmtree(folder)

    def _folders(self) -> Iterator[Path]:
        """All folders that are named as paintings, the newest first."""
        folders = [path for path in self.root.iterdir() if re.fullmatch(NAME, path.name) and path.is_dir()]
        return iter(sorted(folders, reverse=True))
