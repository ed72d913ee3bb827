"""Types of the values that are passed between nodes, besides pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.inference.pipeline import PaintingPipeline

CATEGORY = "process-painter"

ProcessKind = io.Custom("PROCESS_PAINTER_PROCESS")
"""A `pipelines.exports.process.Process`: frames, and strokes if they are known."""

PainterKind = io.Custom("PROCESS_PAINTER_PAINTER")
"""A `LoadedPainter`."""

PinsKind = io.Custom("PROCESS_PAINTER_PINS")
"""A tuple of `Pin`."""


@dataclass(frozen=True, kw_only=True)
class LoadedPainter:
    """A painter that is ready to paint.

    Attributes:
        facts: contents of its card.
    """

    pipeline: "PaintingPipeline"
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A picture that a frame should become.

    Attributes:
        picture: (H, W, 3) in [0, 1], of any size.
        frame: number of the frame; negative numbers count from the end.
        strength: 0 to 1.
    """

    picture: "NDArray[np.float32]"
    frame: int
    strength: float
