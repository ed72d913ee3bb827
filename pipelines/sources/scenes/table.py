"""Composes still lifes: what lies and stands on a table."""

import random

from pipelines.sources.scenes.description import Indoors, Scene, Thing
from pipelines.sources.scenes.palette import COLOURS

FRUIT = {
    "apple": ("red", "green", "yellow"),
    "pear": ("green", "yellow"),
    "orange": ("orange",),
    "lemon": ("yellow",),
    "plum": ("purple",),
}
_SIZES = {"apple": 0.15, "pear": 0.2, "orange": 0.15, "lemon": 0.125, "plum": 0.125}
_WIDTHS = {"bottle": 0.3, "vase": 0.6, "bowl": 2.1, "cup": 1.3, "jug": 1.0, "candle": 0.3, "apple": 1.1, "orange": 1.1,
           "lemon": 1.5, "plum": 1.1, "pear": 0.8}  # fmt: skip
_FLOWERS = ("red", "yellow", "white", "pink", "purple", "blue", "orange")


def compose_table(dice: random.Random) -> Scene:
    """A still life: one or two tall things behind, fruit before them."""
    wall = dice.choice(COLOURS)
    cloth = dice.random() < 0.5
    table_colour = dice.choice([c for c in COLOURS if c != wall]) if cloth else "brown"
    if wall == table_colour:
        wall = dice.choice([c for c in COLOURS if c != table_colour])
    edge = dice.uniform(0.56, 0.68)
    avoid = {wall, table_colour}
    things: list[Thing] = []
    first = dice.choice((0.34, 0.66, 0.5)) + dice.uniform(-0.04, 0.04)
    for x in (first, 1 - first if abs(first - 0.5) > 0.1 else dice.choice((0.16, 0.84)))[: dice.choice((1, 2, 2))]:
        things.append(_vessel(x, edge + dice.uniform(0.07, 0.12), avoid, dice))
    if len(things) == 2 and abs(things[0].x - things[1].x) < _half(things[0]) + _half(things[1]) - 0.06:
        del things[1]
    fruit = dice.choice([f for f, colours in FRUIT.items() if not set(colours) <= avoid])
    colour = dice.choice([c for c in FRUIT[fruit] if c not in avoid])
    for _ in range(dice.choice((0, 1, 2, 2, 3))):
        if things and dice.random() < 0.35:
            fruit = dice.choice([f for f, colours in FRUIT.items() if not set(colours) <= avoid])
            colour = dice.choice([c for c in FRUIT[fruit] if c not in avoid])
        for _ in range(8):
            size = _SIZES[fruit] * dice.uniform(0.95, 1.1)
            x, y = dice.uniform(0.12, 0.88), edge + dice.uniform(0.16, 0.3)
            placed = Thing(fruit, colour, x, min(y, 0.96), size, dice.choice((-1, 1)), dice.getrandbits(31))
            if all(abs(x - t.x) > (_half(placed) + _half(t)) * (0.95 if t.kind in FRUIT else 0.55) for t in things):
                things.append(placed)
                break
    place = Indoors(wall, "tablecloth" if cloth else "table", table_colour, edge)
    side = dice.choice((-1, 1)) * dice.uniform(0.6, 1.0)
    return Scene("still_life", dice.getrandbits(31), side, dice.uniform(0.3, 0.7), place, tuple(things))


def _vessel(x: float, y: float, avoid: set[str], dice: random.Random) -> Thing:
    what = dice.choice(("bottle", "vase", "vase", "bowl", "bowl", "jug", "cup", "candle"))
    size = {"bottle": 0.56, "vase": 0.32, "bowl": 0.2, "jug": 0.4, "cup": 0.2, "candle": 0.36}[what] * dice.uniform(
        0.92, 1.1
    )
    colour = dice.choice([c for c in COLOURS if c not in avoid])
    part = part_colour = None
    if what == "vase":
        part, part_colour = "flowers", dice.choice([c for c in _FLOWERS if c not in avoid | {colour}])
    if what == "bowl" and dice.random() < 0.8:
        fruit = dice.choice([f for f, colours in FRUIT.items() if not set(colours) <= avoid | {colour}])
        part = f"{fruit}s"
        part_colour = dice.choice([c for c in FRUIT[fruit] if c not in avoid | {colour}])
    facing, seed = dice.choice((-1, 1)), dice.getrandbits(31)
    half = max(0.25, _WIDTHS[what]) * size / 2 + (0.08 if what in ("jug", "cup", "vase") else 0.02)
    x = min(max(x, half), 1 - half)
    if part == "flowers":
        size = min(size, (y - 0.03) / 2.2)
    return Thing(what, colour, x, y, size, facing, seed, part, part_colour, dice.randrange(3))


def _half(thing: Thing) -> float:
    """Half its width, in shares of the shorter side."""
    return thing.size * _WIDTHS[thing.kind] / 2
