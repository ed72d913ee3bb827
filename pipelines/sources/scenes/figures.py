"""People."""

import numpy as np

from pipelines.sources.scenes.canvas import oval, smooth
from pipelines.sources.scenes.palette import Colour
from pipelines.sources.scenes.pen import Pen

_SKIN = np.array([[0.96, 0.80, 0.69], [0.87, 0.67, 0.52], [0.62, 0.43, 0.31], [0.42, 0.28, 0.20]], np.float32)


def draw_person(pen: Pen, label: int) -> None:
    """A standing person in a coat, a dress or a jacket, perhaps with a hat or an umbrella."""
    rng, thing = pen.rng, pen.thing
    cloth = pen.colour(thing.colour, 0.2, 0.85)
    skin = (_SKIN[rng.integers(len(_SKIN))] * pen.canvas.light.tint).astype(np.float32)
    hair = (
        (
            np.array([[0.18, 0.12, 0.1], [0.4, 0.26, 0.14], [0.78, 0.6, 0.32], [0.6, 0.6, 0.62]], np.float32)[
                rng.integers(4)
            ]
        )
        * pen.canvas.light.tint
    )
    body = pen.canvas.label("person", 2.0)
    pen.cast(0.28, 0.75)
    trousers = pen.colour(("brown", "grey", "blue", "black")[int(rng.integers(4))], 0.0, 0.5)
    legs = skin if thing.clothing == "dress" else trousers
    for x in (-0.055, 0.055):
        pen.line([(x, 0.46), (x * 1.1, 0.22), (x * 1.15, 0.02)], 0.085, legs, body, end=0.06)
        pen.fill(pen.mask(oval(x * 1.15 + 0.02, 0.012, 0.05, 0.022)), pen.colour("brown", 0.0, 0.2), body)
    if thing.part == "umbrella":
        pen.line([(0.17, 0.48), (0.14, 1.0)], 0.016, pen.colour("brown", 0.0, 0.3), body)
    if rng.random() < 0.5:
        pen.bulge(
            [(0, 0.87, 0.078), (-0.03, 0.8, 0.06), (0.03, 0.78, 0.055), (0, 0.76, 0.06)], hair.astype(np.float32), body
        )
    hem, wide = {"coat": (0.26, 0.15), "dress": (0.2, 0.21), "jacket": (0.42, 0.115)}[thing.clothing]
    waist = 0.085 if thing.clothing == "dress" else 0.1
    right = smooth([(0.04, 0.775), (0.115, 0.73), (waist, 0.55), (wide * 0.9, (hem + 0.5) / 2), (wide, hem)])
    outline = np.concatenate([right, [(0.0, hem - 0.012)], (right * (-1, 1))[::-1]])
    mask = pen.mask(outline)
    height, width = mask.alpha.shape
    folds = (
        np.sin(np.linspace(0, 5 * np.pi, width, dtype=np.float32))[None, :]
        * np.linspace(0, 0.3, height, dtype=np.float32)[:, None]
    )
    pen.fill(mask, cloth, label, across=0.85, down=0.2, texture=folds)
    if thing.clothing == "coat":
        pen.line([(0.01, 0.74), (0.015, hem)], 0.012, (cloth * 0.6).astype(np.float32), None)
        pen.line([(-0.1, 0.53), (0.1, 0.53)], 0.022, (cloth * 0.6).astype(np.float32), None)
    for x in (-1, 1):
        raised = thing.part == "umbrella" and x == 1
        hand = (0.165, 0.66) if raised else (0.15 * x, 0.44)
        elbow = (0.18, 0.57) if raised else (0.155 * x, 0.58)
        if raised:
            pen.line([(0.095, 0.735), elbow], 0.065, cloth, label, end=0.055)
            pen.line([(elbow[0] - 0.015, elbow[1] - 0.015), hand], 0.055, cloth, label, end=0.05)
        else:
            pen.line(smooth([(0.095 * x, 0.735), elbow, hand]), 0.07, cloth, label, end=0.05)
        pen.bulge([(*hand, 0.026)], skin, body)
    pen.line([(0, 0.82), (0, 0.76)], 0.05, skin, body)
    pen.bulge([(0, 0.875, 0.062), (0, 0.85, 0.054)], skin, body)
    _head(pen, hair.astype(np.float32), body)


def _head(pen: Pen, hair: Colour, body: int) -> None:
    """Hair, and the hat or umbrella over it."""
    thing = pen.thing
    top = smooth(
        [(-0.066, 0.87), (-0.06, 0.925), (0, 0.95), (0.06, 0.925), (0.066, 0.87), (0.03, 0.915), (-0.03, 0.91)], True
    )
    pen.fill(pen.mask(top), hair, body, across=0.6)
    if thing.part is None or thing.part_colour is None:
        return
    label = pen.canvas.label(thing.part_name or thing.part, 1.8)
    colour = pen.colour(thing.part_colour, 0.25, 0.9)
    if thing.part == "hat":
        crown = smooth([(-0.07, 0.92), (-0.06, 0.99), (0, 1.01), (0.06, 0.99), (0.07, 0.92)])
        pen.fill(pen.mask(crown, oval(0, 0.92, 0.14, 0.026)), colour, label, across=0.7, down=0.2)
        return
    dome = smooth([(-0.24, 0.93), (-0.16, 1.05), (0.12, 1.12), (0.4, 1.05), (0.48, 0.93)])
    rim = smooth([(0.48, 0.93), (0.36, 0.96), (0.24, 0.92), (0.12, 0.95), (0.0, 0.92), (-0.12, 0.96), (-0.24, 0.93)])
    mask = pen.mask(np.concatenate([dome, rim]))
    ribs = 0.25 * np.sin(np.linspace(0, 4 * np.pi, mask.alpha.shape[1], dtype=np.float32))[None, :]
    pen.fill(mask, colour, label, across=0.6, down=0.45, texture=np.broadcast_to(ribs, mask.alpha.shape))
