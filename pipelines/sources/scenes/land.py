"""Mountains, hills, forests on the horizon, and the ground."""

import numpy as np
from numpy.typing import NDArray

from pipelines.sources.scenes.canvas import Canvas, Mask, oval
from pipelines.sources.scenes.description import Ground, Ridge
from pipelines.sources.scenes.light import named, relief, settled, shaded
from pipelines.sources.scenes.noise import Field, fractal_noise, ground_noise
from pipelines.sources.scenes.palette import Colour, leaning


def paint_ridge(canvas: Canvas, ridge: Ridge, haze: Colour) -> None:
    """A range of mountains, hills or trees, fading into the air at its foot."""
    rng = np.random.default_rng(ridge.seed)
    unit, seed = canvas.unit, ridge.seed % 99991
    base_px, height_px = ridge.base * canvas.height, ridge.height * canvas.height
    crest = base_px - height_px * _profile(ridge.kind, canvas.width, rng)
    mask = _below(canvas, crest, base_px + 0.06 * unit)
    if not mask.alpha.size:
        return
    height, width = mask.alpha.shape
    y, _ = mask.grid()
    up = np.clip((base_px - y) / height_px, 0, 1)
    label = canvas.label(ridge.name, 0.9 if ridge.kind == "mountains" else 0.6)
    if ridge.kind == "mountains":
        bumps = fractal_noise(height, width, 0.2 * unit, seed, 5, stretch=0.5, gain=0.45)
        swell = bumps * np.float32(0.026 * unit)
        # The slope of the crest continues downwards, so that the faces match the outline.
        slope = np.gradient(crest)[None, :].astype(np.float32)
        shade = 0.8 * relief(swell, canvas.light) + 0.5 * np.clip(slope * -canvas.light.side, -1, 1) * up - 0.2
    elif ridge.kind == "forest":
        bumps = fractal_noise(height, width, 0.035 * unit, seed, 3, stretch=0.7)
        shade = 0.6 * relief(bumps * np.float32(0.009 * unit), canvas.light) - 0.15 + 0.4 * up + 0.15 * bumps
    else:
        bumps = fractal_noise(height, width, 0.1 * unit, seed, 4, stretch=3.0)
        slope = np.gradient(crest)[None, :].astype(np.float32)
        shade = 0.25 * bumps + np.clip(-1.2 * slope * canvas.light.side, -0.4, 0.4) + 0.3 * (up - 0.4)
    night = float(canvas.light.tint.max()) < 0.9
    low, high = (0.0, 0.4) if night else (0.1, 0.6) if ridge.kind == "forest" else (0.45, 0.95)
    air = (np.float32(0.65 if ridge.kind != "forest" else 0.25) * (1 - up) ** 1.5)[..., None]
    if ridge.colour is None:
        rock = named(("blue", "grey", "purple")[seed % 3], rng, canvas.light, 0.3, 0.6)
        snow = named("white", rng, canvas.light, 0.4, 1.0)
        cover = np.clip((up - 0.42 + 0.22 * bumps) / 0.12, 0, 1)[..., None]
        colours = shaded(rock, shade, canvas.light)
        colours = colours + cover * (shaded(snow, shade * np.float32(0.8), canvas.light) - colours)
        colours = colours + air * (haze - colours)
    else:
        colour = leaning(named(ridge.colour, rng, canvas.light, low, high), ridge.colour, haze, 0.3)
        colours = shaded(colour, shade, canvas.light)
        colours = settled(colours + air * (haze - colours), mask.alpha, colour)
    canvas.paint(mask, np.asarray(colours, np.float32), label)


def _profile(kind: str, width: int, rng: np.random.Generator) -> Field:
    """Height of a crest over the width, (width,), 0.15 to 1."""
    x = (np.arange(width) + 0.5) / width
    smooth_steps = {"mountains": False, "hills": True, "forest": True}[kind]
    octaves, gain = {"mountains": (6, 0.46), "hills": (2, 0.35), "forest": (2, 0.3)}[kind]
    total = np.zeros(width)
    for octave in range(octaves):
        cells = (4 if kind == "mountains" else 2) * 2**octave
        at = (x * cells + rng.random()) % (cells + 1)
        knots = rng.random(cells + 3)
        part = at - np.floor(at)
        part = part * part * (3 - 2 * part) if smooth_steps else part
        below = at.astype(int)
        total += gain**octave * (knots[below] + part * (knots[below + 1] - knots[below]))
    total = (total - total.min()) / max(float(np.ptp(total)), 1e-6)
    profile = 0.25 + 0.75 * total
    if kind == "forest":
        crowns = rng.random(46) * 0.35
        at = x * 44
        near = at.astype(int)
        bump = 1 - (2 * (at - near) - 1) ** 2
        profile = 0.55 * profile + 0.25 + crowns[near] * np.sqrt(np.maximum(bump, 0))
        profile /= profile.max()
    return np.asarray(profile, np.float32)


