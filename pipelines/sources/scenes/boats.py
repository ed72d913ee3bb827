"""Sailing and rowing boats."""

import numpy as np

from pipelines.sources.scenes.canvas import smooth
from pipelines.sources.scenes.pen import Pen


def draw_boat(pen: Pen, label: int) -> tuple[int, ...]:
    """Draw a boat on the water; returns the labels of its parts, which the water reflects."""
    pen.canvas.darken(
        pen.canvas.padded(pen.mask([(-0.3, -0.01), (0.34, -0.01), (0.3, 0.02), (-0.3, 0.02)]), 3.0), 0.4, 1.0
    )
    return _sailing(pen, label) if pen.thing.kind == "sailboat" else _rowing(pen, label)


def _sailing(pen: Pen, label: int) -> tuple[int, ...]:
    hull = pen.colour(pen.thing.colour, 0.2, 0.9)
    cloth = pen.colour(pen.thing.part_colour or "white", 0.3, 1.0)
    mast = pen.canvas.label("mast", 0.6)
    sail = pen.canvas.label(pen.thing.part_name or "sail", 1.8)
    pen.line([(-0.02, 0.1), (-0.02, 1.0)], 0.018, pen.colour("brown", 0.0, 0.4), mast)
    full = pen.rng.uniform(0.03, 0.07)
    main = np.concatenate(
        [
            smooth([(-0.04, 0.96), (-0.22 - full, 0.6), (-0.4, 0.24)]),
            smooth([(-0.4, 0.24), (-0.2, 0.21), (-0.04, 0.22)]),
        ]
    )
    jib = np.concatenate(
        [smooth([(0.0, 0.9), (0.22 + full, 0.55), (0.38, 0.22)]), smooth([(0.38, 0.22), (0.2, 0.26), (0.0, 0.25)])]
    )
    for outline, level in ((main, 1 + 0.07 * np.sign(-pen.side)), (jib, 1 - 0.07 * np.sign(-pen.side))):
        mask = pen.mask(outline)
        pen.fill(mask, cloth, sail, level=float(level), across=0.7, down=0.2)
    body = np.concatenate(
        [
            smooth([(-0.44, 0.17), (0.0, 0.125), (0.52, 0.2)]),
            smooth([(0.52, 0.2), (0.4, 0.05), (0.28, 0.0), (-0.36, 0.0), (-0.44, 0.17)]),
        ]
    )
    pen.fill(pen.mask(body), hull, label, across=0.3, down=0.5)
    rim = smooth([(-0.45, 0.175), (0.0, 0.13), (0.53, 0.205)])
    pen.line(rim, 0.022, (0.5 * hull + 0.45).astype(np.float32), None)
    return (mast, sail, label)


def _rowing(pen: Pen, label: int) -> tuple[int, ...]:
    hull = pen.colour(pen.thing.colour, 0.2, 0.9)
    wood = pen.colour("brown", 0.4, 0.9)
    inside = pen.canvas.label("boat inside", 0.8)
    rim = np.concatenate(
        [smooth([(-1.3, 0.62), (0.0, 0.36), (1.35, 0.7)]), smooth([(1.35, 0.7), (0.0, 0.62), (-1.3, 0.62)])]
    )
    pen.fill(pen.mask(rim), wood, inside, level=0.75, down=-0.3)
    for x in (-0.6, 0.05, 0.65):
        pen.fill(pen.mask([(x, 0.45), (x + 0.16, 0.45), (x + 0.14, 0.62), (x + 0.02, 0.62)]), wood, inside)
    body = np.concatenate([smooth([(-1.32, 0.64), (-0.6, 0.42), (0.1, 0.4), (0.8, 0.52), (1.37, 0.73)]),
                           smooth([(1.37, 0.73), (1.15, 0.25), (0.85, 0.0), (-0.9, 0.0), (-1.15, 0.2), (-1.32, 0.64)]),
                           ])  # fmt: skip
    mask = pen.mask(body)
    seams = 0.25 * np.cos(np.linspace(0, 6 * np.pi, mask.alpha.shape[0], dtype=np.float32))[:, None] ** 6
    pen.fill(mask, hull, label, across=0.4, down=0.5, texture=np.broadcast_to(-seams, mask.alpha.shape))
    pen.line(
        smooth([(-1.33, 0.65), (-0.6, 0.43), (0.1, 0.41), (0.8, 0.53), (1.38, 0.74)]),
        0.06,
        (0.5 * wood + 0.4).astype(np.float32),
        None,
    )
    pen.line([(-0.2, 0.5), (-0.8, 0.12), (-1.25, -0.12)], 0.05, wood, None)
    return (inside, label)
