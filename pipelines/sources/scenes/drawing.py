"""Draws scenes at any size."""

import cv2
import numpy as np

from pipelines.sources.scenes.animals import draw_animal
from pipelines.sources.scenes.boats import draw_boat
from pipelines.sources.scenes.buildings import draw_building, draw_tower
from pipelines.sources.scenes.canvas import Canvas
from pipelines.sources.scenes.description import Indoors, Outdoors, Scene, Thing, promised_colour
from pipelines.sources.scenes.figures import draw_person
from pipelines.sources.scenes.land import paint_foreground, paint_ground, paint_ridge, paint_tufts
from pipelines.sources.scenes.light import Light
from pipelines.sources.scenes.noise import fractal_noise
from pipelines.sources.scenes.palette import Colour, towards
from pipelines.sources.scenes.pen import Pen
from pipelines.sources.scenes.plants import draw_bush, draw_pine, draw_tree
from pipelines.sources.scenes.sky import paint_fall, paint_mist, paint_sky, sky_light
from pipelines.sources.scenes.tableware import draw_fruit, draw_vessel, paint_room
from pipelines.sources.scenes.water import paint_water, reflect
from pipelines.sources.source import GroundTruth, Picture

_DRAW = {
    "tree": draw_tree, "pine tree": draw_pine, "bush": draw_bush,
    "house": draw_building, "barn": draw_building, "church": draw_building,
    "tower": draw_tower, "lighthouse": draw_tower, "windmill": draw_tower,
    "person": draw_person, "dog": draw_animal, "cat": draw_animal, "horse": draw_animal, "cow": draw_animal,
    "sheep": draw_animal,
    "apple": draw_fruit, "pear": draw_fruit, "orange": draw_fruit, "lemon": draw_fruit, "plum": draw_fruit,
    "bottle": draw_vessel, "vase": draw_vessel, "bowl": draw_vessel, "jug": draw_vessel, "cup": draw_vessel,
    "candle": draw_vessel,
}  # fmt: skip


def draw(scene: Scene, height_px: int, width_px: int) -> Picture:
    """Draw a scene.

    Args:
        scene: what to draw.
        height_px, width_px: size of the canvas; the scene spreads over any shape without distorting its things.

    Returns:
        The picture and its ground truth.
    """
    place = scene.place
    if isinstance(place, Indoors):
        canvas = _indoors(scene, place, height_px, width_px)
    else:
        canvas = _outdoors(scene, place, height_px, width_px)
    _grade(canvas, scene.seed)
    _keep_promises(canvas)
    return Picture(image=np.ascontiguousarray(np.clip(canvas.image, 0, 1), np.float32), truth=_truth(canvas))


def _indoors(scene: Scene, place: Indoors, height_px: int, width_px: int) -> Canvas:
    white = np.ones(3, np.float32)
    light = Light(
        scene.light_side, scene.light_height, np.array([1.0, 0.97, 0.88], np.float32),
        np.array([0.36, 0.36, 0.44], np.float32), white, 1.0,
    )  # fmt: skip
    canvas = Canvas(height_px, width_px, light, f"{place.wall} wall")
    paint_room(canvas, place, scene.seed)
    _draw_things(canvas, scene, scene.things)
    return canvas


def _outdoors(scene: Scene, place: Outdoors, height_px: int, width_px: int) -> Canvas:
    light = sky_light(place.sky, scene.light_side, scene.light_height)
    canvas = Canvas(height_px, width_px, light, f"{place.sky.colour} sky")
    haze = paint_sky(canvas, place.sky, place.horizon, scene.seed)
    for ridge in place.ridges:
        paint_ridge(canvas, ridge, haze)
    water = place.water
    if water is None:
        paint_ground(canvas, place.ground, place.horizon, haze, scene.seed)
        paint_tufts(canvas, place.ground, place.horizon, scene.seed)
        if place.sky.weather == "mist":
            paint_mist(canvas, place.horizon, haze, scene.seed)
        _draw_things(canvas, scene, scene.things)
    else:
        if water.kind == "lake" or water.bottom < 1:
            top = place.horizon if water.kind == "lake" else water.bottom - 0.03
            paint_ground(canvas, place.ground, top, haze, scene.seed, rolling=0.0 if water.kind == "sea" else 0.012)
        land = len(canvas.names) - 1
        _draw_things(canvas, scene, tuple(t for t in scene.things if t.y <= water.top))
        paint_water(canvas, water, place.sky, scene.seed)
        level = len(canvas.names) - 1
        if water.kind == "sea" and water.bottom < 1:
            canvas.depths[land] = level + 0.5
        if place.sky.weather == "mist":
            paint_mist(canvas, place.horizon, haze, scene.seed)
        for thing in sorted((t for t in scene.things if t.y > water.top), key=lambda t: t.y):
            if "boat" in thing.kind:
                _float(canvas, scene, thing, level, haze)
            else:
                _draw_things(canvas, scene, (thing,))
    if water is None or water.bottom < 1:
        paint_foreground(canvas, place.ground, scene.seed)
    paint_fall(canvas, place.sky, scene.seed)
    return canvas


