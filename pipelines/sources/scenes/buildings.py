"""Houses, churches, towers and what they are made of."""

import numpy as np

from pipelines.sources.scenes.canvas import Mask, oval
from pipelines.sources.scenes.noise import Field, fractal_noise
from pipelines.sources.scenes.palette import Colour
from pipelines.sources.scenes.pen import Pen


def draw_building(pen: Pen, label: int) -> None:
    """A house, barn or church from a corner, or a house of a row from the front."""
    thing = pen.thing
    walls = pen.colour(thing.colour, 0.2, 0.9)
    roof = pen.colour(thing.part_colour or "brown", 0.1, 0.7)
    if thing.style:
        _front(pen, walls, roof, label)
        return
    pen.cast(1.3, 1.0)
    if thing.kind == "church":
        _church(pen, walls, roof, label)
    else:
        _house(pen, walls, roof, label)


def _levels(pen: Pen, walls: Colour, front_share: float) -> tuple[float, float]:
    """Factors on the colour of the front and of the side, whose mean over both is 1."""
    shares = (front_share, 1 - front_share) if pen.side < 0 else (1 - front_share, front_share)
    # A wall that is nearly white cannot grow much lighter in the sun.
    lit = min(1 + 0.5 * pen.canvas.light.strength * shares[1], 0.98 / float(walls.max()))
    shade = (1 - lit * shares[0]) / shares[1]
    shade = min(shade, 1 - 0.2 * pen.canvas.light.strength)
    return (lit, shade) if pen.side < 0 else (shade, lit)


def _house(pen: Pen, walls: Colour, roof: Colour, label: int) -> None:
    """Gable to the left of the corner, long side to the right; local x grows to the long side."""
    barn = pen.thing.kind == "barn"
    eaves, ridge = (0.46, 0.9) if barn else (pen.rng.uniform(0.5, 0.58), pen.rng.uniform(0.9, 0.96))
    left, corner, right = -0.68, -0.08 if not barn else 0.0, 0.68
    low, skew = 0.045, 0.03
    gable = [(left, low), (corner, 0), (corner, eaves), ((left + corner) / 2, ridge), (left, eaves + skew)]
    side = [(corner, 0), (right, low), (right, eaves + skew), (corner, eaves)]
    lit, shade = _levels(pen, walls, 0.52)
    for part, level in ((gable, lit), (side, shade)):
        mask = pen.mask(part)
        pen.fill(mask, walls, label, level=level, down=0.12, texture=_courses(mask, pen, 0.06))
    _chimney(pen, 0.3, ridge + 0.1, ridge - 0.2)
    top = (left + corner) / 2
    slab = [
        (corner + 0.03, eaves - 0.06),
        (right + 0.05, eaves + skew - 0.03),
        (right - 0.28, ridge - 0.02),
        (top, ridge + 0.025),
    ]
    verge = [(left - 0.05, eaves - 0.02), (top, ridge + 0.025), (top + 0.04, ridge - 0.02), (left + 0.0, eaves - 0.05)]
    roof_label = pen.canvas.label(pen.thing.part_name or "roof", 1.6)
    under = pen.mask([(corner, eaves), (right, eaves + skew), (right, eaves + skew - 0.08), (corner, eaves - 0.1)])
    pen.canvas.darken(under, 0.45, 0.004 * pen.canvas.unit)
    mask = pen.mask(slab)
    pen.fill(
        mask,
        roof,
        roof_label,
        level=1.0 + 0.12 * (1 if pen.side > 0 else -1),
        down=0.2,
        texture=_courses(mask, pen, 0.08, 0.4),
    )
    pen.fill(pen.mask(verge), roof, roof_label, level=0.85)
    if barn:
        _door(pen, top, low * 0.5, 0.26, 0.34)
        _window(pen, top, 0.62, 0.09, 0.1)
    else:
        _door(pen, corner - 0.17, 0.012, 0.13, 0.3)
        _window(pen, left + 0.16, 0.26, 0.12, 0.16)
        _window(pen, top, 0.58, 0.11, 0.15)
    for x in (0.14, 0.46):
        _window(pen, x, 0.27 + low * x, 0.13, 0.17)


