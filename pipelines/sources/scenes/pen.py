"""Draws one thing in its own coordinates: its foot is at (0, 0), x points to where it faces, y up, its height is 1."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.sources.scenes.canvas import Canvas, Mask, hull, oval
from pipelines.sources.scenes.description import Thing
from pipelines.sources.scenes.light import named, relief, settled, shaded
from pipelines.sources.scenes.noise import Field, fractal_noise
from pipelines.sources.scenes.palette import Colour

Points = ArrayLike
"""(N, 2) points in the thing's coordinates."""


class Pen:
    """Puts the parts of one thing on the canvas.

    Attributes:
        canvas: the canvas that is drawn on.
        rng: random numbers for the thing.
        scale: pixels per unit of the thing's coordinates.
        side: side that the light comes from, in the thing's coordinates, -1 to 1.
    """

    def __init__(self, canvas: Canvas, thing: Thing) -> None:
        self.canvas = canvas
        self.thing = thing
        self.rng = np.random.default_rng(thing.seed)
        self.scale = thing.size * canvas.unit
        self.x, self.y = thing.x * canvas.width, thing.y * canvas.height
        self.side = canvas.light.side * thing.facing

    def colour(self, name: str, low: float = 0.0, high: float = 1.0) -> Colour:
        """A variation of a named colour in the light of the scene; white stays dim enough to show its light side."""
        if name == "white":
            low, high = min(low, 0.2), min(high, 0.5)
        return named(name, self.rng, self.canvas.light, low, high)

    def at(self, points: Points) -> NDArray[np.float64]:
        """Convert the thing's coordinates to pixels of the canvas: (N, 2) to (N, 2)."""
        local = np.asarray(points, np.float64)
        return np.stack(
            [self.x + self.thing.facing * local[:, 0] * self.scale, self.y - local[:, 1] * self.scale], axis=1
        )

    def mask(self, *polygons: Points) -> Mask:
        """The union of polygons in the thing's coordinates."""
        return self.canvas.shape(*(self.at(p) for p in polygons))

    def fill(
        self,
        mask: Mask,
        mean_colour: Colour,
        label: int | None,
        *,
        level: float = 1.0,
        across: float = 0.0,
        down: float = 0.0,
        texture: Field | None = None,
    ) -> None:
        """Paint one part.

        Args:
            mask: its shape.
            mean_colour: mean colour of the filled shape.
            label: its label; None leaves the labels unchanged.
            level: factor on the mean colour: above 1 for parts in the light, below 1 for parts in the shade.
            across: how much lighter the side towards the light is, 0 to 1.
            down: how much darker the foot is, 0 to 1.
            texture: (h, w) like the mask, added to the shade.
        """
        height, width = mask.alpha.shape
        if not height or not width:
            return
        shade = np.linspace(1, -1, height, dtype=np.float32)[:, None] * np.float32(down)
        shade = shade + np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(
            across * self.canvas.light.side
        )
        grain = fractal_noise(height, width, 0.05 * self.canvas.unit, self.thing.seed % 9973, octaves=3)
        shade = shade + 0.12 * grain
        if texture is not None:
            shade = shade + texture
        tone = np.clip(mean_colour * level, 0.0, 1.0).astype(np.float32)
        self.canvas.paint(mask, shaded(tone, shade, self.canvas.light, mask.alpha), label)

    def bulge(
        self,
        circles: ArrayLike,
        mean_colour: Colour,
        label: int | None,
        *,
        rough: float = 0.0,
        leafy: float = 0.0,
        fall: float = 0.0,
        gloss: float = 0.0,
    ) -> Mask:
        """Paint a form that bulges to the viewer, the union of balls.

        Args:
            circles: (N, 3) x, y and radius of the balls, in the thing's coordinates.
            mean_colour: mean colour of the shape.
            label: its label; None leaves the labels unchanged.
            rough: how ragged the edge is, in shares of the thing's height.
            leafy: height of the relief of leaves or fur, in shares of the thing's height.
            fall: how much darker the lower parts are, 0 to 1.
            gloss: strength of the highlight, 0 to 1.
        """
        balls = np.asarray(circles, np.float64)
        centres, radii = self.at(balls[:, :2]), balls[:, 2] * self.scale
        reach = (radii + rough * self.scale)[:, None]
        (left, top), (right, bottom) = (centres - reach).min(0), (centres + reach).max(0)
        mask = self.canvas.frame(left, top, right, bottom)
        height, width = mask.alpha.shape
        if not height or not width:
            return mask
        y, x = mask.grid()
        edge = np.full((height, width), -1e3, np.float32)
        square = np.zeros((height, width), np.float32)
        for (cx, cy), radius in zip(centres.astype(np.float32), radii.astype(np.float32), strict=True):
            inside = radius * radius - ((x - cx) ** 2 + (y - cy) ** 2)
            np.maximum(square, inside, out=square)
            np.maximum(edge, inside / (2 * radius), out=edge)
        if rough > 0:
            cell = max(1.3, rough * 1.6 * self.scale)
            edge += np.float32(rough * self.scale) * fractal_noise(height, width, cell, self.thing.seed % 9949, 2)
        mask.alpha[...] = np.clip(edge + 0.5, 0.0, 1.0)
        swell = np.sqrt(square) * np.float32(0.8)
        if leafy > 0:
            cell = max(2.0, 0.09 * self.scale)
            leaves = fractal_noise(height, width, cell, self.thing.seed % 9941, 4, gain=0.6)
            swell += np.float32(leafy * self.scale) * leaves
            # Without the blur, the seams between the balls would show as creases.
            blur_px = max(0.5, 0.02 * self.scale)
            swell = np.asarray(cv2.GaussianBlur(swell, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE), np.float32)
        shade = relief(swell, self.canvas.light) - 0.15
        if leafy > 0:
            shade += np.float32(min(0.3, 16 * leafy)) * leaves
        shade += np.linspace(fall, -fall, height, dtype=np.float32)[:, None]
        colours = shaded(mean_colour, shade, self.canvas.light, mask.alpha)
        if gloss > 0:
            right_, down_, _ = self.canvas.light.direction
            main = int(radii.argmax())
            spot_x, spot_y = centres[main] + 0.5 * radii[main] * np.array([right_, down_])
            spread = (0.2 * radii[main]) ** 2
            shine = np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / (2 * spread)).astype(np.float32)
            colours += (np.float32(gloss) * shine)[..., None] * (self.canvas.light.warm - colours)
            colours = settled(colours, mask.alpha, mean_colour)
        self.canvas.paint(mask, colours, label)
        return mask

    def line(
        self, points: Points, width: float, mean_colour: Colour, label: int | None, end: float | None = None
    ) -> None:
        """Paint a limb or a stem along points, `width` thick (`end` at its end), in the thing's coordinates."""
        path = np.asarray(points, np.float64)
        along = np.gradient(path, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-along[:, 1], along[:, 0]], 1)
        half = np.linspace(width, width if end is None else end, len(path))[:, None] / 2
        # A line thinner than a pixel would vanish on a small canvas.
        half = np.maximum(half, 0.4 / self.scale)
        outline = np.concatenate([path + normal * half, (path - normal * half)[::-1]])
        self.fill(self.mask(outline), mean_colour, label, across=0.6)

    def cast(self, width: float, length: float, amount: float = 0.75) -> None:
        """Paint the shadow on the ground, `width` wide at the foot and `length` long, in the thing's coordinates."""
        light = self.canvas.light
        away = -np.sign(light.side) * length * (0.5 + 0.5 * abs(light.side))
        far = self.thing.facing * away
        outline = hull(np.concatenate([oval(0, 0, width * 0.45, 0.03), oval(far, -0.08 * length, width * 0.32, 0.07)]))
        mask = self.canvas.padded(self.mask(outline), 0.05 * self.canvas.unit)
        self.canvas.darken(mask, amount * (0.4 + 0.6 * light.strength), 0.012 * self.canvas.unit)
