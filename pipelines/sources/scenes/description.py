"""Describes a scene in words and numbers; captions are written and pictures drawn from these descriptions."""

from dataclasses import dataclass

from pipelines.sources.scenes.palette import COLOURS

IMPLIED = {
    ("snow", "white"), ("lemon", "yellow"), ("orange", "orange"), ("plum", "purple"),
    ("lemons", "yellow"), ("oranges", "orange"), ("plums", "purple"),
}  # fmt: skip
"""Nouns that imply their colour, with that colour."""

_PLURALS = {"church": "churches", "bush": "bushes", "dress": "dresses"}


def plural(noun: str) -> str:
    """The plural of a noun."""
    return _PLURALS.get(noun, f"{noun}s")


def coloured(colour: str | None, noun: str) -> str:
    """A noun with its colour word, unless it has no colour or implies it."""
    return noun if colour is None or (noun, colour) in IMPLIED else f"{colour} {noun}"


def promised_colour(name: str) -> str | None:
    """The colour that a name states or implies, or None."""
    first = name.split(" ")[0]
    return dict(IMPLIED).get(name) or (first if first in COLOURS else None)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object.

    Attributes:
        kind: what it is, a noun ("house", "apple").
        colour: its colour word.
        part: a part or load of it that captions name too ("roof", "sail", "flowers", "hat"), or None.
        part_colour: colour word of that part.
        x, y: position of its foot, in shares of the width and the height of the canvas.
        size: its height, in shares of the shorter side.
        facing: -1 (left) or 1 (right).
        style: number of the way in which it is drawn.
        seed: seed of the rest (exact colours, proportions, texture).
    """

    kind: str
    colour: str
    x: float
    y: float
    size: float
    facing: int
    seed: int
    part: str | None = None
    part_colour: str | None = None
    style: int = 0

    @property
    def name(self) -> str:
        """Its name in captions and labels; a person is named by the clothing, which has the colour."""
        if self.kind == "person":
            return f"{self.colour} {self.clothing}"
        return coloured(self.colour, self.kind)

    @property
    def clothing(self) -> str:
        """What a person wears."""
        return ("coat", "dress", "jacket")[self.style]

    @property
    def part_name(self) -> str | None:
        """Name of its part in captions and labels."""
        return None if self.part is None else coloured(self.part_colour, self.part)


@dataclass(frozen=True, slots=True)
class Sky:
    """The sky.

    Attributes:
        colour: its colour word.
        time: dawn, day, sunset, dusk or night.
        weather: clear, cloudy, rain, snow or mist.
        clouds: share of it that clouds cover, 0 to 0.6.
        body: "sun", "moon" or None.
        body_x, body_y: position of sun or moon, in shares of the canvas.
    """

    colour: str
    time: str
    weather: str
    clouds: float
    body: str | None
    body_x: float
    body_y: float


@dataclass(frozen=True, slots=True)
class Ridge:
    """A range of mountains, hills or trees on the horizon.

    Attributes:
        kind: "mountains", "hills" or "forest".
        colour: its colour word; None for snow-capped mountains, which have no single colour.
        base: y of its foot, in shares of the height.
        height: height of its highest top above the foot, in shares of the height.
        seed: seed of its outline and texture.
    """

    kind: str
    colour: str | None
    base: float
    height: float
    seed: int

    @property
    def name(self) -> str:
        """Its name in captions and labels."""
        return "snow-capped mountains" if self.colour is None else f"{self.colour} {self.kind}"


@dataclass(frozen=True, slots=True)
class Ground:
    """The land.

    Attributes:
        kind: "meadow", "field" (with rows of a crop), "snow", "beach" or "street".
        colour: its colour word.
        path: whether a path winds over it.
        flowers: colour word of the flowers in its foreground, or None.
    """

    kind: str
    colour: str
    path: bool = False
    flowers: str | None = None

    @property
    def name(self) -> str:
        """Its name in captions and labels."""
        return coloured(self.colour, self.kind)


@dataclass(frozen=True, slots=True)
class Water:
    """A lake or the sea: `kind`, and where it begins and ends, in shares of the height."""

    kind: str
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Outdoors:
    """A place under the sky; `horizon` in shares of the height, ridges from far to near."""

    sky: Sky
    horizon: float
    ridges: tuple[Ridge, ...]
    ground: Ground
    water: Water | None


@dataclass(frozen=True, slots=True)
class Indoors:
    """A table before a wall.

    Attributes:
        wall: colour word of the wall.
        table: "table" (of wood) or "tablecloth".
        table_colour: its colour word.
        edge: y of the far edge of the table, in shares of the height.
    """

    wall: str
    table: str
    table_colour: str
    edge: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything in a picture.

    Attributes:
        kind: kind of scene.
        seed: seed of textures and of the caption's phrasing.
        light_side: side that the light comes from, -1 (left) to 1 (right).
        light_height: height of the light, 0 (horizon) to 1 (zenith).
        place: the place.
        things: the things in it, the subject first.
    """

    kind: str
    seed: int
    light_side: float
    light_height: float
    place: Outdoors | Indoors
    things: tuple[Thing, ...]
