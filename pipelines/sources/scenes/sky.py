"""Skies: gradient, glow, clouds, sun, moon and stars, and falling rain and snow."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.sources.scenes.canvas import Canvas, Mask, oval
from pipelines.sources.scenes.description import Sky
from pipelines.sources.scenes.light import Light, named, settled
from pipelines.sources.scenes.noise import fractal_noise
from pipelines.sources.scenes.palette import Colour


def _rgb(red: float, green: float, blue: float) -> Colour:
    return np.array([red, green, blue], np.float32)


_MOODS: dict[str, tuple[Colour, Colour, Colour, float]] = {
    "blue": (_rgb(1.0, 0.97, 0.86), _rgb(0.45, 0.5, 0.68), _rgb(1.0, 1.0, 1.0), 1.0),
    "turquoise": (_rgb(1.0, 0.98, 0.88), _rgb(0.42, 0.54, 0.62), _rgb(0.98, 1.0, 1.0), 0.95),
    "orange": (_rgb(1.0, 0.82, 0.52), _rgb(0.42, 0.34, 0.48), _rgb(1.0, 0.93, 0.84), 1.0),
    "red": (_rgb(1.0, 0.72, 0.5), _rgb(0.42, 0.28, 0.4), _rgb(1.0, 0.88, 0.84), 1.0),
    "yellow": (_rgb(1.0, 0.92, 0.66), _rgb(0.48, 0.42, 0.48), _rgb(1.0, 0.97, 0.88), 1.0),
    "pink": (_rgb(1.0, 0.86, 0.8), _rgb(0.48, 0.42, 0.58), _rgb(1.0, 0.94, 0.96), 0.9),
    "purple": (_rgb(0.94, 0.8, 0.94), _rgb(0.36, 0.32, 0.52), _rgb(0.84, 0.8, 0.94), 0.85),
    "grey": (_rgb(0.94, 0.94, 0.93), _rgb(0.55, 0.57, 0.62), _rgb(0.9, 0.91, 0.93), 0.65),
    "white": (_rgb(1.0, 1.0, 1.0), _rgb(0.62, 0.65, 0.72), _rgb(0.98, 0.99, 1.0), 0.6),
    "black": (_rgb(0.72, 0.78, 0.95), _rgb(0.3, 0.32, 0.46), _rgb(0.58, 0.62, 0.78), 0.8),
}
"""Colour of the sky -> colour of the light, factor of the shade, tint of all colours, contrast."""


_GRADIENTS = {
    "blue": ((0.22, 0.42, 0.75), (0.85, 0.9, 0.9)),
    "turquoise": ((0.15, 0.5, 0.6), (0.9, 0.94, 0.8)),
    "orange": ((0.75, 0.4, 0.42), (1.0, 0.82, 0.45)),
    "red": ((0.46, 0.12, 0.28), (1.0, 0.64, 0.4)),
    "yellow": ((0.85, 0.66, 0.38), (1.0, 0.95, 0.75)),
    "pink": ((0.7, 0.5, 0.72), (1.0, 0.85, 0.74)),
    "purple": ((0.32, 0.25, 0.5), (0.9, 0.64, 0.72)),
    "grey": ((0.42, 0.44, 0.5), (0.82, 0.82, 0.8)),
    "white": ((0.8, 0.83, 0.88), (0.97, 0.96, 0.94)),
    "black": ((0.03, 0.04, 0.1), (0.16, 0.19, 0.3)),
}
"""Colour of the sky -> the tones that it tends towards at the zenith and at the horizon."""


def sky_light(sky: Sky, side: float, height: float) -> Light:
    """The light that a sky gives."""
    warm, cool, tint, strength = _MOODS[sky.colour]
    return Light(side, height, warm, cool, tint, strength)


def paint_sky(canvas: Canvas, sky: Sky, horizon: float, seed: int) -> Colour:
    """Paint the sky over the whole canvas.

    Args:
        canvas: the canvas that is painted on.
        sky: the sky.
        horizon: y at which it ends, in shares of the height.
        seed: seed of its clouds.

    Returns:
        (3,) colour of the air at the horizon, into which distant things fade.
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.height, canvas.width
    low, high = {"black": (0.0, 0.7), "grey": (0.3, 1.0), "red": (0.65, 1.0), "orange": (0.4, 1.0)}.get(
        sky.colour, (0.45, 1.0)
    )
    mean_colour = named(sky.colour, rng, canvas.light, low, high)
    warm = canvas.light.warm
    down = np.clip((np.arange(height, dtype=np.float32)[:, None] + 0.5) / height / horizon, 0, 1)
    soft = fractal_noise(height, width, 0.3 * canvas.unit, int(rng.integers(1 << 20)), 4, stretch=4.0)
    night = sky.colour == "black"
    high_tone, low_tone = (
        mean_colour + np.float32(0.78) * (np.array(tone, np.float32) - mean_colour) for tone in _GRADIENTS[sky.colour]
    )
    drift = 0.08 if sky.weather in ("rain", "mist", "snow") or sky.colour in ("grey", "white") else 0.05
    place = np.clip(down + drift * 1.5 * soft, 0, 1)[..., None]
    colours = high_tone + place**1.3 * (low_tone - high_tone) + (soft * np.float32(drift * 0.5))[..., None]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if sky.body is not None:
        reach = (0.34 if sky.body == "sun" else 0.16) * canvas.unit
        square = (x - sky.body_x * width) ** 2 + (y - sky.body_y * height) ** 2
        glow = np.exp(-np.sqrt(square) / reach)[..., None] * (0.65 if sky.body == "sun" else 0.35)
        colours = colours + glow * (warm - colours)
    colours = colours.astype(np.float32)
    visible = np.repeat((down < 0.85).astype(np.float32), width, 1)
    colours = settled(colours, visible, mean_colour)
    canvas.image[...] = colours
    if night and sky.weather == "clear":
        _stars(canvas, horizon, rng)
    if sky.body is not None:
        _body(canvas, sky, colours)
    _clouds(canvas, sky, horizon, mean_colour, rng)
    rows = slice(int(0.75 * horizon * height), max(int(horizon * height), 1))
    return np.asarray(colours[rows].mean((0, 1)), np.float32)


