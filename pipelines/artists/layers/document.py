"""A layered document, and the canvases that result as its layers are laid on one after the other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Frame
from pipelines.artists.layers.blending import blended, clear
from pipelines.sources.source import RefusedPicture
from renderers.painting import to_uint8

Floats = NDArray[np.float32]

MOST_PIXELS = 60_000_000
"""Largest size of a document and of each of its layers. Compositing one of this size takes up to 3 GB."""
MOST_LAYERS = 2_000
DEEPEST = 64
"""Deepest nesting of groups."""

_TOLERANCE = 24 / 255  # largest difference of a channel from the saved picture; profiles and rounding change less
_MOST_NAMED = 5
_MOST_DIFFERING = 0.01  # share of pixels that may differ by more


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Pixels somewhere on a canvas: (h, w, 4) RGBA in [0, 1], straight alpha."""

    rgba: Floats
    left: int
    top: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A visible layer of pixels, which are read when they are needed; `mode` is a mode of `blending`."""

    read: Callable[[], Patch]
    opacity: float = 1.0
    mode: str = "normal"


@dataclass(frozen=True, kw_only=True)
class Group:
    """A visible group of layers, from the bottom to the top; one that passes through only orders its layers."""

    children: "Sequence[Layer | Group]"
    opacity: float = 1.0
    mode: str = "normal"
    passes_through: bool = False


@dataclass(frozen=True, kw_only=True)
class Document:
    """A layered document.

    Attributes:
        width_px, height_px: size of the canvas.
        nodes: layers and groups from the bottom to the top.
        merged: (h, w, 3) the merged picture as the painting program saved it.
        unread: names of the parts that are not read, or only in part: layers, masks and modes of unknown kinds.
    """

    width_px: int
    height_px: int
    nodes: Sequence[Layer | Group]
    merged: Floats
    unread: Sequence[str] = ()

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 1 or self.width_px * self.height_px > MOST_PIXELS:
            raise RefusedPicture(f"{self.width_px}x{self.height_px} px is not 1 to {MOST_PIXELS}")

    def canvases(self) -> Iterator[Floats]:
        """(h, w, 3) white paper, and the canvas after each layer.

        Raises:
            RefusedPicture: if a layer cannot be read.
        """
        blank = clear(self.height_px, self.width_px)
        yield on_white(blank)
        yield from map(on_white, _laid(self.nodes, blank))


def frames_of(canvases: Iterator[Floats], merged: Floats, unread: Iterable[str]) -> Iterator[Frame]:
    """(H, W, 3) canvases that differ from the one before; the last one must be the merged picture that was saved.

    Args:
        canvases: (h, w, 3) each.
        merged: (h, w, 3) the picture that was saved.
        unread: names of parts that are not read as the program draws them; taken only if the document is refused.

    Raises:
        RefusedPicture: if it is another picture.
    """
    frame: Frame | None = None
    for canvas in canvases:
        picture = to_uint8(canvas)
        if frame is None or not np.array_equal(picture, frame):
            frame = picture
            yield frame
    assert frame is not None
    if merged.shape != frame.shape:
        raise RefusedPicture("the picture saved with its layers has another size than they have")
    differing = np.abs(merged - frame / np.float32(255)).max(-1) > _TOLERANCE
    if differing.mean() > _MOST_DIFFERING:
        reason = f"its layers make another picture than the one saved with them ({differing.mean():.0%} of it differs)"
        names = ", ".join(islice(unread, _MOST_NAMED))
        raise RefusedPicture(reason + (f"; not read, or drawn otherwise: {names}" if names else ""))


def on_white(canvas: Floats) -> Floats:
    """(h, w, 3) picture of a canvas of `blending` on white paper."""
    picture: Floats = np.clip(canvas[..., :3] + (1 - canvas[..., 3:]), 0, 1)
    return picture


def _laid(nodes: Sequence[Layer | Group], below: Floats) -> Iterator[Floats]:
    """The canvas after each layer of some nodes."""
    for node in nodes:
        under = below
        if isinstance(node, Layer):
            patch = node.read()
            below = blended(under, patch.rgba, patch.left, patch.top, node.mode, node.opacity)
            yield below
        elif node.passes_through:
            for below in _laid(node.children, under):
                yield below
        else:
            for inside in _laid(node.children, clear(*under.shape[:2])):
                below = blended(under, _straight(inside), 0, 0, node.mode, node.opacity)
                yield below


def _straight(canvas: Floats) -> Floats:
    """A canvas with straight alpha; the colours of canvases are multiplied with alpha."""
    alpha = canvas[..., 3:]
    return np.concatenate([canvas[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1, dtype=np.float32)