def _front(pen: Pen, walls: Colour, roof: Colour, label: int) -> None:
    """One house of a street, as wide as its share of the row."""
    half = 0.455 / pen.thing.style * pen.canvas.width / pen.scale
    eaves = 0.72
    mask = pen.mask([(-half, 0), (half, 0), (half, eaves), (-half, eaves)])
    pen.fill(mask, walls, label, across=0.2, down=0.12, texture=_courses(mask, pen, 0.05))
    roof_label = pen.canvas.label(pen.thing.part_name or "roof", 1.2)
    gabled = pen.rng.random() < 0.5
    peak = [(0.0, 1.0)] if gabled else [(half * 0.8, 0.95), (-half * 0.8, 0.95)]
    pen.canvas.darken(pen.mask([(-half, eaves - 0.05), (half, eaves - 0.05), (half, eaves), (-half, eaves)]), 0.4)
    mask = pen.mask([(-half - 0.02, eaves - 0.01), (half + 0.02, eaves - 0.01), *peak])
    pen.fill(mask, roof, roof_label, down=0.25, across=0.2, texture=_courses(mask, pen, 0.07, 0.4))
    _door(pen, -half * 0.4, 0.0, 0.16, 0.28)
    for x in (-half * 0.5, half * 0.5):
        _window(pen, x, 0.54, 0.15, 0.17)
    _window(pen, half * 0.45, 0.22, 0.16, 0.18)


def _church(pen: Pen, walls: Colour, roof: Colour, label: int) -> None:
    """A nave with a steeple at its front."""
    lit, shade = _levels(pen, walls, 0.4)
    roof_label = pen.canvas.label(pen.thing.part_name or "roof", 1.6)
    nave = pen.mask([(-0.08, 0.0), (0.52, 0.04), (0.52, 0.34), (-0.08, 0.34)])
    pen.fill(nave, walls, label, level=shade, down=0.12, texture=_courses(nave, pen, 0.05))
    slab = pen.mask([(-0.1, 0.32), (0.56, 0.33), (0.42, 0.55), (-0.1, 0.56)])
    pen.fill(slab, roof, roof_label, down=0.2, texture=_courses(slab, pen, 0.06, 0.4))
    front = pen.mask([(-0.34, 0.02), (-0.1, 0.0), (-0.1, 0.66), (-0.34, 0.66)])
    pen.fill(front, walls, label, level=lit, down=0.12, texture=_courses(front, pen, 0.05))
    flank = pen.mask([(-0.1, 0.0), (0.0, 0.01), (0.0, 0.66), (-0.1, 0.66)])
    pen.fill(flank, walls, label, level=shade, down=0.12)
    for outline, level in (
        ([(-0.37, 0.65), (-0.09, 0.64), (-0.17, 0.99)], 1 + 0.2 * np.sign(-pen.side)),
        ([(-0.1, 0.64), (0.03, 0.65), (-0.17, 0.99)], 1 - 0.2 * np.sign(-pen.side)),
    ):
        pen.fill(pen.mask(outline), roof, roof_label, level=float(level), down=0.15)
    dark = pen.colour("brown", 0.0, 0.3)
    pen.line([(-0.17, 0.97), (-0.17, 1.08)], 0.014, dark, roof_label)
    pen.line([(-0.205, 1.045), (-0.135, 1.045)], 0.014, dark, roof_label)
    _door(pen, -0.22, 0.01, 0.11, 0.2)
    _window(pen, -0.22, 0.48, 0.08, 0.14, arched=True)
    for x in (0.12, 0.26, 0.4):
        _window(pen, x, 0.19, 0.06, 0.14, arched=True)


def draw_tower(pen: Pen, label: int) -> None:
    """A round tower, lighthouse or windmill."""
    thing = pen.thing
    walls = pen.colour(thing.colour, 0.2, 0.9)
    roof = pen.colour(thing.part_colour or "grey", 0.1, 0.7)
    pen.cast(0.36, 0.9)
    foot, head, top = {"tower": (0.17, 0.15, 0.72), "lighthouse": (0.15, 0.095, 0.76), "windmill": (0.2, 0.125, 0.66)}[
        thing.kind
    ]
    bend = np.linspace(0, np.pi, 9)
    foot_line = [(-foot * np.cos(a), -0.025 * np.sin(a)) for a in bend]
    mask = pen.mask([(-head, top), *foot_line, (head, top)])
    pen.fill(mask, walls, label, texture=_round(mask, pen) + _courses(mask, pen, 0.045))
    roof_label = pen.canvas.label(thing.part_name or "roof", 1.6)
    if thing.kind == "lighthouse":
        pen.fill(
            pen.mask([(-0.12, top - 0.01), (0.12, top - 0.01), (0.12, top + 0.025), (-0.12, top + 0.025)]),
            roof,
            roof_label,
        )
        glow = np.array([1.0, 0.93, 0.62], np.float32)
        pen.fill(
            pen.mask([(-0.065, top + 0.02), (0.065, top + 0.02), (0.065, 0.88), (-0.065, 0.88)]), glow, None, across=0.4
        )
        pen.line([(0, top + 0.02), (0, 0.88)], 0.012, roof, None)
        cap = [(-0.09, 0.87), (0.09, 0.87), (0.02, 0.98), (-0.02, 0.98)]
    elif thing.kind == "windmill":
        cap = [(-0.15, top - 0.015), (0.15, top - 0.015), (0.11, top + 0.08), (0.0, top + 0.14), (-0.11, top + 0.08)]
    else:
        cap = [(-0.2, top - 0.02), (0.2, top - 0.02), (0.0, 1.0)]
    mask = pen.mask(cap)
    pen.fill(mask, roof, roof_label, texture=_round(mask, pen))
    pen.canvas.darken(pen.mask([(-head, top - 0.05), (head, top - 0.05), (head, top - 0.02), (-head, top - 0.02)]), 0.4)
    _door(pen, 0.0, -0.02, 0.1, 0.17)
    for y in (0.34, 0.54):
        _window(pen, 0.03, y, 0.055, 0.085, arched=True)
    if thing.kind == "windmill":
        _sails(pen, top + 0.03)