def _below(canvas: Canvas, crest: Field, bottom_px: float) -> Mask:
    """The mask of everything between a crest, (width,) y in pixels, and the level `bottom_px`."""
    mask = canvas.frame(0, float(crest.min()), canvas.width, min(bottom_px, canvas.height))
    if mask.alpha.size:
        y, _ = mask.grid()
        steep = np.sqrt(1 + np.gradient(crest) ** 2)
        mask.alpha[...] = np.clip((y - crest[None, :]) / steep[None, :] + 0.5, 0, 1)
    return mask


def paint_ground(canvas: Canvas, ground: Ground, top: float, haze: Colour, seed: int, rolling: float = 0.012) -> None:
    """Paint the land below `top`, whose edge rises and falls by `rolling`; both are shares of the height."""
    rng = np.random.default_rng(seed + 2)
    unit, width = canvas.unit, canvas.width
    low, high = {"snow": (0.35, 1.0), "beach": (0.5, 1.0), "street": (0.3, 0.9)}.get(ground.kind, (0.25, 0.85))
    colour = named(ground.colour, rng, canvas.light, low, high)
    waves = _profile("hills", width, rng) - 0.5
    crest = (top * canvas.height - waves * rolling * canvas.height).astype(np.float32)
    mask = _below(canvas, crest, canvas.height)
    if not mask.alpha.size:
        return
    height = mask.alpha.shape[0]
    near = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    broad = ground_noise(height, width, unit, 5, seed % 60013, stretch=2.5)
    fine = ground_noise(height, width, unit, 24, seed % 60017, stretch=2.6)
    finer = ground_noise(height, width, unit, 50, seed % 60029, stretch=2.0)
    rough = {"meadow": 1.0, "field": 0.8, "snow": 0.3, "beach": 0.5, "street": 0.3}.get(ground.kind, 0.6)
    shade = 0.24 * broad + rough * (0.2 * fine + 0.22 * finer) - 0.35 * (near - 0.5)
    if ground.kind == "field":
        shade = shade + 0.55 * _rows(height, width, unit, rng)
    if ground.kind == "street":
        shade = shade - 0.5 * _cobbles(height, width, unit)
    colours = shaded(colour, shade, canvas.light)
    # Warm and cool patches, as land never has a single hue.
    hue = np.array([0.05, 0.02, -0.05], np.float32) * (0.3 if ground.kind in ("snow", "street") else 1.0)
    colours = colours + (broad * 0.8 + fine * 0.4)[..., None] * hue
    air = (0.45 * (1 - near) ** 3)[..., None]
    colours = settled(colours + air * (haze - colours), mask.alpha, colour)
    canvas.paint(mask, colours, canvas.label(ground.name, 0.4))
    if ground.path:
        _path(canvas, top, rng)


def _rows(height: int, width: int, unit: float, rng: np.random.Generator) -> Field:
    """Furrows that meet on the horizon: (height, width) in [-1, 1], fading where they are too fine to see."""
    vanish = rng.uniform(0.2, 0.8) * width
    y = (np.arange(height, dtype=np.float32)[:, None] + 1.0) / unit + 0.03
    x = (np.arange(width, dtype=np.float32)[None, :] - vanish) / unit
    period_px = unit / (4.5 * np.sqrt(1 + (x / y) ** 2) / y)
    fade = np.clip((period_px - 3) / 5, 0, 1)
    return np.asarray(np.sin(2 * np.pi * 4.5 * x / y) * fade, np.float32)


def _cobbles(height: int, width: int, unit: float) -> Field:
    """Seams between paving stones in perspective: (height, width) in [0, 1], none where too fine to see."""
    y = (np.arange(height, dtype=np.float32)[:, None] + 1.0) / unit + 0.05
    row = 9 * np.log(y)
    x = (np.arange(width, dtype=np.float32)[None, :] / unit - 0.5) / y * 4 + 0.5 * np.floor(row)
    fade = np.clip((y * unit / 9 - 2) / 4, 0, 1)
    seams = np.maximum(np.cos(np.pi * row) ** 10, np.cos(np.pi * x) ** 10)
    return np.asarray(seams * fade, np.float32)


