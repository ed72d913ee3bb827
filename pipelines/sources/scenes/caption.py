"""Writes captions of scenes: they name only what the scene contains, in varying words."""

import random
from itertools import groupby

from pipelines.sources.scenes.description import IMPLIED, Indoors, Outdoors, Scene, Sky, Thing, plural

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_TIMES = {
    "dawn": ("at dawn", "in the early morning", "at sunrise"),
    "day": ("in daylight", "by day", "in the daytime"),
    "sunset": ("at sunset", "in the evening", "at the end of the day"),
    "dusk": ("at dusk", "at twilight", "at nightfall"),
    "night": ("at night", "by night", "in the night"),
}
_WEATHER = {
    "rain": ("in the rain", "on a rainy day", "as rain falls"),
    "snow": ("as snow falls", "in falling snow", "while it snows"),
    "mist": ("in the mist", "in light fog", "on a misty day"),
}
_CLOUDS = ("clouds", "drifting clouds", "soft clouds")
_BODIES = {
    "sun": ("the sun", "a bright sun"),
    "low sun": ("the sun", "a low sun", "the low sun"),
    "moon": ("the moon", "a full moon"),
}


def caption(scene: Scene) -> str:
    """The content of the picture as one English phrase; its colour words are those of the description."""
    dice = random.Random(scene.seed)
    if isinstance(scene.place, Indoors):
        return _still_life(scene.things, scene.place, dice)
    return _outdoors(scene, scene.place, dice)


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def listed(phrases: list[str]) -> str:
    """Phrases joined as "a, b and c"."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _phrase(things: list[Thing], dice: random.Random) -> str:
    """One phrase for things that have the same name."""
    thing, count = things[0], len(things)
    if count > 1 and thing.kind == "person":
        return f"{_NUMBERS[count]} people in {thing.colour} {plural(thing.clothing)}"
    if count > 1:
        name = plural(thing.kind) if (thing.kind, thing.colour) in IMPLIED else f"{thing.colour} {plural(thing.kind)}"
        return f"{_NUMBERS[count]} {name}"
    if thing.kind == "person":
        worn = article(thing.name)
        if thing.part is None:
            return dice.choice((f"a person in {worn}", f"a person wearing {worn}"))
        other = article(str(thing.part_name))
        carried = "with" if thing.part == "umbrella" else "and"
        return f"a person in {worn} {carried} {other}"
    if thing.part is None:
        return article(thing.name)
    if thing.kind == "bowl":
        return dice.choice(
            (f"{article(thing.name)} of {thing.part_name}", f"{article(thing.name)} with {thing.part_name}")
        )
    if thing.kind == "vase":
        return dice.choice(
            (f"{article(thing.name)} with {thing.part_name}", f"{thing.part_name} in {article(thing.name)}")
        )
    if dice.random() < 0.3:
        return article(thing.name)
    return f"{article(thing.name)} with {article(str(thing.part_name))}"


def _phrases(things: tuple[Thing, ...], dice: random.Random) -> list[str]:
    """One phrase for all things of the same name, in the order in which the names first occur."""
    names = list(dict.fromkeys(t.name for t in things))
    ordered = sorted(things, key=lambda t: names.index(t.name))
    return [_phrase(list(group), dice) for _, group in groupby(ordered, key=lambda t: t.name)]


def _sky_phrase(sky: Sky, dice: random.Random) -> str:
    phrase = f"{sky.colour} sky"
    details = []
    if sky.weather == "cloudy":
        details.append(dice.choice(_CLOUDS))
    if sky.time == "night" and sky.weather == "clear" and dice.random() < 0.6:
        details.append("stars")
    if sky.body is not None and dice.random() < 0.75:
        details.append(dice.choice(_BODIES["low sun" if sky.time in ("dawn", "sunset") else sky.body]))
    return f"{article(phrase)} with {listed(details)}" if details else article(phrase)


def _where(place: Outdoors, dice: random.Random) -> str:
    if place.water is not None and place.water.kind == "sea":
        return dice.choice(("by the sea", "at the sea"))
    if place.water is not None:
        return dice.choice(("by a lake", "on the shore of a lake", "beside a lake"))
    if place.ground.kind == "snow":
        return dice.choice(("in the snow", "in white snow"))
    ground = article(place.ground.name)
    phrase = f"on {ground}" if place.ground.kind == "street" else f"in {ground}"
    details = ["a path"] if place.ground.path and dice.random() < 0.6 else []
    if place.ground.flowers is not None and dice.random() < 0.85:
        details.append(f"{place.ground.flowers} flowers")
    return f"{phrase} with {listed(details)}" if details else phrase


def _outdoors(scene: Scene, place: Outdoors, dice: random.Random) -> str:
    things = _phrases(scene.things, dice)
    ridges = [ridge.name for ridge in place.ridges]
    boat = any("boat" in t.kind for t in scene.things)
    where = _where(place, dice)
    if boat and place.water is not None:
        where = "on the sea" if place.water.kind == "sea" else dice.choice(("on a lake", "on the water of a lake"))
        boats = [t for t in scene.things if "boat" in t.kind]
        things = _phrases(tuple(boats), dice)
        ashore = tuple(t for t in scene.things if "boat" not in t.kind)
        if ashore:
            where += f" with {listed(_phrases(ashore, dice))} on the shore"
    sky = _sky_phrase(place.sky, dice)
    when = dice.choice(_TIMES[place.sky.time]) if dice.random() < 0.55 and place.sky.time != "day" else ""
    weather = dice.choice(_WEATHER[place.sky.weather]) if place.sky.weather in _WEATHER else ""
    behind = ""
    if ridges and (not things or dice.random() < 0.75):
        named = listed(ridges)
        behind = dice.choice((f"{named} behind", f"{named} in the distance", f"{named} in the background"))
    subject = listed(things) if things else ""
    if not subject:
        land = article(place.ground.name) if place.ground.kind != "snow" else "a snowy land"
        subject = {"sea": "the sea", "lake": "a lake"}[place.water.kind] if place.water else land
        where = ""
    near = f"{subject} {where}".strip()
    tail = " ".join(x for x in (weather, when) if x)
    style = dice.randrange(4)
    if style == 0:
        text = f"{near} under {sky}" + (f", {behind}" if behind else "") + (f", {tail}" if tail else "")
    elif style == 1:
        text = (f"{tail}, " if tail else "") + near + (f", with {behind}" if behind else "") + f", under {sky}"
    elif style == 2:
        text = near + (f", {behind}" if behind else "") + f", beneath {sky}" + (f", {tail}" if tail else "")
    else:
        text = f"{sky} over {near}" + (f", {behind}" if behind else "") + (f", {tail}" if tail else "")
    return text


def _still_life(things: tuple[Thing, ...], place: Indoors, dice: random.Random) -> str:
    what = listed(_phrases(things, dice))
    if place.table == "table":
        table = dice.choice(("a brown wooden table", "a brown table", "a table of brown wood"))
    else:
        table = dice.choice(
            (f"{article(place.table_colour)} tablecloth", f"a table with {article(place.table_colour)} tablecloth")
        )
    wall = f"{article(place.wall)} wall"
    style = dice.randrange(4)
    if style == 0:
        return f"{what} on {table} in front of {wall}"
    if style == 1:
        return f"a still life with {what} on {table}, {wall} behind"
    if style == 2:
        return f"{what} on {table}, against {wall}"
    return f"on {table} before {wall}: {what}"