def _stars(canvas: Canvas, horizon: float, rng: np.random.Generator) -> None:
    for x, y, size in rng.random((60, 3)):
        radius = max(0.55, (0.0016 + 0.003 * size**4) * canvas.unit)
        star = canvas.shape(oval(x * canvas.width, y * horizon * canvas.height, radius, radius))
        canvas.paint(Mask(star.top, star.left, star.alpha * np.float32(0.35 + 0.6 * size)), _rgb(0.95, 0.95, 0.88))


def _body(canvas: Canvas, sky: Sky, colours: NDArray[np.float32]) -> None:
    """The disc of the sun or the moon, lighter than any sky around it."""
    x, y = sky.body_x * canvas.width, sky.body_y * canvas.height
    radius = 0.062 * canvas.unit
    disc = canvas.shape(oval(x, y, radius, radius))
    label = canvas.label(str(sky.body), 1.4)
    if sky.body == "sun":
        pale = sky.time == "day" or sky.colour == "yellow"
        tone = _rgb(1.0, 0.98, 0.86) if pale else _rgb(1.0, 0.9, 0.58)
        canvas.paint(disc, tone, label)
        return
    tone = _rgb(0.97, 0.96, 0.88)
    seas = fractal_noise(disc.alpha.shape[0], disc.alpha.shape[1], 0.04 * canvas.unit, 77, 3)
    canvas.paint(disc, tone - (0.06 * np.maximum(seas, 0))[..., None].astype(np.float32), label)


