"""Archives of painvidpro: one HDF5 file for each video, with its frames as JPEG in the order of time.

They are written by `DynamicVideoArchive` (https://github.com/Markus-Pobitzer/painvidpro) as `frame_data.h5` in a folder
`SOURCE/ID` for each video. `frames` holds the frames, from which hands and tools were removed; `reference_frames` holds
pictures that models made from the last frame, which are not read.
"""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.artists import hdf5_process
from pipelines.artists.footage import Footage, Frame, gather
from pipelines.sources.captions import text_line
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import RefusedPicture
from renderers.painting import to_uint8
from training.data.storage import open_storage

HDF5_EXTENSIONS = (".h5", ".hdf5")

_MOST_BYTES = 1 << 30
_MOST_CPU_S = 60


def read_archive(path: str, canvas_px: int, num_frames: range) -> Footage:
    """The frames of an archive.

    Args:
        path: path or URL.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if it is damaged or no such archive, has its frames in other files, or its author excluded it.
        StorageFault: if the storage fails.
    """
    answer, stored = _asked(path, "frames")

    def frames() -> Iterator[Frame]:
        for number in range(answer["frames"]):
            data = stored.read(int.from_bytes(stored.read(8), "big"))
            try:
                yield to_uint8(decode(data, max_pixels=MAX_PIXELS))
            except RefusedPicture as error:
                raise RefusedPicture(f"frame {number}: {error}") from error

    return gather(frames(), canvas_px, num_frames)


def archive_caption(path: str) -> str | None:
    """The tag that painvidpro's tagger gave the finished painting; None if there is none, or it cannot be read.

    Raises:
        StorageFault: if the storage fails.
    """
    try:
        answer, _ = _asked(path, "caption")
        tags = json.loads(answer["tags"])
        return text_line(tags[0]["tag"]) if tags else None
    except (RefusedPicture, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _asked(path: str, what: str) -> tuple[dict[str, Any], io.BytesIO]:
    """The answer of `hdf5_process` about an archive, and the stored frames that follow it.

    Raises:
        RefusedPicture: if the archive cannot be read, or the process does not finish in time.
    """
    filesystem, locator = open_storage(path)
    size = read_patiently(lambda: int(filesystem.size(locator) or 0), path)
    if size > _MOST_BYTES:
        raise RefusedPicture(f"{size} bytes are more than {_MOST_BYTES}")
    data = read_patiently(lambda: bytes(filesystem.cat_file(locator)), path)
    command = [sys.executable, "-P", str(Path(hdf5_process.__file__)), what, str(_MOST_CPU_S)]
    completed = subprocess.run(command, input=data, capture_output=True, check=False)
    stored = io.BytesIO(completed.stdout)
    line = stored.readline()
    if completed.returncode or not line:
        raise RefusedPicture(f"damaged: the HDF5 library did not come to an end with it in {_MOST_CPU_S} s")
    answer: dict[str, Any] = json.loads(line)
    if "refused" in answer:
        raise RefusedPicture(answer["refused"])
    return answer, stored