def _path(canvas: Canvas, top: float, rng: np.random.Generator) -> None:
    """A path that winds to the horizon."""
    t = np.linspace(0, 1, 24)
    foot, bend, turns = rng.uniform(0.3, 0.7), rng.uniform(0.08, 0.2) * rng.choice((-1, 1)), rng.uniform(1.0, 1.8)
    y = canvas.height * (top + 0.015 + (1.03 - top) * t**1.5)
    x = canvas.width * (foot + bend * np.sin(turns * np.pi * (1 - t)) * np.sqrt(t))
    half = canvas.unit * (0.004 + 0.085 * t**1.6)
    mask = canvas.shape(np.concatenate([np.stack([x - half, y], 1), np.stack([x + half, y], 1)[::-1]]))
    if not mask.alpha.size:
        return
    colour = named("brown", rng, canvas.light, 0.7, 1.0)
    grain = fractal_noise(mask.alpha.shape[0], mask.alpha.shape[1], 0.04 * canvas.unit, int(rng.integers(9999)), 4, 3.0)
    canvas.paint(mask, shaded(colour, 0.3 * grain, canvas.light, mask.alpha), canvas.label("path", 0.5))


def paint_tufts(canvas: Canvas, ground: Ground, top: float, seed: int) -> None:
    """Dabs of grass all over a meadow, larger towards the viewer."""
    if ground.kind != "meadow":
        return
    rng = np.random.default_rng(seed + 4)
    colour = named(ground.colour, rng, canvas.light, 0.25, 0.8)
    for tone in (0.72, 1.2):
        dabs = []
        for x, y, size in rng.random((110, 3)):
            near = y**1.4
            foot = np.array([x * canvas.width, (top + 0.03 + (0.97 - top) * near) * canvas.height])
            tall = max(1.4, (0.01 + 0.035 * near) * (0.6 + 0.8 * size) * canvas.unit)
            dabs.append(
                foot
                + tall
                * np.array([[-0.55, 0], [-0.5, -0.6], [-0.2, -0.35], [0.05, -1], [0.2, -0.4], [0.6, -0.7], [0.5, 0]])
            )
        mask = canvas.shape(*dabs)
        canvas.paint(
            Mask(mask.top, mask.left, mask.alpha * np.float32(0.4)), np.clip(colour * tone, 0, 1).astype(np.float32)
        )


def paint_foreground(canvas: Canvas, ground: Ground, seed: int) -> None:
    """Blades of grass, and flowers, in the lowest part of the picture."""
    if ground.kind not in ("meadow", "snow"):
        return
    rng = np.random.default_rng(seed + 3)
    light, unit = canvas.light, canvas.unit
    colour = named(ground.colour if ground.kind == "meadow" else "brown", rng, light, 0.2, 0.7)
    count = 90 if ground.kind == "meadow" else 14
    for tone in (0.62, 1.25):
        blades = []
        for x, y, lean, tall in rng.random((count, 4)):
            foot = np.array([x * canvas.width, (0.9 + 0.14 * y) * canvas.height])
            tip = foot + np.array([(lean - 0.5) * 0.05, -(0.03 + 0.05 * tall)]) * unit
            bend = foot + (tip - foot) * 0.6 + np.array([(0.5 - lean) * 0.012 * unit, 0])
            half = np.array([max(0.5, 0.0035 * unit), 0])
            blades.append(np.stack([foot - half, bend - 0.6 * half, tip, bend + 0.6 * half, foot + half]))
        mask = canvas.shape(*blades)
        canvas.paint(
            Mask(mask.top, mask.left, mask.alpha * np.float32(0.8)), np.clip(colour * tone, 0, 1).astype(np.float32)
        )
    if ground.flowers is not None:
        _flowers(canvas, ground.flowers, rng)


def _flowers(canvas: Canvas, colour: str, rng: np.random.Generator) -> None:
    """Flowers in clusters, smaller towards the distance."""
    petals = named(colour, rng, canvas.light, 0.4, 1.0)
    label = canvas.label(f"{colour} flowers", 1.2)
    lit: list[NDArray[np.float64]] = []
    shade: list[NDArray[np.float64]] = []
    for x, y, size, slant in rng.random((46, 4)):
        near = 0.25 + 0.75 * y
        radius = max(1.1, (0.011 + 0.008 * size) * near * canvas.unit * 1.3)
        head = oval(x * canvas.width, (0.84 + 0.14 * y) * canvas.height, radius, radius * 0.78, slant)[::2]
        (lit if slant > 0.4 else shade).append(head)
    for heads, tone in ((shade, 0.88), (lit, 1.06)):
        canvas.paint(canvas.shape(*heads), np.clip(petals * tone, 0, 1).astype(np.float32), label)