def _clouds(canvas: Canvas, sky: Sky, horizon: float, sky_colour: Colour, rng: np.random.Generator) -> None:
    """Heaped clouds if the sky is cloudy; a few wisps, which have the sky's label, if it is clear."""
    height, width = min(canvas.height, int(horizon * canvas.height) + 2), canvas.width
    seed = int(rng.integers(1 << 20))
    if sky.weather != "cloudy":
        if sky.weather == "clear" and sky.colour != "black":
            wisps = fractal_noise(height, width, 0.06 * canvas.unit, seed, 4, stretch=6.0, gain=0.6)
            veil = np.clip(wisps - 0.35, 0, 1) * 0.35
            light = (sky_colour + 0.7 * (canvas.light.warm - sky_colour)).astype(np.float32)
            canvas.paint(Mask(0, 0, veil.astype(np.float32)), light)
        return
    billow = fractal_noise(height, width, 0.22 * canvas.unit, seed, 5, stretch=1.6, gain=0.5)
    bank = np.linspace(0.35, -0.15, height, dtype=np.float32)[:, None]
    cut = np.float32(np.quantile(billow + bank, 1 - sky.clouds))
    thick = billow + bank - cut
    alpha = np.clip(thick / 0.45, 0, 1)
    alpha = alpha * alpha * (3 - 2 * alpha)
    if sky.body is not None:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        square = (x - sky.body_x * width) ** 2 + (y - sky.body_y * canvas.height) ** 2
        alpha = alpha * (1 - np.exp(-((square / (0.12 * canvas.unit) ** 2) ** 2)))
    reach = max(1, round(0.035 * canvas.unit))
    toward = np.array([[1, 0, -np.sign(canvas.light.side) * reach * 0.7], [0, 1, reach]], np.float32)
    behind = cv2.warpAffine(thick, toward, (width, height), borderMode=cv2.BORDER_REPLICATE)
    light_on = np.clip(0.5 + 0.7 * (thick - behind) / 0.6, 0, 1)[..., None]
    top = sky_colour + (0.88 if sky.colour != "black" else 0.3) * (
        np.minimum(canvas.light.warm + 0.08, 1.0) - sky_colour
    )
    under = sky_colour * (0.7 + 0.3 * canvas.light.cool)
    colours = under + light_on * (top - under)
    label = canvas.label("clouds", 0.3)
    # The label covers the clouds' rim too, so that pixels labelled as sky have the sky's colour.
    canvas.paint(Mask(0, 0, (alpha * 0.92).astype(np.float32)), colours.astype(np.float32))
    canvas.labels[:height][alpha > 0.25] = label


def paint_mist(canvas: Canvas, horizon: float, haze: Colour, seed: int) -> None:
    """Paint a bank of mist over everything painted so far, thickest on the horizon; it has no label."""
    y = ((np.arange(canvas.height, dtype=np.float32)[:, None] + 0.5) / canvas.height - horizon - 0.02) / 0.1
    drift = 0.75 + 0.25 * fractal_noise(canvas.height, canvas.width, 0.15 * canvas.unit, seed % 9001, 3, stretch=4.0)
    canvas.paint(Mask(0, 0, (0.6 * np.exp(-(y**2)) * np.clip(drift, 0, 1)).astype(np.float32)), haze)


def paint_fall(canvas: Canvas, sky: Sky, seed: int) -> None:
    """Paint rain or snow over everything else; they have no label, as they are everywhere."""
    rng = np.random.default_rng(seed + 1)
    unit, height, width = canvas.unit, canvas.height, canvas.width
    if sky.weather == "rain":
        drawn = np.zeros((height * 2, width * 2), np.uint8)
        for x, y, length in rng.random((90, 3)):
            start = np.array([x * 1.2 * width, y * height]) * 2
            end = start + np.array([-0.25, 1.0]) * (0.04 + 0.05 * length) * unit * 2
            cv2.line(drawn, start.astype(int).tolist(), end.astype(int).tolist(), 255, max(1, round(unit / 200)))
        alpha = np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA), np.float32) / np.float32(
            255
        )
        canvas.paint(Mask(0, 0, alpha * np.float32(0.3)), _rgb(0.92, 0.94, 0.97))
    elif sky.weather == "snow":
        flakes = [
            oval(x * width, y * height, r, r)[::4]
            for x, y, size in rng.random((110, 3))
            for r in [max(0.6, (0.003 + 0.006 * size**2) * unit)]
        ]
        mask = canvas.shape(*flakes)
        canvas.paint(Mask(mask.top, mask.left, mask.alpha * np.float32(0.85)), _rgb(0.97, 0.97, 0.98))
