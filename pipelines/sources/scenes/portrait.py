"""A scene's subject alone, large and in the middle, so that pictures of 64 px show what their captions name."""

import random
from dataclasses import replace

from pipelines.sources.scenes.description import Indoors, Outdoors, Scene, Thing
from pipelines.sources.scenes.table import FRUIT

_SPAN = 0.64  # larger side of the subject, in shares of the shorter side of the picture
_FOOT = 0.84  # y of its foot, unless it stands on a shore
_DRIFT = 0.03  # largest distance from the middle of the picture
_MARGIN = 0.04  # free space above it
_BODY_REACH = 0.07  # radius around the middle of sun or moon
_SIDES = {
    "house": (1.4, 1.0), "barn": (1.5, 1.0), "church": (1.1, 1.0), "tower": (0.5, 1.0), "lighthouse": (0.5, 1.0),
    "windmill": (1.0, 1.2), "person": (0.5, 1.1), "rowing boat": (2.76, 1.0), "cow": (1.5, 1.0), "horse": (1.4, 1.1),
    "dog": (1.4, 1.0), "cat": (1.4, 1.0), "sheep": (1.2, 1.0), "bush": (1.2, 1.0), "bottle": (0.3, 1.0),
    "vase": (1.1, 2.2), "bowl": (2.1, 1.3), "cup": (1.5, 1.0), "jug": (1.2, 1.0), "candle": (0.4, 1.15),
}  # fmt: skip
"""Approximate width and height of things for a size of 1."""

MOUNTAINS = "mountains"
"""The subject of a scene that has mountains and no things."""

SUBJECTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("house", "church"), ("building", "landscape")),
    **dict.fromkeys(("barn", "tower", "lighthouse", "windmill"), ("building",)),
    **dict.fromkeys(("sailboat", "rowing boat"), ("boat",)),
    **dict.fromkeys(("person", "dog", "cat", "horse", "cow", "sheep"), ("figure",)),
    **dict.fromkeys(("tree", "pine tree", "bush", MOUNTAINS), ("landscape",)),
    **dict.fromkeys(("bottle", "vase", "bowl", "jug", "cup", "candle", *FRUIT), ("still_life",)),
}
"""Subject that may be asked for -> the kinds of scenes that have it."""


def portrait(scene: Scene) -> Scene:
    """The same place with its subject alone; a scene without things stays as it is."""
    return _alone(scene.things[0], scene) if scene.things else scene


def portrait_of(subject: str, scene: Scene) -> Scene | None:
    """The same place with one of `SUBJECTS` alone, or None if the scene has none."""
    if subject == MOUNTAINS:
        ridges = scene.place.ridges if isinstance(scene.place, Outdoors) else ()
        return replace(scene, things=()) if any(ridge.kind == MOUNTAINS for ridge in ridges) else None
    thing = next((thing for thing in scene.things if thing.kind == subject), None)
    return None if thing is None else _alone(thing, scene)


def _alone(thing: Thing, scene: Scene) -> Scene:
    subject = _in_the_middle(thing, scene.place, random.Random(scene.seed))
    place = scene.place
    if isinstance(place, Outdoors) and _hides_body(subject, place):
        place = replace(place, sky=replace(place.sky, body=None))
    return replace(scene, place=place, things=(subject,))


def _in_the_middle(thing: Thing, place: Outdoors | Indoors, dice: random.Random) -> Thing:
    wide, high = _SIDES.get(thing.kind, (1.0, 1.0))
    y = _FOOT
    if isinstance(place, Outdoors) and place.water is not None:
        y = thing.y  # on the shore that it was put on, or afloat
        if "boat" in thing.kind:
            y = max(y, min(_FOOT, place.water.bottom - 0.08))
    size = min(_SPAN / max(wide, high), (y - _MARGIN) / high)
    x = 0.5 + dice.uniform(-_DRIFT, _DRIFT)
    # `style` of a house is the length of its row, whose houses share walls; a single house has 0.
    return replace(thing, x=x, y=y, size=size, style=0 if thing.kind == "house" else thing.style)


def _hides_body(thing: Thing, place: Outdoors) -> bool:
    """Whether a thing stands before the sun or the moon."""
    wide, high = _SIDES.get(thing.kind, (1.0, 1.0))
    near = abs(thing.x - place.sky.body_x) < 0.5 * wide * thing.size + _BODY_REACH
    return near and thing.y - high * thing.size < place.sky.body_y + _BODY_REACH
