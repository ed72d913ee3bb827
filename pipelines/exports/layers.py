"""Frames as layers: each holds the pixels that its frame changed, so that all layers up to one show that frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.exports.process import Process


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer.

    Attributes:
        name: label of the frame.
        rgba: (h, w, 4) the smallest box around the changed pixels, transparent where nothing changed; a single
            transparent pixel if nothing changed at all.
        left, top: position of the box in pixels.
    """

    name: str
    rgba: NDArray[np.uint8]
    left: int
    top: int


def layers_of(process: Process) -> list[Layer]:
    """A layer for each frame, from the bottom up."""
    layers, before = [], None
    for number, frame in enumerate(process.frames):
        picture = frame.picture
        # The first layer is its whole frame, as there is nothing below it.
        changed = np.ones(picture.shape[:2], bool) if before is None else (picture != before).any(axis=2)
        left, top, width, height = cv2.boundingRect(changed.astype(np.uint8)) if changed.any() else (0, 0, 1, 1)
        box = np.s_[top : top + height, left : left + width]
        alpha = np.where(changed[box], 255, 0).astype(np.uint8)
        rgb = np.where(changed[box][..., None], picture[box], 0)
        rgba = np.dstack([rgb, alpha]).astype(np.uint8)
        layers.append(Layer(name=process.label(number), rgba=rgba, left=left, top=top))
        before = picture
    return layers


def groups_of(process: Process) -> Iterator[tuple[str, list[Layer]]]:
    """(phase, layers) from the bottom up; the phase is empty if the method has no phases."""
    layers = layers_of(process)
    for phase, numbers in process.phases():
        yield phase, [layers[number] for number in numbers]
