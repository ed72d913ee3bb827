"""Composes outdoor scenes: the place, and what stands where in it."""

import random
from dataclasses import replace

from pipelines.sources.scenes.description import Ground, Outdoors, Ridge, Scene, Sky, Thing, Water
from pipelines.sources.scenes.palette import COLOURS

_SKIES = {
    "blue": (32, ("day",)),
    "orange": (15, ("sunset", "dawn")),
    "pink": (12, ("dawn", "sunset", "dusk")),
    "purple": (9, ("dusk",)),
    "grey": (9, ("day",)),
    "yellow": (8, ("dawn", "sunset")),
    "turquoise": (7, ("day", "dawn")),
    "black": (6, ("night",)),
    "red": (5, ("sunset",)),
    "white": (4, ("day",)),
}
"""Colour of the sky -> its weight, and the times of day that it may be."""

_WEATHER = {
    "grey": ("cloudy", "rain", "snow", "mist"),
    "white": ("mist", "snow"),
    "black": ("clear", "clear", "snow"),
    "blue": ("clear", "cloudy", "cloudy"),
}

_GROUNDS = (
    [Ground("meadow", "green")] * 6
    + [Ground("meadow", "yellow"), Ground("meadow", "brown"), Ground("meadow", "orange")]
    + [Ground("field", "yellow"), Ground("field", "purple"), Ground("field", "green"), Ground("field", "brown")]
    + [Ground("snow", "white")] * 2
)

_EXTRAS = ("tree", "tree", "tree", "pine tree", "bush", "person")
_FLOWERS = ("red", "white", "yellow", "pink", "purple", "blue")
_TREES = ("green",) * 6 + ("orange", "red", "yellow", "pink", "orange")
_ROOFS = ("red", "brown", "grey", "black", "orange", "blue", "green", "brown", "red")
_BUILDINGS = ("house", "house", "house", "house", "church", "tower", "lighthouse", "windmill", "barn", "row")
_ANIMALS = {
    "dog": ("brown", "black", "white", "grey", "orange"),
    "cat": ("black", "white", "grey", "orange"),
    "horse": ("brown", "white", "black", "grey"),
    "cow": ("brown", "white", "black"),
    "sheep": ("white", "black"),
}


def compose_outdoors(kind: str, dice: random.Random) -> Scene:
    """A scene under the sky: kind is landscape, building, boat or figure."""
    sky = _sky(dice)
    ground = dice.choice(_GROUNDS)
    if sky.weather == "snow":
        ground = Ground("snow", "white")
    water = dice.choice(("lake", "sea") if kind == "boat" else ("lake", "sea", None, None, None))
    horizon = dice.choice((dice.uniform(0.38, 0.5), dice.uniform(0.5, 0.64)))
    if water == "lake":
        horizon = dice.uniform(0.38, 0.48)
        top = horizon + dice.uniform(0.05, 0.09)
        place_water = Water("lake", top, dice.uniform(0.8, 0.92) if kind == "figure" or dice.random() < 0.5 else 1.02)
    elif water == "sea":
        horizon = dice.uniform(0.36, 0.52)
        ground = Ground("snow", "white") if sky.weather == "snow" else Ground("beach", dice.choice(("yellow", "brown")))
        place_water = Water(
            "sea", horizon, 1.02 if kind == "boat" and dice.random() < 0.6 else dice.uniform(0.68, 0.78)
        )
    else:
        place_water = None
        if kind != "boat" and ground.kind == "meadow":
            ground = replace(ground, path=dice.random() < 0.4)
        if kind == "building" and dice.random() < 0.2:
            ground = Ground("street", "grey")
    if ground.kind == "meadow" and kind != "boat" and dice.random() < 0.35:
        ground = replace(ground, flowers=dice.choice([c for c in _FLOWERS if c != ground.colour]))
    ridges = _ridges(horizon, water, ground, kind, dice)
    if sky.body is not None and ridges:
        sky = replace(sky, body_y=min(sky.body_y, min(ridge.base - ridge.height for ridge in ridges) - 0.02))
    place = Outdoors(sky, horizon, ridges, ground, place_water)
    things = _things(kind, place, dice)
    if any(_hides(thing, sky) for thing in things):
        sky = replace(sky, body=None)
        place = replace(place, sky=sky)
    side = dice.choice((-1, 1)) * dice.uniform(0.5, 1.0)
    if sky.body is not None:
        side = max(-1.0, min(1.0, (sky.body_x - 0.5) * 3.5))
    height = {"day": 0.7, "night": 0.6}.get(sky.time, 0.25)
    return Scene(kind, dice.getrandbits(31), side, height, place, tuple(things))


def _hides(thing: Thing, sky: Sky) -> bool:
    """Whether a thing stands before the sun or the moon."""
    near = abs(thing.x - sky.body_x) < 0.55 * _width(thing) + 0.07
    return near and thing.y - 1.15 * thing.size < sky.body_y + 0.07


