"""Animals on four legs."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipelines.sources.scenes.canvas import oval, smooth
from pipelines.sources.scenes.pen import Pen


@dataclass(frozen=True)
class _Shape:
    """An animal of height 1 that looks to the right.

    Attributes:
        trunk: x, y and radius of balls from the rump to the mouth.
        skull: index of the ball that has the ears and the eye.
        leg: thickness of the legs.
        tail: line of the tail, if it is visible.
        ears: outlines of the ears around the skull.
    """

    trunk: tuple[tuple[float, float, float], ...]
    skull: int
    leg: float
    tail: tuple[tuple[float, float], ...] = ()
    ears: tuple[tuple[tuple[float, float], ...], ...] = ()


_SHAPES = {
    "dog": _Shape(
        trunk=(
            (-0.38, 0.52, 0.17), (-0.15, 0.5, 0.16), (0.1, 0.52, 0.17), (0.25, 0.56, 0.18),
            (0.38, 0.72, 0.13), (0.45, 0.84, 0.145), (0.58, 0.79, 0.075), (0.66, 0.78, 0.06),
        ),
        skull=5,
        leg=0.075,
        tail=((-0.5, 0.6), (-0.64, 0.75), (-0.66, 0.9)),
        ears=(((-0.08, 0.08), (-0.13, -0.12), (-0.02, 0.04)),),
    ),
    "cat": _Shape(
        trunk=(
            (-0.34, 0.5, 0.16), (-0.1, 0.48, 0.155), (0.15, 0.5, 0.16),
            (0.3, 0.62, 0.12), (0.4, 0.76, 0.16), (0.48, 0.72, 0.1),
        ),
        skull=4,
        leg=0.06,
        tail=((-0.46, 0.55), (-0.66, 0.62), (-0.7, 0.95)),
        ears=(((-0.13, 0.08), (-0.1, 0.25), (0.0, 0.13)), ((0.02, 0.13), (0.1, 0.25), (0.13, 0.08))),
    ),
    "horse": _Shape(
        trunk=(
            (-0.42, 0.56, 0.17), (-0.2, 0.54, 0.165), (0.05, 0.54, 0.165), (0.25, 0.57, 0.17), (0.36, 0.7, 0.12),
            (0.43, 0.79, 0.105), (0.49, 0.88, 0.1), (0.58, 0.84, 0.08), (0.67, 0.77, 0.06),
        ),
        skull=6,
        leg=0.062,
        tail=((-0.55, 0.66), (-0.68, 0.5), (-0.68, 0.2)),
        ears=(((-0.05, 0.07), (-0.04, 0.2), (0.03, 0.08)),),
    ),
    "cow": _Shape(
        trunk=(
            (-0.48, 0.55, 0.2), (-0.25, 0.52, 0.22), (0.05, 0.52, 0.22), (0.28, 0.56, 0.2),
            (0.46, 0.68, 0.13), (0.58, 0.72, 0.13), (0.68, 0.65, 0.085),
        ),
        skull=5,
        leg=0.075,
        tail=((-0.66, 0.65), (-0.72, 0.45), (-0.7, 0.25)),
        ears=(((-0.06, 0.1), (-0.18, 0.14), (-0.06, 0.03)),),
    ),
    "sheep": _Shape(
        trunk=(
            (-0.42, 0.55, 0.22), (-0.2, 0.62, 0.24), (0.08, 0.62, 0.24),
            (0.28, 0.56, 0.22), (-0.1, 0.48, 0.22), (0.15, 0.48, 0.22),
        ),
        skull=3,
        leg=0.07,
    ),
}  # fmt: skip


def draw_animal(pen: Pen, label: int) -> None:
    """Draw an animal from its side, looking to where the thing faces."""
    kind = pen.thing.kind
    shape = _SHAPES[kind]
    coat = pen.colour(pen.thing.colour, 0.2, 0.8)
    dark = (coat * 0.7).astype(np.float32)
    pen.cast(0.9, 0.55)
    for x, tone in ((-0.3, dark), (0.33, dark), (-0.42, coat), (0.22, coat)):
        pen.line([(x, 0.5), (x - 0.02, 0.25), (x, 0.01)], shape.leg * 1.7, tone, label, end=shape.leg)
    if shape.tail:
        pen.line(
            smooth(shape.tail), 0.04 if kind == "cow" else 0.07, dark if kind == "horse" else coat, label, end=0.05
        )
    if kind == "sheep":
        _fleece(pen, shape, label)
        return
    trunk = []
    for start, end in pairwise(np.array(shape.trunk)):
        trunk += [start + t * (end - start) for t in np.linspace(0, 1, 8, endpoint=False)]
    pen.bulge([*trunk, shape.trunk[-1]], coat, label, leafy=0.002, fall=0.2)
    x, y, radius = shape.trunk[shape.skull]
    for ear in shape.ears:
        pen.fill(pen.mask([(x + right, y + up) for right, up in ear]), dark, label)
    if kind == "horse":
        mane = smooth([(0.45, 1.0), (0.36, 0.88), (0.25, 0.74), (0.3, 0.68), (0.42, 0.84), (0.5, 0.97)], True)
        pen.fill(pen.mask(mane), (coat * 0.5).astype(np.float32), label, across=0.3)
    if kind == "cow":
        horn = np.array([0.9, 0.88, 0.8], np.float32)
        pen.line(smooth([(0.56, 0.82), (0.6, 0.92), (0.68, 0.94)]), 0.035, horn, None, end=0.015)
    eye = np.array([0.08, 0.07, 0.07], np.float32)
    pen.fill(pen.mask(oval(x + 0.35 * radius, y + 0.2 * radius, 0.02, 0.022)), eye, None)


def _fleece(pen: Pen, shape: _Shape, label: int) -> None:
    """Draw the woolly trunk of a sheep, and its face, which is black on a white sheep."""
    coat = pen.colour(pen.thing.colour, 0.2, 0.8)
    face = pen.colour("black", 0.3, 1.0) if pen.thing.colour == "white" else coat
    pen.bulge(shape.trunk, coat, label, rough=0.035, leafy=0.012, fall=0.25)
    pen.bulge([(0.5, 0.7, 0.12), (0.58, 0.62, 0.08)], face, label)
    pen.fill(pen.mask(oval(0.4, 0.76, 0.09, 0.035, 0.4)), face, label)
