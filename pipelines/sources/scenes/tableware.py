"""The room of a still life, and vessels, fruit and flowers on its table."""

import numpy as np

from pipelines.sources.scenes.canvas import Canvas, Mask, hull, oval, smooth
from pipelines.sources.scenes.description import Indoors
from pipelines.sources.scenes.light import named, settled, shaded
from pipelines.sources.scenes.noise import fractal_noise, ground_noise
from pipelines.sources.scenes.pen import Pen
from pipelines.sources.scenes.plants import draw_flowers

_PROFILES: dict[str, list[tuple[float, float]]] = {
    "bottle": [
        (0.0, 0.13),
        (0.03, 0.145),
        (0.3, 0.15),
        (0.52, 0.145),
        (0.64, 0.09),
        (0.72, 0.052),
        (0.95, 0.047),
        (1.0, 0.055),
    ],
    "vase": [(0.0, 0.17), (0.1, 0.23), (0.38, 0.32), (0.65, 0.25), (0.85, 0.14), (1.0, 0.19)],
    "bowl": [(0.0, 0.34), (0.08, 0.42), (0.35, 0.76), (0.7, 0.96), (1.0, 1.04)],
    "jug": [(0.0, 0.22), (0.1, 0.28), (0.35, 0.34), (0.6, 0.28), (0.8, 0.19), (1.0, 0.23)],
    "cup": [(0.0, 0.34), (0.08, 0.4), (0.4, 0.5), (1.0, 0.54)],
    "candle": [(0.0, 0.13), (0.5, 0.13), (0.8, 0.13)],
}
"""Heights and radii that outline vessels which are turned on a wheel, in shares of their height."""


def paint_room(canvas: Canvas, place: Indoors, seed: int) -> None:
    """The wall, with the light falling on it, and the table."""
    rng = np.random.default_rng(seed)
    height, width, unit, light = canvas.height, canvas.width, canvas.unit, canvas.light
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wall = named(place.wall, rng, light, 0.15, 0.5 if place.wall == "white" else 0.85)
    reach = np.hypot((x / width - (0.5 + 0.45 * light.side)), (y / height - 0.15))
    blotch = fractal_noise(height, width, 0.25 * unit, seed % 9907, 4)
    shade = 0.75 - 1.25 * reach + 0.16 * blotch
    seen = (y < place.edge * height).astype(np.float32)
    canvas.image[...] = settled(shaded(wall, shade, light, seen), seen, wall)
    edge = round(place.edge * height)
    mask = canvas.frame(0, edge + 1, width, height)
    rows = mask.alpha.shape[0]
    near = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    mask.alpha[...] = 1
    _, tx = mask.grid()
    table = named(place.table_colour, rng, light, 0.15, 0.5 if place.table_colour == "white" else 0.9)
    slant = 0.5 * light.side * (2 * tx / width - 1)
    if place.table == "table":
        grain = fractal_noise(rows, width, 0.022 * unit, seed % 9901, 4, stretch=14.0, gain=0.6)
        boards = np.mod(((near + 0.12) ** 0.7) * 4.0, 1.0)
        seam = np.exp(-((boards - 0.5) ** 2) / 0.0009) * 0.6
        shade = 0.4 * grain + slant - seam - 0.25 * near + 0.1
    else:
        broad = ground_noise(rows, width, unit, 4, seed % 9887, stretch=1.6)
        fold = np.sin(2 * np.pi * (2.2 * (tx / width - 0.5) / (0.6 + 0.5 * near) + 0.35 * broad + seed % 10))
        weave = fractal_noise(rows, width, 0.012 * unit, seed % 9883, 2)
        shade = 0.3 * fold * (0.3 + near) + 0.18 * broad + slant + 0.08 * weave - 0.2 * near
    tone = shaded(table, np.asarray(shade, np.float32), light, mask.alpha)
    canvas.paint(mask, tone, canvas.label(_table_name(place), 0.4))
    seam_mask = canvas.frame(0, edge - 0.01 * unit, width, edge + 0.005 * unit)
    seam_mask.alpha[...] = 1
    canvas.darken(seam_mask, 0.3, 0.004 * unit)


def _table_name(place: Indoors) -> str:
    return f"{place.table_colour} {place.table}"