def _sky(dice: random.Random) -> Sky:
    colour = dice.choices(tuple(_SKIES), [weight for weight, _ in _SKIES.values()])[0]
    time = dice.choice(_SKIES[colour][1])
    weather = dice.choice(_WEATHER.get(colour, ("clear", "cloudy")))
    clouds = {"clear": 0.0, "cloudy": dice.uniform(0.2, 0.4)}.get(weather, 0.0)
    body = None
    if weather in ("clear", "cloudy") and colour != "grey":
        chance = {"day": 0.25, "night": 0.7, "dusk": 0.3}.get(time, 0.6)
        if dice.random() < chance:
            body = "moon" if time in ("night", "dusk") else "sun"
    low = time in ("dawn", "sunset")
    body_y = dice.uniform(0.22, 0.3) if low else dice.uniform(0.1, 0.2)
    body_x = dice.choice((dice.uniform(0.12, 0.3), dice.uniform(0.7, 0.88)))
    return Sky(colour, time, weather, clouds, body, body_x, body_y)


def _ridges(horizon: float, water: str | None, ground: Ground, kind: str, dice: random.Random) -> tuple[Ridge, ...]:
    ridges = []
    high = dice.uniform(0.16, 0.26) * (1.25 if kind == "landscape" else 1.0)
    choice = dice.random()
    if water == "sea":
        if choice < 0.3:
            ridges.append(
                Ridge("hills", dice.choice(("blue", "purple", "green", "grey")), horizon, 0.07, dice.getrandbits(31))
            )
        return tuple(ridges)
    if choice < (0.7 if kind == "landscape" else 0.4):
        colour = dice.choice(("blue", "purple", "grey", "brown", "blue", None, None))
        ridges.append(Ridge("mountains", colour, horizon + 0.01, high, dice.getrandbits(31)))
    if dice.random() < 0.45:
        colour = "white" if ground.kind == "snow" else dice.choice(("green", "green", "blue", "brown", "purple"))
        ridges.append(Ridge("hills", colour, horizon + 0.02, high * 0.5, dice.getrandbits(31)))
    if dice.random() < (0.4 if kind == "landscape" else 0.3):
        colour = "green" if ground.colour in ("green", "purple") else dice.choice(("green", "brown", "orange"))
        ridges.append(Ridge("forest", colour, horizon + 0.03, dice.uniform(0.08, 0.12), dice.getrandbits(31)))
    return tuple(ridges)


def _things(kind: str, place: Outdoors, dice: random.Random) -> list[Thing]:
    """The subject on a third or in the middle of the picture, then other things where there is room."""
    subject_x = dice.choice((dice.uniform(0.3, 0.4), dice.uniform(0.6, 0.7), dice.uniform(0.45, 0.55)))
    subject = _subject(kind, place, subject_x, dice)
    things = subject
    for _ in range(dice.choice((0, 1, 1, 2) if subject else (2, 2, 3))):
        extra = _extra(kind, place, things, dice)
        if extra is not None:
            things.append(extra)
            if kind == "landscape" and "tree" in extra.kind and dice.random() < 0.5:
                things += _grove(extra, things, place, dice)
    return things


def _grove(tree: Thing, things: list[Thing], place: Outdoors, dice: random.Random) -> list[Thing]:
    """More trees of the same kind beside a tree, smaller and farther away."""
    more: list[Thing] = []
    for step in (0.55, -0.55, 1.05)[: dice.choice((1, 2, 3))]:
        size = tree.size * dice.uniform(0.65, 0.85)
        x = tree.x + step * tree.size * dice.uniform(0.9, 1.1)
        y = tree.y if place.water else max(place.horizon + 0.06, tree.y - dice.uniform(0.03, 0.09))
        free = all(abs(x - t.x) > 0.3 * (size + _width(t)) for t in things if t is not tree)
        if free and 0.06 < x < 0.94:
            more.append(replace(tree, x=x, y=y, size=size, seed=dice.getrandbits(31)))
    return more


def _subject(kind: str, place: Outdoors, x: float, dice: random.Random) -> list[Thing]:
    facing, seed = dice.choice((-1, 1)), dice.getrandbits(31)
    if kind == "building":
        what = "row" if place.ground.kind == "street" else dice.choice(_BUILDINGS)
        y = _foot(place, dice)
        if what == "row":
            return _row(y, dice)
        size = dice.uniform(0.36, 0.46) * (1.2 if what in ("tower", "lighthouse", "church", "windmill") else 1.0)
        roof = None if what == "lighthouse" and dice.random() < 0.3 else "roof"
        colour = dice.choice(COLOURS[:-1])
        roof_colour = dice.choice([c for c in _ROOFS if c != colour])
        return [Thing(what, colour, x, y, min(size, y - 0.03), facing, seed, roof, roof_colour if roof else None)]
    if kind == "boat":
        return _boats(place, x, dice)
    if kind == "figure":
        y = dice.uniform(0.9, 0.95)
        if dice.random() < 0.65:
            size = dice.uniform(0.5, 0.66)
            part = dice.choice((None, "hat", "umbrella"))
            colour = dice.choice(COLOURS)
            part_colour = dice.choice([c for c in COLOURS if c != colour]) if part else None
            return [Thing("person", colour, x, y, size, facing, seed, part, part_colour, dice.randrange(3))]
        animal = dice.choice(tuple(_ANIMALS))
        size = (0.34 if animal in ("dog", "cat", "sheep") else 0.42) * dice.uniform(0.9, 1.1)
        half = 0.55 * _width(Thing(animal, "", x, y, size, facing, seed))
        x = min(max(x, half), 1 - half)
        return [Thing(animal, dice.choice(_ANIMALS[animal]), x, y, size, facing, seed)]
    if place.water is not None and place.water.kind == "sea":
        return _boats(place, x, dice)
    return []


