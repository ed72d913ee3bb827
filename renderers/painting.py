"""Types that all renderers use: the program of a painting, the painting, and which steps become frames."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError

Image = NDArray[np.float32]
Assets = Mapping[str, Any]
NO_ASSETS: Assets = MappingProxyType({})
Spacing = Literal["distance", "log", "uniform"]

_ARRAY_PREFIX = "family_"
_LONGEST_PX = 2**16
_WORTH_PACKING, _MOST_UNPACKED = 2**16, 2**24  # bytes; no small file unpacks to more
_FARTHEST = 1e4  # shorter sides of a canvas; no painting reaches so far, and pixel indices still fit 32 bits
_PLAIN_KINDS = frozenset("biufU")  # of dtypes: bool, integers, floats, text
# Every exception that reading a damaged or foreign archive has been seen to raise.
_UNREADABLE = (
    KeyError, IndexError, ValueError, TypeError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error,
    MemoryError, OverflowError, SyntaxError, AttributeError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StrokeProgram:
    """All that is needed to paint a picture again, at any size.

    Attributes:
        family: the package under `renderers/` that can replay it.
        strokes: (N, C) float32, one row per step, in painting order; a step is a stroke, or a part of a region. Lengths
            are in units of the canvas's shorter side.
        canvas: RGB of the blank canvas, in [0, 1].
        height_px, width_px: the size that it was made for, at which it is replayed by default.
        arrays: what else its family needs, such as the marks of a brush; none needs pickle.
    """

    family: str
    strokes: NDArray[np.float32]
    canvas: tuple[float, float, float]
    height_px: int
    width_px: int
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """A `.npz` without pickle; the same program gives the same bytes. Large `arrays` are compressed."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {
            "family": np.array(self.family),
            "strokes": self.strokes.astype("<f4"),
            "canvas": np.array(self.canvas, "<f4"),
            "size_px": np.array([self.height_px, self.width_px], "<i4"),
        }
        arrays |= {_ARRAY_PREFIX + name: array for name, array in sorted(self.arrays.items())}
        marks = sum(array.nbytes for array in self.arrays.values())
        if marks >= _WORTH_PACKING and marks + self.strokes.nbytes < _MOST_UNPACKED // 2:
            np.savez_compressed(buffer, **arrays)
        else:
            np.savez(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "StrokeProgram":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: if it is not a stroke program.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > max(len(data), _MOST_UNPACKED):
                    raise ValueError("its arrays are longer than the file")
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                members = {name: _plain_array(arrays[name], name) for name in arrays.files}
            red, green, blue = (float(value) for value in members["canvas"])
            height_px, width_px = (int(value) for value in members["size_px"])
            strokes = members["strokes"]
            if strokes.ndim != 2 or strokes.dtype != np.float32:
                raise ValueError(f"strokes {strokes.shape} of {strokes.dtype}")
            if not all(0 <= value <= 1 for value in (red, green, blue)):
                raise ValueError(f"canvas {red}, {green}, {blue}")
            if not 1 <= min(height_px, width_px) <= max(height_px, width_px) < _LONGEST_PX:
                raise ValueError(f"size {height_px} x {width_px}")
            return cls(
                family=str(members["family"]),
                strokes=strokes,
                canvas=(red, green, blue),
                height_px=height_px,
                width_px=width_px,
                arrays={
                    name.removeprefix(_ARRAY_PREFIX): array
                    for name, array in members.items()
                    if name.startswith(_ARRAY_PREFIX)
                },
            )
        except _UNREADABLE as error:
            raise ValueError(f"not a stroke program: {error}") from error

    def rows(self, num_columns: int, lengths: slice = slice(0), radii: slice = slice(0)) -> NDArray[np.float32]:
        """The strokes, checked for use in kernels, which do not check bounds.

        Args:
            num_columns: C of the family.
            lengths: columns that are places or lengths.
            radii: columns that must not be negative.

        Raises:
            ValueError: if there are more or fewer columns, a length is far beyond any canvas, or a radius is negative.
        """
        if self.strokes.shape[1] != num_columns:
            raise ValueError(f"{self.strokes.shape[1]} numbers a stroke; {self.family} has {num_columns}")
        if (np.abs(self.strokes[:, lengths]) > _FARTHEST).any() or (self.strokes[:, radii] < 0).any():
            raise ValueError("strokes far beyond any canvas, or of negative radius")
        return np.ascontiguousarray(self.strokes)


def _plain_array(array: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of a stored program, in the byte order and layout of this machine.

    Raises:
        ValueError: if it holds anything other than finite numbers or text.
    """
    if array.dtype.kind not in _PLAIN_KINDS or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise ValueError(f"{name}: {array.dtype}, or numbers that are not finite")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """Ground truth of a picture; maps are (H, W), or None where the source does not know them.

    Attributes:
        labels: which object each pixel shows.
        depth: float32, larger where farther.
        names: of the objects, by label; empty where the source does not know them.
    """

    labels: NDArray[np.uint16] | None = None
    depth: NDArray[np.float32] | None = None
    names: tuple[str, ...] = ()


NOTHING_KNOWN = Knowledge()


@dataclass(frozen=True, kw_only=True)
class Regions:
    """How a picture was divided into R regions, and in which order they were painted.

    Attributes:
        labels: (H, W) uint16, from 0 to R - 1.
        order: all labels, in painting order.
        saliency: (R,) by label, how much each region draws the eye, the most salient being 1.
        areas_px: (R,) by label.
    """

    labels: NDArray[np.uint16]
    order: tuple[int, ...]
    saliency: tuple[float, ...]
    areas_px: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Painting:
    """What a renderer returns.

    Attributes:
        program: the strokes.
        distances: (N + 1,) distance in [0, 1] of the canvas from the finished one after each step (see
            `renderers.distance`): 1 for the blank canvas, 0 for the last.
        regions: those of a renderer that paints region by region, else None.
        pace: (N + 1,) share of the painter's time that is left after each step, if frames are spaced by it instead of
            by the distance.
    """

    program: StrokeProgram
    distances: NDArray[np.float64]
    regions: Regions | None = None
    pace: NDArray[np.float64] | None = None

    @property
    def left(self) -> NDArray[np.float64]:
        """(N + 1,) what frames are spaced by: the remaining distance, or the remaining share of the painter's time."""
        return self.distances if self.pace is None else self.pace


def to_uint8(image: Image) -> NDArray[np.uint8]:
    """Nearest of 256 levels to each value in [0, 1]."""
    scaled = np.clip(image, 0.0, 1.0)
    scaled *= 255.0  # in place: at 4K, most of the time is memory access
    levels: NDArray[np.uint8] = np.rint(scaled, out=scaled).astype(np.uint8)
    return levels


@dataclass(frozen=True, kw_only=True)
class FrameSchedule:
    """Which steps of a painting become the frames of a sequence.

    Late strokes only refine, so by default frames are placed at equal steps of the distance to the finished canvas. The
    first frame is always the blank canvas and the last the finished painting.

    Attributes:
        num_frames: T, 2 to 256.
        spacing: `distance`, `log` (equal steps of log(1 + strokes)) or `uniform` (equal numbers of strokes).
    """

    num_frames: int = 8
    spacing: Spacing = "distance"

    def __post_init__(self) -> None:
        if not 2 <= self.num_frames <= 256:
            raise ConfigError("num_frames", self.num_frames, "2 to 256")
        if self.spacing not in ("distance", "log", "uniform"):
            raise ConfigError("spacing", self.spacing, "distance, log or uniform")

    def steps(self, distances: NDArray[np.float64]) -> tuple[int, ...]:
        """The step that each frame shows.

        With `distance`, only steps that are nearer to the finished canvas than all steps before them are eligible, so
        that the distance falls from frame to frame even where single strokes do not help.

        Args:
            distances: (N + 1,) as in `Painting`.

        Returns:
            T steps from 0 to N, strictly ascending as long as there are T eligible steps, else never descending.
        """
        return spaced_steps(distances, self.num_frames, self.spacing)


def spaced_steps(distances: NDArray[np.float64], num_frames: int, spacing: Spacing) -> tuple[int, ...]:
    """The steps that any number of frames show; see `FrameSchedule.steps`."""
    last = len(distances) - 1
    share = np.linspace(0.0, 1.0, num_frames)
    if spacing == "distance":
        before = np.concatenate([[np.inf], np.minimum.accumulate(distances)[:-1]])
        eligible = np.flatnonzero(distances < before)
        eligible = np.append(eligible[eligible < last], last)
        falling = distances[eligible]
        targets = distances[0] * (1.0 - share)
        after = np.clip(np.searchsorted(-falling, -targets), 1, max(1, len(falling) - 1))
        nearer = np.abs(falling[after - 1] - targets) <= np.abs(falling[np.minimum(after, len(falling) - 1)] - targets)
        places = np.where(nearer, after - 1, after)
    else:
        eligible = np.arange(last + 1)
        curve = share * last if spacing == "uniform" else np.expm1(share * np.log1p(last))
        places = np.rint(curve).astype(int)
    return tuple(int(eligible[place]) for place in _distinct(places, len(eligible)))


def _distinct(places: NDArray[np.int_], count: int) -> NDArray[np.int_]:
    """Ascending places in range(count), from the first to the last, moved apart until distinct if count allows."""
    spread = np.clip(places, 0, count - 1)
    spread[0], spread[-1] = 0, count - 1
    if count < len(spread):
        return np.maximum.accumulate(spread)
    order = np.arange(len(spread))
    spread = np.maximum.accumulate(spread - order) + order  # each is at least one after its predecessor
    return np.minimum(spread, count - len(spread) + order)