def _shadow(pen: Pen, half: float, length: float, amount: float = 0.62) -> None:
    """Paint a thing's shadow on the table, soft far away and dark at the foot; lengths are in the thing's units."""
    canvas, facing = pen.canvas, pen.thing.facing
    away = -np.sign(canvas.light.side) * length * facing
    long = np.concatenate([oval(0, 0.0, half, half * 0.3), oval(away, 0.03, half * 0.8, half * 0.26)])
    blur = 0.016 * canvas.unit
    canvas.darken(canvas.padded(pen.mask(hull(long)), 4 * blur), amount, blur)
    canvas.darken(canvas.padded(pen.mask(oval(0, -0.005, half * 1.02, half * 0.26)), 2 * blur), 0.5, blur * 0.4)


def draw_vessel(pen: Pen, label: int) -> None:
    """A vessel turned on a wheel, with its contents."""
    thing = pen.thing
    profile = smooth(_PROFILES[thing.kind], steps=6)
    heights, radii = profile[:, 0], profile[:, 1]
    body = pen.colour(thing.colour, 0.2, 0.85)
    flat = 0.24
    top, mouth, foot = float(heights[-1]), float(radii[-1]), float(radii[0])
    _shadow(pen, float(radii[:8].max()) * 0.95, 0.5 if thing.kind != "bowl" else 0.9)
    if thing.kind in ("jug", "cup"):
        ring = smooth(
            [
                (-mouth * 0.9, top * 0.86),
                (-mouth - 0.2, top * 0.82),
                (-mouth - 0.22, top * 0.5),
                (-foot - 0.08, top * 0.28),
            ]
        )
        pen.line(ring, 0.06, body, label)
    if thing.kind == "vase" and thing.part_colour:
        _rim(pen, top, mouth, flat, body, label)
        draw_flowers(pen, pen.canvas.label(thing.part_name or "flowers", 2.0), top, thing.part_colour)
    elif thing.kind != "candle":
        _rim(pen, top, mouth, flat, body, label)
    if thing.kind == "bowl" and thing.part and thing.part_colour:
        _contents(pen, top, mouth)
    front = np.linspace(np.pi, 2 * np.pi, 14)
    lip = np.stack([mouth * np.cos(front), top + flat * mouth * np.sin(front)], 1)
    right_side = np.stack([radii, heights], 1)
    outline = np.concatenate(
        [
            right_side,
            lip[::-1],
            (right_side * (-1, 1))[::-1],
            np.stack([foot * np.cos(front), flat * foot * np.sin(front)], 1),
        ]
    )
    mask = pen.mask(outline)
    if mask.alpha.size:
        pen.canvas.paint(mask, _turned(pen, mask, heights, radii, body), label)
    if thing.kind == "candle":
        pen.fill(pen.mask(oval(0, top, mouth, flat * mouth)), np.clip(body * 1.15, 0, 1).astype(np.float32), label)
        pen.line([(0, top), (0.01, top + 0.07)], 0.02, np.array([0.15, 0.12, 0.1], np.float32), None)
        flame = smooth([(0, top + 0.05), (0.045, top + 0.11), (0.0, top + 0.24), (-0.045, top + 0.11)], True)
        pen.fill(pen.mask(flame), np.array([1.0, 0.86, 0.42], np.float32), pen.canvas.label("flame", 1.5), down=-0.4)
    if thing.kind == "bottle":
        cork = [(-0.04, 0.99), (0.04, 0.99), (0.036, 1.06), (-0.036, 1.06)]
        pen.fill(pen.mask(cork), pen.colour("brown", 0.5, 1.0), None, across=0.5)


