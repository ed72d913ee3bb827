"""The regions that a sequence painted region by region stores besides its program, and their checks."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Regions, StrokeProgram
from renderers.stored_picture import decoded
from training.data.pixels import png_of
from training.data.sequence import StoredSequence


def label_map_bytes(labels: NDArray[np.uint16]) -> bytes:
    """The label map as a grey PNG, of 8 bits a pixel if they suffice, else of 16."""
    return png_of(labels.astype(np.uint8) if labels.max() < 256 else labels)


def read_label_map(data: bytes) -> NDArray[np.uint16]:
    """The (H, W) label map that `label_map_bytes` wrote.

    Raises:
        ValueError: if it is not a grey picture.
    """
    labels = decoded(data, cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise ValueError("regions.png: not a grey picture")
    return labels.astype(np.uint16)


def region_facts(regions: Regions) -> list[dict[str, Any]]:
    """An entry for each region in painting order: label, saliency (the most salient is 1), and area in pixels."""
    return [
        {"label": label, "saliency": regions.saliency[label], "area_px": regions.areas_px[label]}
        for label in regions.order
    ]


def region_faults(
    sequence: StoredSequence, program: StrokeProgram, frames: NDArray[np.uint8], tolerance: int
) -> Iterator[str]:
    """Faults of the regions of a sequence: they must partition the canvas, be painted as the json says, and never
    change once they are finished.

    Raises:
        ValueError: if a label map cannot be read.
    """
    from renderers.region.region_map import REGION, decoded_labels  # imported only if needed: it compiles kernels

    facts = sequence.facts
    labels = read_label_map(sequence.members["regions.png"])
    if not np.array_equal(labels, decoded_labels(program)):
        yield "regions.png is not the label map that the program paints"
        return
    painted = program.strokes[:, REGION].astype(int)
    order = painted[np.flatnonzero(np.diff(painted, prepend=-1))].tolist()
    if order != [region["label"] for region in facts["regions"]] or len(set(order)) != len(order):
        yield "regions are not painted in the order that the json gives"
        return
    areas = np.bincount(labels.ravel())
    if [int(areas[label]) for label in order] != [region["area_px"] for region in facts["regions"]]:
        yield "the areas in the json are not those of regions.png"
    yield from _revisions(labels, painted, [frame["step"] for frame in facts["frames"]], frames, tolerance)


def _revisions(
    labels: NDArray[np.uint16], painted: NDArray[np.int_], steps: Sequence[int], frames: NDArray[np.uint8],
    tolerance: int,
) -> Iterator[str]:  # fmt: skip
    """Faults of frames that change a region that was finished before."""
    for number in range(1, len(frames)):
        previous_step = steps[number - 1]
        unfinished = set(painted[previous_step:].tolist())
        finished = ~np.isin(labels, list(unfinished))
        change = np.abs(frames[number].astype(np.int16) - frames[number - 1]).max(-1)
        if finished.any() and change[finished].max() > tolerance:
            yield f"frame {number} changes a region that was finished"