def _sails(pen: Pen, hub: float) -> None:
    """The four wings of a windmill."""
    start = pen.rng.uniform(0.2, 1.3)
    wood, cloth = pen.colour("brown", 0.0, 0.3), pen.colour("white", 0.2, 0.9)
    label = pen.canvas.label("wings", 1.0)
    for angle in start + np.arange(4) * np.pi / 2:
        out = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-out[1], out[0]]) * 0.075
        foot, tip = np.array([0, hub]) + 0.07 * out, np.array([0, hub]) + 0.4 * out
        pen.fill(pen.mask([foot, tip, tip + across, foot + across]), cloth, label, across=0.2)
        pen.line([(0, hub), tuple(tip)], 0.018, wood, label)


def _round(mask: Mask, pen: Pen) -> Field:
    """Shade of a round wall, from the width of each row of its mask."""
    columns = np.arange(mask.alpha.shape[1], dtype=np.float32)[None, :]
    width = np.maximum(mask.alpha.sum(1, keepdims=True), 1)
    middle = (mask.alpha * columns).sum(1, keepdims=True) / width
    turn = np.clip(2 * (columns - middle) / width, -1, 1)
    front = np.sqrt(1 - turn**2)
    side = np.float32(pen.canvas.light.side)
    return np.asarray(0.9 * turn * side + 0.5 * front - 0.45, np.float32)


def _courses(mask: Mask, pen: Pen, pitch: float, strength: float = 0.22) -> Field:
    """Rows of bricks, boards or tiles: seams every `pitch` of the height, none where too fine to see."""
    pitch_px = pitch * pen.scale
    fade = np.clip((pitch_px - 2.5) / 3, 0, 1)
    height, width = mask.alpha.shape
    rows = (np.arange(height, dtype=np.float32)[:, None] + mask.top) / max(pitch_px, 1e-3)
    seams = np.cos(2 * np.pi * rows) ** 8
    grain = fractal_noise(height, width, max(1.0, pitch_px), pen.thing.seed % 9967, 2, stretch=2.0)
    return np.asarray(0.22 * grain - np.float32(strength * fade) * seams, np.float32)


def _chimney(pen: Pen, x: float, top: float, bottom: float) -> None:
    pen.fill(
        pen.mask([(x, bottom), (x + 0.09, bottom), (x + 0.09, top), (x, top)]),
        pen.colour("brown", 0.1, 0.6),
        None,
        across=0.5,
    )


def _window(pen: Pen, x: float, y: float, width: float, height: float, arched: bool = False) -> None:
    """A window around (x, y), lit from within at night."""
    half = width / 2
    top = (
        oval(x, y + height / 2, half, half)[:21] if arched else [(x + half, y + height / 2), (x - half, y + height / 2)]
    )
    pane = [(x - half, y - height / 2), (x + half, y - height / 2), *map(tuple, top)]
    if not arched:
        frame = 0.018
        pen.fill(
            pen.mask([(x - half - frame, y - height / 2 - frame), (x + half + frame, y - height / 2 - frame),
                      (x + half + frame, y + height / 2 + frame), (x - half - frame, y + height / 2 + frame)]),
            (0.93 * pen.canvas.light.tint).astype(np.float32), None,
        )  # fmt: skip
    glass = np.array([1.0, 0.82, 0.42] if pen.canvas.light.tint.max() < 0.96 else [0.22, 0.27, 0.35], np.float32)
    pen.fill(pen.mask(pane), glass, None, down=-0.3, across=0.3)
    if not arched:
        bar = (0.93 * pen.canvas.light.tint).astype(np.float32)
        pen.line([(x, y - height / 2), (x, y + height / 2)], 0.012, bar, None)
        pen.line([(x - half, y), (x + half, y)], 0.012, bar, None)


def _door(pen: Pen, x: float, y: float, width: float, height: float) -> None:
    """A wooden door standing at (x, y)."""
    half = width / 2
    mask = pen.mask([(x - half, y), (x + half, y), (x + half, y + height), (x - half, y + height)])
    pen.fill(mask, pen.colour("brown", 0.0, 0.5), None, down=0.2)
