"""The canvas of a scene: anti-aliased shapes painted over each other, and the object that each pixel shows."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.sources.scenes.light import Light
from pipelines.sources.scenes.noise import Field
from pipelines.sources.scenes.palette import Colour


@dataclass(frozen=True)
class Mask:
    """A shape on the canvas: the share of each pixel that it covers, within its bounding box.

    Attributes:
        top, left: corner of the box on the canvas, in pixels.
        alpha: (h, w) float32 in [0, 1]; empty where the shape misses the canvas.
    """

    top: int
    left: int
    alpha: Field

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas that the mask covers."""
        return (
            slice(self.top, self.top + self.alpha.shape[0]),
            slice(self.left, self.left + self.alpha.shape[1]),
        )

    def grid(self) -> tuple[Field, Field]:
        """Canvas coordinates of the pixel centres: y as (h, 1) and x as (1, w), in pixels."""
        rows = np.arange(self.alpha.shape[0], dtype=np.float32)[:, None] + (self.top + 0.5)
        columns = np.arange(self.alpha.shape[1], dtype=np.float32)[None, :] + (self.left + 0.5)
        return rows, columns


class Canvas:
    """An image and its label map, painted from back to front.

    Attributes:
        image: (H, W, 3) float32 sRGB.
        labels: (H, W) uint16; 0 is the background.
        names: name of each label.
        saliency: weight of each label; the eye goes to the one with the largest first.
        depths: depth rank of each label; larger is nearer.
        unit: shorter side in pixels; sizes of things are shares of it.
        light: the light of the scene.
    """

    def __init__(self, height_px: int, width_px: int, light: Light, background: str) -> None:
        self.image = np.zeros((height_px, width_px, 3), np.float32)
        self.labels = np.zeros((height_px, width_px), np.uint16)
        self.names = [background]
        self.saliency = [0.0]
        self.depths = [0.0]
        self.unit = float(min(height_px, width_px))
        self.light = light

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.image.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.image.shape[1]

    def label(self, name: str, saliency: float) -> int:
        """A new label, nearer to the viewer than all before it."""
        self.names.append(name)
        self.saliency.append(saliency)
        self.depths.append(float(len(self.depths)))
        return len(self.names) - 1

    def frame(self, left: float, top: float, right: float, bottom: float) -> Mask:
        """An empty mask over the part of a box (in pixels) that lies on the canvas."""
        x0, x1 = max(0, int(np.floor(left)) - 1), min(self.width, int(np.ceil(right)) + 1)
        y0, y1 = max(0, int(np.floor(top)) - 1), min(self.height, int(np.ceil(bottom)) + 1)
        return Mask(y0, x0, np.zeros((max(0, y1 - y0), max(0, x1 - x0)), np.float32))

    def shape(self, *polygons: ArrayLike) -> Mask:
        """The union of polygons.

        Args:
            polygons: each (N, 2) x, y in pixels.

        Returns:
            Their coverage, exact to 1/16 of a pixel for small shapes and to 1/4 for large ones.
        """
        outlines = [np.asarray(polygon, np.float64) for polygon in polygons]
        all_points = np.concatenate(outlines)
        (left, top), (right, bottom) = all_points.min(0), all_points.max(0)
        mask = self.frame(left, top, right, bottom)
        height, width = mask.alpha.shape
        if not height or not width:
            return mask
        fine = 4 if height * width < 40_000 else 2
        drawn = np.zeros((height * fine, width * fine), np.uint8)
        for outline in outlines:
            points = ((outline - (mask.left, mask.top)) * fine - 0.5) * 16
            cv2.fillPoly(drawn, [np.round(points).astype(np.int32)], 255, lineType=cv2.LINE_8, shift=4)
        alpha = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
        return Mask(mask.top, mask.left, np.asarray(alpha, np.float32) * np.float32(1 / 255))

    def paint(self, mask: Mask, colours: NDArray[np.float32] | Colour, label: int | None = None) -> None:
        """Lay colours over the canvas.

        Args:
            mask: where the colours are laid, and how opaque they are.
            colours: (3,), or (h, w, 3) like the mask.
            label: label that pixels get which are covered by more than half; None leaves the labels unchanged.
        """
        if not mask.alpha.size:
            return
        part = self.image[mask.box]
        part += mask.alpha[..., None] * (colours - part)
        if label is not None:
            self.labels[mask.box][mask.alpha > 0.5] = label

    def darken(self, mask: Mask, amount: float, blur_px: float = 0.0) -> None:
        """Paint a shadow in the colour of the scene's shade; `amount` is in [0, 1]."""
        if not mask.alpha.size:
            return
        alpha = mask.alpha
        if blur_px > 0.3:
            alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE), np.float32)
        self.image[mask.box] *= 1 - (amount * alpha)[..., None] * (1 - self.light.cool)

    def padded(self, mask: Mask, margin_px: float) -> Mask:
        """The same mask in a larger box, so that it can be blurred without being cut off."""
        height, width = mask.alpha.shape
        box = self.frame(
            mask.left - margin_px, mask.top - margin_px, mask.left + width + margin_px, mask.top + height + margin_px
        )
        y, x = mask.top - box.top, mask.left - box.left
        box.alpha[y : y + height, x : x + width] = mask.alpha
        return box


def oval(x: float, y: float, radius_x: float, radius_y: float, turn: float = 0.0) -> NDArray[np.float64]:
    """Outline of an ellipse: (40, 2), turned by `turn` radians."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across, along = radius_x * np.cos(angles), radius_y * np.sin(angles)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([x + across * cos - along * sin, y + across * sin + along * cos], 1)


def hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The convex outline around points: (N, 2) to (M, 2)."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0, :], np.float64)


def smooth(points: Iterable[tuple[float, float]], closed: bool = False, steps: int = 8) -> NDArray[np.float64]:
    """A curve through points (Catmull-Rom): (N, 2) to (N * steps, 2)."""
    knots = np.array(list(points), np.float64)
    knots = np.concatenate([knots[-1:], knots, knots[:2]]) if closed else np.concatenate([knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = (knots[i : len(knots) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, knots[-2:-1]])
