"""Light: where it comes from, its colour, and what it does to a surface."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.sources.scenes.noise import Field
from pipelines.sources.scenes.palette import Colour, lit_by, swatch


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
        side: side that it comes from, -1 (left) to 1 (right).
        height: height of its source, 0 (horizon) to 1 (zenith).
        warm: (3,) colour towards which lit surfaces are shifted.
        cool: (3,) factor on the colour of surfaces in full shade.
        tint: (3,) factor on every colour of the scene.
        strength: contrast between light and shade, 0 to 1.
    """

    side: float
    height: float
    warm: Colour
    cool: Colour
    tint: Colour
    strength: float

    @property
    def direction(self) -> NDArray[np.float32]:
        """(3,) unit vector to the light: right, down, to the viewer."""
        vector = np.array([0.85 * self.side, -(0.3 + 0.6 * self.height), 0.55])
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def shaded(mean_colour: Colour, shade: Field, light: Light, alpha: Field | None = None) -> NDArray[np.float32]:
    """Colours of a surface in light and shade whose mean stays `mean_colour`, so that captions stay true.

    Args:
        mean_colour: (3,) colour of the surface.
        shade: (H, W) from -1 (full shade) to 1 (full light).
        light: the light of the scene.
        alpha: (H, W) coverage of the surface in [0, 1], which weights the mean. None leaves the mean uncorrected.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    toned = np.clip(shade * np.float32(light.strength), -1.0, 1.0)
    lit = np.maximum(toned, 0.0)[..., None] * (0.5 * (light.warm - mean_colour) + 0.06)
    dark = np.minimum(toned, 0.0)[..., None] * (mean_colour * (1 - light.cool))
    colours = mean_colour + lit + dark
    if alpha is not None:
        return settled(colours, alpha, mean_colour)
    return np.asarray(np.clip(colours, 0.0, 1.0), np.float32)


def relief(height_px: Field, light: Light) -> Field:
    """Shade of a surface that bulges to the viewer: (H, W) heights in pixels to (H, W) in [-1, 1]."""
    slope_y, slope_x = np.gradient(height_px)
    right, down, front = light.direction
    facing = (front - right * slope_x - down * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.asarray(np.clip((facing - 0.35) / 0.65, -1.0, 1.0), np.float32)


def settled(colours: NDArray[np.float32], weight: Field, mean_colour: Colour) -> NDArray[np.float32]:
    """Colours shifted so that their weighted mean is `mean_colour`: (H, W, 3), (H, W), (3,) to (H, W, 3)."""
    total = float(cv2.sumElems(weight)[0]) if weight.size else 0.0
    if total <= 0:
        return colours
    # Not a matrix product: the order of BLAS's sums depends on its number of threads.
    mean = (np.array(cv2.sumElems(colours * weight[..., None])[:3]) / total).astype(np.float32)
    return np.asarray(np.clip(colours + (mean_colour - mean), 0.0, 1.0), np.float32)


def named(name: str, rng: np.random.Generator, light: Light, low: float = 0.0, high: float = 1.0) -> Colour:
    """A variation of a named colour in the light of the scene; see `palette.swatch`."""
    return lit_by(swatch(name, rng, low, high), name, light.tint)
