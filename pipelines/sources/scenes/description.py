"""What is in a scene, in words and numbers: what captions are written and pictures drawn from."""

from dataclasses import dataclass

from pipelines.sources.scenes.palette import COLOURS

IMPLIED = {
    ("snow", "white"), ("lemon", "yellow"), ("orange", "orange"), ("plum", "purple"),
    ("lemons", "yellow"), ("oranges", "orange"), ("plums", "purple"),
}  # fmt: skip
"""Nouns that say their colour themselves."""

_PLURALS = {"church": "churches", "bush": "bushes", "dress": "dresses"}


def plural(noun: str) -> str:
    """The plural of a noun."""
    return _PLURALS.get(noun, f"{noun}s")


def coloured(colour: str | None, noun: str) -> str:
    """A noun with its colour word, unless it has none or says it itself."""
    return noun if colour is None or (noun, colour) in IMPLIED else f"{colour} {noun}"


def promised_colour(name: str) -> str | None:
    """The colour that a name says its bearer has, or None."""
    first = name.split(" ")[0]
    return dict(IMPLIED).get(name) or (first if first in COLOURS else None)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object.

    Attributes:
        kind: what it is, a noun ("house", "apple").
        colour: its colour word.
        part: what it has or holds that is named too ("roof", "sail", "flowers", "hat"), or None.
        part_colour: colour word of that part.
        x, y: where its foot stands, in shares of the width and the height of the canvas.
        size: its height, in shares of the shorter side.
        facing: -1 (left) or 1 (right).
        style: which of the ways of drawing it.
        seed: where the rest comes from (exact colours, proportions, texture).
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
        """What captions and labels call it; of a person, the coloured part is the clothing."""
        if self.kind == "person":
            return f"{self.colour} {self.clothing}"
        return coloured(self.colour, self.kind)

    @property
    def clothing(self) -> str:
        """What a person wears."""
        return ("coat", "dress", "jacket")[self.style]

    @property
    def part_name(self) -> str | None:
        """What captions and labels call its named part."""
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
        body_x, body_y: where that stands, in shares of the canvas.
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
        colour: its colour word; None for snow-capped mountains, which have no single one.
        base: y of its foot, height: of its highest top above it; both in shares of the height.
        seed: its outline and texture.
    """

    kind: str
    colour: str | None
    base: float
    height: float
    seed: int

    @property
    def name(self) -> str:
        """What captions and labels call it."""
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
        """What captions and labels call it."""
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
    """All of a picture.

    Attributes:
        kind: which kind of scene.
        seed: where textures and phrasing come from.
        light_side: where the light comes from, -1 (left) to 1 (right).
        light_height: 0 (horizon) to 1 (zenith).
        place: where it is.
        things: what is there, the subject first.
    """

    kind: str
    seed: int
    light_side: float
    light_height: float
    place: Outdoors | Indoors
    things: tuple[Thing, ...]