def _saliency(scene: Scene, thing: Thing) -> float:
    """Saliency of a thing: the subject has the most; among equals (a row of houses), large and central ones do."""
    return (3.0 if thing.kind == scene.things[0].kind else 2.0) + thing.size - 0.3 * abs(thing.x - 0.5)


def _draw_things(canvas: Canvas, scene: Scene, things: tuple[Thing, ...]) -> None:
    """Draw things from the farthest to the nearest."""
    for thing in sorted(things, key=lambda t: t.y):
        label = canvas.label(thing.name, _saliency(scene, thing))
        _DRAW[thing.kind](Pen(canvas, thing), label)


def _float(canvas: Canvas, scene: Scene, thing: Thing, water: int, haze: Colour) -> None:
    label = canvas.label(thing.name, _saliency(scene, thing))
    pen = Pen(canvas, thing)
    reflect(canvas, draw_boat(pen, label), pen.y, water, thing.seed, haze)


def _grade(canvas: Canvas, seed: int) -> None:
    """Finish the picture: add a trace of the paper's texture, and darken the corners a little."""
    height, width = canvas.height, canvas.width
    texture = 0.008 * fractal_noise(height, width, 0.012 * canvas.unit, seed % 9859, 2)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    corner = 1.02 - 0.08 * np.clip((x**2 + y**2) / 2, 0, 1) ** 2
    canvas.image *= corner[..., None]
    canvas.image += texture[..., None]


def _keep_promises(canvas: Canvas) -> None:
    """Shift the colours of an object if its mean colour no longer has its name, which happens rarely, until it does."""
    np.clip(canvas.image, 0, 1, out=canvas.image)
    flat = canvas.labels.ravel()
    counts = np.bincount(flat, minlength=len(canvas.names))
    sums = np.stack([np.bincount(flat, canvas.image[..., i].ravel(), len(canvas.names)) for i in range(3)], 1)
    for name in dict.fromkeys(canvas.names):
        labels = [label for label, other in enumerate(canvas.names) if other == name and counts[label]]
        colour = promised_colour(name)
        if colour is None or not labels:
            continue
        mean = sums[labels].sum(0) / counts[labels].sum()
        shift = towards(mean, colour) - mean
        if shift.any():
            visible = np.isin(canvas.labels, labels).astype(np.float32)
            fringe = np.asarray(cv2.GaussianBlur(visible, (0, 0), 0.6), np.float32)
            canvas.image += np.maximum(visible, fringe)[..., None] * shift.astype(np.float32)


def _truth(canvas: Canvas) -> GroundTruth:
    """Ground truth of the labels that can be seen, renumbered without gaps."""
    counts = np.bincount(canvas.labels.ravel(), minlength=len(canvas.names))
    seen = [label for label in range(len(canvas.names)) if counts[label] or label == 0]
    table = np.zeros(len(canvas.names), np.uint16)
    table[seen] = np.arange(len(seen), dtype=np.uint16)
    saliency = [canvas.saliency[label] for label in seen]
    return GroundTruth(
        labels=table[canvas.labels],
        names=tuple(canvas.names[label] for label in seen),
        depth_order=tuple(sorted(range(len(seen)), key=lambda i: canvas.depths[seen[i]])),
        saliency_order=tuple(sorted(range(len(seen)), key=lambda i: -saliency[i])),
    )
