"""Damage to files, as caused by disks and by people."""

import os
import random
import shutil
from pathlib import Path

KINDS = ("bit flipped", "cut", "emptied", "removed", "swapped", "a block of zeros", "lengthened", "a folder instead")


def damage(folder: Path, rng: random.Random) -> tuple[str, Path] | None:
    """Damage one file somewhere below a folder.

    Returns:
        What was done, and to which file; None if there is no file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
    if not files:
        return None
    # The kind of file is drawn first; otherwise, the card among hundreds of frames would hardly ever be damaged.
    kinds = sorted({_kind(path) for path in files})
    kind = rng.choice(kinds)
    path = rng.choice([path for path in files if _kind(path) == kind])
    what = rng.choice(KINDS)
    data = path.read_bytes()
    same_kind = [other for other in files if other != path and _kind(other) == kind and other.read_bytes() != data]
    if (what == "swapped" and not same_kind) or not data:
        what = "removed"
    if what == "removed":
        path.unlink()
    elif what == "a folder instead":
        path.unlink()
        path.mkdir()
    elif what == "swapped":
        other = rng.choice(same_kind)
        other_data = other.read_bytes()
        _replace(path, other_data)
        _replace(other, data)
    else:
        _replace(path, _damaged(data, what, rng))
        what = what if path.read_bytes() != data else "nothing"
    return what, path


def _kind(path: Path) -> tuple[str, str]:
    """The folder and suffix of a file, by which files count as one kind."""
    return path.parent.as_posix(), path.suffix


def _damaged(data: bytes, what: str, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    if what == "bit flipped":
        return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    if what == "cut":
        return data[:place]
    if what == "emptied":
        return b""
    if what == "a block of zeros":
        block = data[place : place + 512]
        return data[:place] + bytes(len(block)) + data[place + len(block) :]
    return data + rng.randbytes(rng.randint(1, 600))


def _replace(path: Path, data: bytes) -> None:
    """Replace a file by a new one, so that other hard links to the old file keep their bytes."""
    temporary = path.with_name(f"{path.name}.damaged")
    temporary.write_bytes(data)
    shutil.copystat(path, temporary)
    os.replace(temporary, path)
