"""The parts of a region program that do not change from step to step, at any size, and how regions fill them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import StrokeProgram
from renderers.region.arrival import arrival
from renderers.region.wash import Pixels, amounts, depths, ragged, washed
from renderers.stored_picture import decoded
from renderers.things.contours import resized_labels
from renderers.things.graph import Labels

REGION, SHARE = 0, 1
NUM_COLUMNS = 2
"""Of a row of a region program: a region's label and the share of it that is done; columns of a stroke may follow."""

WASHES = "washes"
"""The fill that programs with washed regions store. Up to version 0.2 regions faded in, which was stored as `wash`."""

_SOFTNESS = 0.25  # of the edge of a region that fades in, as a share of the time that the region takes


@dataclass(frozen=True)
class RegionMap:
    """The canvas of a region program.

    Attributes:
        labels: (H, W); a region may have vanished at a small size.
        blank: (3,) RGB of the blank canvas.
        picture: (H * W, 3) what is revealed; None for strokes.
        members: for each label, flat indices of its pixels.
    """

    labels: Labels
    blank: Pixels
    picture: Pixels | None
    members: tuple[NDArray[np.int64], ...]

    @cached_property
    def times(self) -> Pixels:
        """(H * W,) when a wash reaches each pixel."""
        return arrival(self.labels).ravel()

    @cached_property
    def flow(self) -> Pixels:
        """(H * W,) the same times, made uneven as on paper."""
        return ragged(self.times, *self.labels.shape)

    @cached_property
    def paint(self) -> Pixels:
        """(H * W, 3) see `renderers.region.wash.amounts`."""
        assert self.picture is not None
        return amounts(self.picture, self.blank)

    @cached_property
    def depths(self) -> tuple[Pixels, Pixels]:
        """(H * W,) each; see `renderers.region.wash.depths`."""
        return depths(self.paint, *self.labels.shape)

    @cached_property
    def mean_colours(self) -> Pixels:
        """(R, 3) mean colour of each region of the picture."""
        assert self.picture is not None
        flat, count = self.labels.ravel(), len(self.members)
        sums = np.stack([np.bincount(flat, self.picture[:, c], count) for c in range(3)], 1)
        return (sums / np.maximum(np.bincount(flat, minlength=count), 1)[:, None]).astype(np.float32)

    def partly(self, fill: str, label: int, share: float) -> Pixels:
        """(n, 3) the pixels of a region when this share of it is done; at 1 they are those of the picture."""
        assert self.picture is not None
        pixels = self.members[label]
        goal = self.picture[pixels]
        if share >= 1.0:
            return goal
        if fill == "flat":
            return np.broadcast_to(self.mean_colours[label], goal.shape)
        if fill == WASHES:
            paint, (tone, spread) = self.paint, self.depths
            return washed(goal, paint[pixels], tone[pixels], spread[pixels], self.flow[pixels], self.blank, share)
        wet = np.clip((share * (1.0 + _SOFTNESS) - self.times[pixels]) / _SOFTNESS, 0.0, 1.0)[:, None]
        soft: Pixels = (self.blank + wet.astype(np.float32) * (goal - self.blank)).astype(np.float32)
        return soft


def unpacked(program: StrokeProgram, height: int, width: int) -> RegionMap:
    """The region map of a program at any size.

    Raises:
        ValueError: if the program's maps are damaged.
    """
    labels = resized_labels(decoded_labels(program), height, width)
    picture = None
    if "picture" in program.arrays:
        colours = _decoded(program, "picture", cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / np.float32(255)
        shrinks = height * width < colours.shape[0] * colours.shape[1]
        if colours.shape[:2] != (height, width):
            method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            colours = np.clip(cv2.resize(colours, (width, height), interpolation=method), 0.0, 1.0)
        picture = np.ascontiguousarray(colours).reshape(-1, 3)
    count = int(program.strokes[:, REGION].max()) + 1
    order = np.argsort(labels, axis=None, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(labels.ravel(), minlength=count))[:-1])
    return RegionMap(labels, np.array(program.canvas, np.float32), picture, tuple(members))


def packed(labels: Labels, picture: NDArray[np.uint8] | None) -> dict[str, NDArray[Any]]:
    """The maps of a program, as compressed bytes: a quarter of the size."""
    arrays = {"labels": _encoded(labels.astype(np.uint16), ".png", [cv2.IMWRITE_PNG_COMPRESSION, 3])}
    if picture is not None:
        arrays["picture"] = _encoded(np.ascontiguousarray(picture[..., ::-1]), ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return arrays


def decoded_labels(program: StrokeProgram) -> Labels:
    """(H, W) the label map at its own size.

    Raises:
        ValueError: if it is damaged, or has other regions than the program paints.
    """
    if not len(program.strokes) or program.strokes.shape[1] < NUM_COLUMNS:
        raise ValueError(f"{program.strokes.shape} numbers are no steps of regions")
    labels = _decoded(program, "labels", cv2.IMREAD_UNCHANGED)
    painted = np.unique(program.strokes[:, REGION])
    if labels.ndim != 2 or not np.array_equal(painted, np.unique(labels)):
        raise ValueError("the label map is not the one that the program paints")
    return labels.astype(np.int32)


def _encoded(image: NDArray[Any], kind: str, options: list[int]) -> NDArray[np.uint8]:
    data: NDArray[np.uint8] = cv2.imencode(kind, image, options)[1].ravel()
    return data


def _decoded(program: StrokeProgram, name: str, how: int) -> NDArray[Any]:
    data = program.arrays.get(name)
    size_px = (program.height_px, program.width_px)
    image = None if data is None or data.dtype != np.uint8 else decoded(data.tobytes(), how, size_px)
    if image is None:
        raise ValueError(f"the program's {name} cannot be decoded")
    return image
