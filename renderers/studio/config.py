"""Configuration of the studio."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from conf.errors import ConfigError
from renderers.bezier.config import EFFORTS, Effort
from renderers.region.config import Place, is_place
from renderers.studio.media import MEDIA
from renderers.studio.phases import CHOSEN_PHASES, OBJECT_PHASES, Phase, check_chosen
from renderers.things import ThingsConfig
from renderers.things.spoken_order import EXAMPLE, check_spoken, is_spoken

Medium = Literal["oil", "ink", "pencil", "watercolour", "digital"]
Order = Literal["mixed", "salient", "back_to_front", "user"]

_EFFORTS = EFFORTS | {
    # Strokes that are refined object by object have settled after fewer steps than those of a whole picture.
    "std": Effort(num_candidates=12, num_climbs=12, stages=((0.25, 10), (0.5, 22), (0.8, 7))),
}


@dataclass(frozen=True, kw_only=True)
class StudioConfig:
    """A painting as people make one: a drawing, then one object after another, accents last.

    Attributes:
        medium: what it is painted with.
        preset: `fast`, `std` or `best`: how much time a painting may take.
        num_strokes: strokes that model, finish and accent, 50 to 5,000; those of the drawing and of block-ins, which
            are laid side by side, are extra. Pencil hatches with four times as many instead.
        num_lines: the most strokes of the drawing, 10 to 5,000.
        hatching: whether its shadows are hatched.
        order: which object comes first: `salient`; `back_to_front`; `user`; `mixed`, one of the first two by chance, or
            the order of the painter that is followed; or words that name objects in their order.
        user_order: for `order=user`: points [x, y] in shares of the canvas, or labels of objects, in painting order;
            objects that it does not name follow, the salient ones first.
        phases: which phases there are; they come in the order of `CHOSEN_PHASES`.
        accents: share of the strokes that are set everywhere at the end, 0 to 0.5.
        corrections: share of the objects that are begun in a wrong colour, which is painted over at their turn, 0 to 1;
            none where an order is asked for, or that of a painter is followed: they come before all objects.
        spill: how far paint may go over the border of an object whose turn is still to come, in units of the canvas's
            shorter side, 0 to 0.05.
        toned: share of the paintings whose ground is first coated in the colour of the largest mass, 0 to 1; on paper
            with a thin wash.
        laid_in: share of the paintings in which all objects are blocked in before the first one is finished, 0 to 1.
            Where the order of a painter is followed, objects are blocked in and finished when it does that.
        canvas: RGB of the blank canvas, each in [0, 1]; None for the medium's own.
        things: how the objects of a picture are found.
    """

    medium: Medium = "oil"
    preset: Literal["fast", "std", "best"] = "std"
    num_strokes: int = 500
    num_lines: int = 200
    hatching: bool = False
    order: str = "mixed"
    user_order: tuple[Place, ...] = ()
    phases: tuple[str, ...] = CHOSEN_PHASES
    accents: float = 0.15
    corrections: float = 0.25
    spill: float = 0.012
    toned: float = 0.75
    laid_in: float = 0.3
    canvas: tuple[float, float, float] | None = None
    things: ThingsConfig = field(default_factory=ThingsConfig)

    def __post_init__(self) -> None:
        _one_of("medium", self.medium, get_args(Medium))
        _one_of("preset", self.preset, tuple(_EFFORTS))
        if self.order not in get_args(Order) and not is_spoken(self.order):
            raise ConfigError("order", self.order, f"one of {', '.join(get_args(Order))}; or {EXAMPLE}")
        check_spoken(self.order)
        if not 50 <= self.num_strokes <= 5000:
            raise ConfigError("num_strokes", self.num_strokes, "50 to 5000")
        if not 10 <= self.num_lines <= 5000:
            raise ConfigError("num_lines", self.num_lines, "10 to 5000")
        if (self.order == "user") != bool(self.user_order) or not all(map(is_place, self.user_order)):
            raise ConfigError(
                "user_order", list(self.user_order),
                "with order=user, and only then, points [x,y] from 0 to 1 or labels, such as [[0.5,0.4],3]",
            )  # fmt: skip
        check_chosen(self.phases)
        if not self._paints_anything:
            needed = "drawing, block_in, form or detail" if MEDIA[self.medium].paints else "drawing"
            raise ConfigError("phases", list(self.phases), f"{needed} as well: these phases alone paint nothing")
        if not 0.0 <= self.accents <= 0.5:
            raise ConfigError("accents", self.accents, "0 to 0.5")
        if not 0.0 <= self.corrections <= 1.0:
            raise ConfigError("corrections", self.corrections, "0 to 1")
        if not 0.0 <= self.spill <= 0.05:
            raise ConfigError("spill", self.spill, "0 to 0.05")
        if not 0.0 <= self.toned <= 1.0:
            raise ConfigError("toned", self.toned, "0 to 1")
        if not 0.0 <= self.laid_in <= 1.0:
            raise ConfigError("laid_in", self.laid_in, "0 to 1")
        if self.canvas is not None and (len(self.canvas) != 3 or not all(0.0 <= value <= 1.0 for value in self.canvas)):
            raise ConfigError("canvas", list(self.canvas), "three numbers from 0 to 1, such as [1,1,1]")

    @property
    def _paints_anything(self) -> bool:
        """Whether the phases leave anything on a canvas."""
        medium = MEDIA[self.medium]
        if "drawing" in self.phases or not medium.paints:
            return "drawing" in self.phases
        prepares = "ground" in self.phases and (medium.tones or (medium.coats and self.toned > 0))
        return bool(self.object_phases) or prepares or ("accents" in self.phases and self.accents > 0)

    @property
    def ground(self) -> tuple[float, float, float]:
        """RGB of the blank canvas."""
        return MEDIA[self.medium].canvas if self.canvas is None else self.canvas

    @property
    def effort(self) -> Effort:
        """The effort of the preset."""
        return _EFFORTS[self.preset]

    @property
    def object_phases(self) -> tuple[Phase, ...]:
        """The phases of every object."""
        return tuple(phase for phase in OBJECT_PHASES if phase in self.phases)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, "one of " + ", ".join(allowed))
