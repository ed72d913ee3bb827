"""Configuration of the region renderer."""

from dataclasses import dataclass, field
from typing import Literal

from conf.errors import ConfigError
from renderers.bezier.config import EFFORTS
from renderers.things.config import SaliencyChoice, SamChoice, file_of, one_of, within
from renderers.things.spoken_order import EXAMPLE, check_spoken, is_spoken

SEGMENTERS = ("graph", "sam", "truth")
ORDERS = ("salient", "back_to_front", "area", "user")
Place = int | tuple[float, float]
"""A region that a user names: its label, or a point (x, y) in it, in shares of the canvas."""

FILLS = ("reveal", "wash", "flat", "strokes")


@dataclass(frozen=True, kw_only=True)
class SegmentChoice:
    """How a picture is cut into regions.

    Attributes:
        method: `graph` needs no weights; `sam` needs a checkpoint; `truth` takes the label map that the source brings.
        max_regions: of `graph` and `sam`, 2 to 1,000.
        min_regions: of `graph`, 1 to 1,000: once at most so many are left, only those nearly alike are merged.
        tolerance: of `graph`, how unlike two neighbours may be and still become one; 0 to 200.
        least_area: of `graph` and `sam`, the smallest share of the canvas that is a region, 0 to 0.1.
        max_things: of `graph` and `sam`, the most things, 1 to 255. Regions are parts of things, such as a house, which
            are painted one after the other.
        sam: the network of `sam`.
    """

    method: Literal["graph", "sam", "truth"] = "graph"
    max_regions: int = 60
    min_regions: int = 10
    tolerance: float = 32.0
    least_area: float = 0.0015
    max_things: int = 12
    sam: SamChoice = field(default_factory=SamChoice)

    def __post_init__(self) -> None:
        one_of("method", self.method, SEGMENTERS)
        within("max_regions", self.max_regions, 2, 1000)
        within("min_regions", self.min_regions, 1, 1000)
        within("tolerance", self.tolerance, 0, 200)
        within("least_area", self.least_area, 0, 0.1)
        within("max_things", self.max_things, 1, 255)
        checkpoint = f"a {self.sam.variant} checkpoint"
        file_of("method=sam", self.method == "sam", "sam.checkpoint", self.sam.checkpoint, checkpoint)


@dataclass(frozen=True, kw_only=True)
class RegionStrokes:
    """The strokes of `fill=strokes`.

    Attributes:
        medium: `bezier` or `oil`.
        preset: `fast`, `std` or `best`: how much time they may take.
        num_strokes: in all, 10 to 5,000; large regions get more, each gets at least ten.
    """

    medium: Literal["bezier", "oil"] = "bezier"
    preset: Literal["fast", "std", "best"] = "fast"
    num_strokes: int = 500

    def __post_init__(self) -> None:
        one_of("medium", self.medium, ("bezier", "oil"))
        one_of("preset", self.preset, tuple(EFFORTS))
        within("num_strokes", self.num_strokes, 10, 5000)


@dataclass(frozen=True, kw_only=True)
class RegionConfig:
    """A painting region by region, in which what is finished is never touched again.

    Attributes:
        segment: how the picture is cut.
        saliency: how it is judged what draws the eye.
        order: `salient`, `back_to_front`, `area` (large first), `user`, or words that name things in their order.
        user_order: for `order=user`: points [x, y] in shares of the canvas, or labels of regions, in painting order;
            regions that it does not name follow in the order `salient`.
        fill: how a region appears: `reveal` at once; `wash` in washes from light to dark; `flat` in its mean colour,
            then with its detail; `strokes`.
        strokes: of `fill=strokes`.
        canvas: RGB of the blank canvas, each in [0, 1].
    """

    segment: SegmentChoice = field(default_factory=SegmentChoice)
    saliency: SaliencyChoice = field(default_factory=SaliencyChoice)
    order: str = "salient"
    user_order: tuple[Place, ...] = ()
    fill: Literal["reveal", "wash", "flat", "strokes"] = "reveal"
    strokes: RegionStrokes = field(default_factory=RegionStrokes)
    canvas: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.order not in ORDERS and not is_spoken(self.order):
            raise ConfigError("order", self.order, f"one of {', '.join(ORDERS)}; or {EXAMPLE}")
        check_spoken(self.order)
        one_of("fill", self.fill, FILLS)
        if len(self.canvas) != 3 or not all(0.0 <= value <= 1.0 for value in self.canvas):
            raise ConfigError("canvas", list(self.canvas), "three numbers from 0 to 1, such as [1,1,1]")
        if (self.order == "user") != bool(self.user_order) or not all(map(is_place, self.user_order)):
            raise ConfigError(
                "user_order", self.user_order,
                "with order=user, and only then, points [x,y] from 0 to 1 or labels, such as [[0.5,0.4],3]",
            )  # fmt: skip


def is_place(value: object) -> bool:
    """Whether a value is a label, or a point on the canvas."""
    if isinstance(value, list | tuple):
        return len(value) == 2 and all(isinstance(v, int | float) and 0.0 <= v <= 1.0 for v in value)
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
