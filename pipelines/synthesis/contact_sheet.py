"""A contact sheet of a shard: each row shows a sequence, its frames from left to right."""

from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.manifest import read_manifest, write_atomically
from training.data.pixels import png_of
from training.data.remote import AnyPath
from training.data.sequence import read_sequences

_ROWS, _COLUMNS, _FRAME_PX = 6, 8, 128


def contact_sheet(root: AnyPath, shard: str) -> NDArray[np.uint8]:
    """The first sequences of a committed shard, at most six rows of eight frames evenly chosen; (H, W, 3) uint8.

    Raises:
        ValueError: if the shard is not committed, or damaged.
    """
    manifest = read_manifest(root, shard)
    if manifest is None or not manifest.samples:
        raise ValueError(f"{shard}: nothing to show")
    rows = []
    for sequence in islice(read_sequences(root, manifest), _ROWS):
        frames = sequence.frames()
        chosen = frames[np.linspace(0, len(frames) - 1, min(_COLUMNS, len(frames))).round().astype(int)]
        scale = min(1.0, _FRAME_PX / min(chosen.shape[1:3]))
        rows.append(np.hstack([cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in chosen]))
    return np.vstack(rows)


def write_sheet(root: AnyPath, shard: str, path: AnyPath) -> None:
    """Write the contact sheet of a shard as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png_of(contact_sheet(root, shard)))
