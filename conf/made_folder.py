"""A folder for what a command is about to write; where nothing is written, no trace of it stays."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it. At the end, those that were made here and are empty are removed again.

    Raises:
        OSError: if it cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty, or was never made
                path.rmdir()