def _turned(pen: Pen, mask: Mask, heights: np.ndarray, radii: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Colours of a turned vessel: light, core shadow, light thrown back by the table, and a highlight."""
    y, x = mask.grid()
    local_y = (pen.y - y) / pen.scale
    radius = np.interp(local_y[:, 0], heights, radii).astype(np.float32)[:, None]
    turn = np.clip((x - pen.x) / pen.scale / np.maximum(radius, 1e-3), -1, 1).astype(np.float32)
    light = pen.canvas.light
    right, down, front = light.direction
    # Where the radius shrinks upwards, the wall turns to the sky.
    up = np.clip(np.gradient(radius[:, 0])[:, None] * pen.scale, -1.2, 1.2) if len(radius) > 1 else np.zeros((1, 1))
    facing = (turn * right + np.sqrt(1 - turn**2) * front + up * -down * 0.5) / np.sqrt(1 + 0.25 * up**2)
    shade = 2.0 * facing - 1.0 + 0.3 * np.clip(-turn * np.sign(light.side) - 0.75, 0, 1)
    shade = shade + 0.06 * fractal_noise(
        mask.alpha.shape[0], mask.alpha.shape[1], 0.03 * pen.canvas.unit, pen.thing.seed % 9871, 3
    )
    colours = shaded(body, shade.astype(np.float32), light, mask.alpha)
    spot = np.sign(light.side) * 0.5
    glossy = 0.75 if pen.thing.kind == "bottle" else 0.5
    middle = 0.35 if pen.thing.kind == "bottle" else 0.62
    shine = np.exp(-(((turn - spot) / 0.13) ** 2) - ((local_y - middle) / 0.2) ** 2)
    colours = colours + (glossy * shine)[..., None] * (light.warm - colours)
    return settled(colours.astype(np.float32), mask.alpha, body)


def _rim(pen: Pen, top: float, mouth: float, flat: float, body: np.ndarray, label: int) -> None:
    """Paint the opening; its inside is in shade on the side that the light comes from."""
    pen.fill(pen.mask(oval(0, top, mouth, flat * mouth)), body, label, level=0.7, across=-0.6)


def _contents(pen: Pen, top: float, mouth: float) -> None:
    """Fruit heaped in a bowl."""
    thing, rng = pen.thing, pen.rng
    label = pen.canvas.label(thing.part_name or "fruit", 1.9)
    radius = mouth * 0.31
    for x, y in ((-0.34, 0.16), (0.36, 0.17), (0.0, 0.42), (-0.62, 0.02), (0.64, 0.02), (-0.18, 0.06), (0.22, 0.05)):
        colour = pen.colour(thing.part_colour or "red", 0.25, 0.8)
        at = (x * mouth * 0.95 + rng.uniform(-0.02, 0.02), top + y * mouth)
        pen.canvas.darken(pen.mask(oval(at[0], at[1] - 0.03, radius * 1.12, radius * 1.1)), 0.35)
        _fruit(pen, (thing.part or "apples").removesuffix("s"), at[0], at[1], radius, colour, label)


def draw_fruit(pen: Pen, label: int) -> None:
    """One piece of fruit lying on the table."""
    half = 0.5 if pen.thing.kind != "lemon" else 0.62
    _shadow(pen, half * 0.85, 0.75)
    radius = 0.34 if pen.thing.kind == "pear" else 0.5
    _fruit(pen, pen.thing.kind, 0.0, radius * 0.9, radius, pen.colour(pen.thing.colour, 0.25, 0.8), label)


def _fruit(pen: Pen, kind: str, x: float, y: float, radius: float, colour: np.ndarray, label: int) -> None:
    """Fruit of one kind around (x, y), in the thing's coordinates."""
    balls = {
        "apple": [(-0.14, 0.05, 0.86), (0.14, 0.05, 0.86), (0.0, -0.1, 0.88)],
        "pear": [(0.0, 0.0, 1.0), (0.02, 0.5, 0.78), (0.06, 0.95, 0.55), (0.09, 1.25, 0.42)],
        "lemon": [(-0.45, 0.0, 0.72), (-0.15, 0.02, 0.84), (0.15, 0.02, 0.84), (0.45, 0.0, 0.72),
                  (0.95, 0.0, 0.3), (-0.95, 0.0, 0.26)],
    }.get(kind, [(0.0, 0.0, 1.0)])  # fmt: skip
    shine = {"orange": 0.35, "lemon": 0.35, "plum": 0.5}.get(kind, 0.75)
    bumps = 0.006 if kind in ("orange", "lemon") else 0.0
    circles = [(x + bx * radius, y + by * radius, br * radius) for bx, by, br in balls]
    pen.bulge(circles, colour, label, fall=0.25, gloss=shine, leafy=bumps)
    high = {"pear": 1.62, "lemon": 0.0}.get(kind, 0.86)
    if high and kind != "orange":
        stem = [(x + 0.02 * radius, y + (high - 0.1) * radius), (x + 0.16 * radius, y + (high + 0.28) * radius)]
        pen.line(stem, 0.09 * radius, np.array([0.3, 0.2, 0.12], np.float32), None)