def _foot(place: Outdoors, dice: random.Random) -> float:
    """y of the foot of a building, in shares of the height."""
    if place.water is None:
        return dice.uniform(0.68, 0.82)
    if place.water.kind == "lake":
        return place.water.top - 0.004
    return dice.uniform(0.86, 0.92)


def _row(y: float, dice: random.Random) -> list[Thing]:
    """Houses of different colours wall to wall."""
    count = dice.choice((3, 3, 4))
    width = 0.9 / count
    colours = dice.sample(COLOURS[:-1], count)
    return [
        Thing("house", colour, 0.5 + (i - (count - 1) / 2) * width, y, min(y - 0.05, dice.uniform(0.34, 0.46)), 1,
              dice.getrandbits(31), "roof", dice.choice([c for c in _ROOFS if c != colour]), style=count)
        for i, colour in enumerate(colours)
    ]  # fmt: skip


def _boats(place: Outdoors, x: float, dice: random.Random) -> list[Thing]:
    assert place.water is not None
    low = min(place.water.bottom - 0.08, 0.84)
    boats: list[Thing] = []
    for i in range(dice.choice((1, 1, 2))):
        what = dice.choice(("sailboat", "sailboat", "rowing boat"))
        y = dice.uniform(place.water.top + 0.12, low) if i == 0 else place.water.top + dice.uniform(0.04, 0.08)
        size = (dice.uniform(0.42, 0.52) if i == 0 else 0.26) * (1.0 if what == "sailboat" else 0.42)
        colour = dice.choice(COLOURS[:-1])
        sail = "sail" if what == "sailboat" else None
        sail_colour = dice.choice(("white", *[c for c in COLOURS[:-1] if c != colour])) if sail else None
        half = size * (0.5 if what == "sailboat" else 1.38)
        where = x
        if i:
            gap = half + 0.5 * _width(boats[0]) + 0.03
            where = x + gap if x < 0.5 else x - gap
            if not half <= where <= 1 - half:
                break
        facing = dice.choice((-1, 1)) if i == 0 else boats[0].facing
        boats.append(Thing(what, colour, where, min(y, 0.9), size, facing, dice.getrandbits(31), sail, sail_colour))
    return boats


def _extra(kind: str, place: Outdoors, things: list[Thing], dice: random.Random) -> Thing | None:
    """A tree, a bush, a building or a person where nothing else stands; None if there is no room."""
    if place.water is not None and place.water.kind == "sea":
        return None
    what = dice.choice(_EXTRAS + (("house", "church") if kind == "landscape" else ()))
    if what == "person" and place.water is not None:
        what = "pine tree"
    snowy = place.ground.kind == "snow"
    colour = {"pine tree": "green", "bush": "green"}.get(what) or dice.choice(_TREES)
    if snowy and what in ("tree", "bush"):
        colour = dice.choice(("white", "white", "brown"))
    for _ in range(6):
        far = place.water is not None
        y = place.water.top - 0.004 if place.water else dice.uniform(place.horizon + 0.1, 0.86)
        near = 0.0 if far else (y - place.horizon) / 0.5
        size = {"bush": 0.16, "house": 0.24 + 0.18 * near, "church": 0.3 + 0.2 * near, "person": 0.2 + 0.2 * near}.get(
            what, 0.28 + 0.3 * near
        ) * dice.uniform(0.9, 1.15)
        width = size * (1.4 if what in ("house", "church") else 0.8)
        x = dice.uniform(0.5 * width, 1 - 0.5 * width)
        if all(abs(x - t.x) > 0.45 * (width + _width(t)) for t in things):
            seed = dice.getrandbits(31)
            if what in ("house", "church"):
                walls = dice.choice(COLOURS[:-1])
                roof = dice.choice([c for c in _ROOFS if c != walls])
                return Thing(what, walls, x, y, size, dice.choice((-1, 1)), seed, "roof", roof)
            if what == "person":
                return Thing(
                    what, dice.choice(COLOURS), x, y, size, dice.choice((-1, 1)), seed, style=dice.randrange(3)
                )
            return Thing(what, colour, x, y, min(size, y - 0.02), 1, seed)
    return None


def _width(thing: Thing) -> float:
    """Approximate width of a thing, in shares of the shorter side."""
    ratios = {
        "house": 1.4,
        "barn": 1.5,
        "church": 1.1,
        "tower": 0.5,
        "lighthouse": 0.5,
        "person": 0.5,
        "rowing boat": 2.76,
        "cow": 1.5,
        "horse": 1.4,
        "dog": 1.4,
        "cat": 1.4,
        "sheep": 1.2,
    }
    return thing.size * ratios.get(thing.kind, 1.0)
