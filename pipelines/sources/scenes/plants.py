"""Trees and bushes."""

import numpy as np

from pipelines.sources.scenes.canvas import oval
from pipelines.sources.scenes.pen import Pen


def draw_tree(pen: Pen, label: int) -> None:
    """A tree with a round crown of leaves."""
    rng = pen.rng
    leaves = pen.colour(pen.thing.colour, 0.2, 0.8)
    bark = pen.colour("brown", 0.0, 0.5)
    pen.cast(0.5, 0.8)
    lean = rng.uniform(-0.04, 0.04)
    trunk = [(0, -0.01), (lean * 0.5, 0.2), (lean, 0.5)]
    pen.line(trunk, 0.085, bark, pen.canvas.label("tree trunk", 0.5), end=0.04)
    for reach in (-0.16, 0.17):
        pen.line([(lean * 0.6, 0.28), (lean + reach, 0.52)], 0.035, bark, None, end=0.015)
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.uniform(0, 1)
    wide, tall = rng.uniform(0.2, 0.28), rng.uniform(0.17, 0.22)
    crown = [
        (
            lean + wide * np.cos(a) * rng.uniform(0.8, 1.1),
            0.65 + tall * np.sin(a) * rng.uniform(0.8, 1.1),
            rng.uniform(0.11, 0.15),
        )
        for a in angles
    ]
    inner = [(lean + rng.uniform(-0.12, 0.12), rng.uniform(0.55, 0.78), 0.16) for _ in range(4)]
    pen.bulge([*crown, *inner], leaves, label, rough=0.03, leafy=0.012, fall=0.3)


def draw_pine(pen: Pen, label: int) -> None:
    """A conifer of hanging tiers."""
    rng = pen.rng
    needles = pen.colour(pen.thing.colour, 0.0, 0.55)
    pen.cast(0.35, 0.8)
    pen.line([(0, -0.01), (0, 0.2)], 0.06, pen.colour("brown", 0.0, 0.4), pen.canvas.label("tree trunk", 0.5))
    tiers = 5
    for tier in range(tiers):
        low = 0.1 + 0.76 * tier / tiers
        half = 0.27 * (1 - tier / tiers) + 0.05
        high = min(1.0, low + 0.34)
        count = 7
        rim = []
        for i in range(count * 2 + 1):
            across = -1 + i / count
            drop = (0.025 if i % 2 else -0.015) + 0.05 * across**2 * -1 + rng.uniform(-0.01, 0.01)
            rim.append((half * across, low + 0.02 + drop))
        mask = pen.mask([*rim, (0.015, high), (-0.015, high)])
        pen.fill(mask, needles, label, across=0.55, down=0.45)


def draw_bush(pen: Pen, label: int) -> None:
    """A low round bush."""
    rng = pen.rng
    pen.cast(1.1, 0.6)
    balls = [(x, rng.uniform(0.3, 0.45), rng.uniform(0.3, 0.42)) for x in (-0.45, -0.2, 0.1, 0.3, 0.5)]
    top = [(rng.uniform(-0.2, 0.2), 0.6, 0.36)]
    pen.bulge([*balls, *top], pen.colour(pen.thing.colour, 0.1, 0.7), label, rough=0.06, leafy=0.02, fall=0.35)


def draw_flowers(pen: Pen, label: int, mouth: float, colour: str) -> None:
    """A bunch of flowers above a mouth at height `mouth`, with stems and leaves."""
    rng = pen.rng
    stem = pen.colour("green", 0.1, 0.6)
    leaf_label = pen.canvas.label("leaves", 0.6)
    places = ((-0.42, 0.38), (0.42, 0.36), (-0.2, 0.68), (0.22, 0.7), (0.0, 0.36), (0.0, 0.92))
    heads = [(x + rng.uniform(-0.05, 0.05), mouth + y + rng.uniform(-0.05, 0.05)) for x, y in places]
    for x, y in heads:
        pen.line([(0.1 * x, mouth - 0.05), (0.5 * x, mouth + 0.5 * (y - mouth)), (x, y)], 0.025, stem, leaf_label)
    for i in range(7):
        turn = rng.uniform(-1.1, 1.1)
        x, y = 0.6 * rng.uniform(-0.6, 0.6), mouth + rng.uniform(0.08, 0.4)
        pen.fill(pen.mask(oval(x, y, 0.05, 0.17, turn)), stem, leaf_label, across=0.6, level=0.8 + 0.05 * i)
    petals = pen.colour(colour, 0.3, 0.9)
    for x, y in heads:
        size = rng.uniform(0.9, 1.1)
        ring = [
            (x + 0.1 * size * np.cos(a), y + 0.1 * size * np.sin(a), 0.085 * size) for a in np.arange(6) * 1.047 + x
        ]
        pen.bulge(ring, petals, label, fall=0.2, rough=0.01)
        heart = pen.colour("orange" if colour == "yellow" else "yellow", 0.2, 0.5)
        pen.bulge([(x, y, 0.05 * size)], heart, None)
