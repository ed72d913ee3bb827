"""The kinds of brush and their parameters. The named brushes are `conf/brush/*.yaml`.

Lengths along a stroke are shares of its length, lengths across it shares of its radius.
"""

from dataclasses import dataclass
from typing import Literal

from conf.errors import ConfigError
from conf.value import Location


@dataclass(frozen=True, kw_only=True)
class OwnPicture:
    """A picture of the user's own, which can replace any brush.

    Attributes:
        path: a picture of the mark; alpha or grey is where paint goes. None for the procedural mark.
        height_path: a grey picture of the same size, how thick the paint lies; without it, by its coverage.
    """

    path: Location | None = None
    height_path: Location | None = None

    def __post_init__(self) -> None:
        if self.height_path is not None and self.path is None:
            raise ConfigError("height_path", self.height_path, "a height map beside a picture of a brush, in path")


def _check(brush: OwnPicture, **ranges: tuple[float, float]) -> None:
    """Raise ConfigError for the first number outside its range; the ends of a range are allowed."""
    for key, (lowest, highest) in ranges.items():
        value = getattr(brush, key)
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(lowest <= number <= highest for number in numbers):
            yaml_value = list(value) if isinstance(value, tuple) else value
            raise ConfigError(key, yaml_value, f"{'each ' if isinstance(value, tuple) else ''}{lowest} to {highest}")


@dataclass(frozen=True, kw_only=True)
class BristleBrush(OwnPicture):
    """Bristles of unequal load side by side, as in flats, filberts and fans; by default a filbert.

    Attributes:
        bristles: how many there are, 2 to 200.
        hold: how far along the stroke the load of a bristle stays the same, 0.02 to 1.
        clumps: how much neighbouring bristles share of their load, 0 to 2.
        grain: how much the tooth of the ground breaks the paint up, 0 to 2.
        oval: 0 for a square tip, 1 for a round one, whose corners come down late and leave early.
        lean: how far the load leans to one side towards the end, 0 to 2, to either side by chance.
        ragged: over what part of the stroke bristles touch down, and over what part they lift, each 0 to 0.5.
        load: share of the ground that paint reaches at the start, 0 to 1.
        runs_out: how much less of it at the end, 0 to 1.
        runs_out_from: where along the stroke that begins, 0 to 0.95.
        softness: of the borders of gaps, 0.05 to 2: dry paint breaks off softly.
        rough: how much the long edges waver, 0 to 0.3.
        edge: how soft they are, 0.01 to 0.5.
        ridges: how high the paint stands, 0 (ink: flat in the paper) to 2.
    """

    kind: Literal["bristle"] = "bristle"
    bristles: int = 20
    hold: float = 0.6
    clumps: float = 0.8
    grain: float = 0.0
    oval: float = 1.0
    lean: float = 0.0
    ragged: tuple[float, float] = (0.015, 0.04)
    load: float = 1.0
    runs_out: float = 0.08
    runs_out_from: float = 0.4
    softness: float = 0.4
    rough: float = 0.02
    edge: float = 0.1
    ridges: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(
            self, bristles=(2, 200), hold=(0.02, 1), clumps=(0, 2), grain=(0, 2), oval=(0, 1), lean=(0, 2),
            ragged=(0, 0.5), load=(0, 1), runs_out=(0, 1), runs_out_from=(0, 0.95), softness=(0.05, 2), rough=(0, 0.3),
            edge=(0.01, 0.5), ridges=(0, 2),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RoundBrush(OwnPicture):
    """The round brush of Chinese painting, full of ink: it sets down on its tip, swells, and leaves in a point.

    Attributes:
        swells: over what part of the stroke it opens, least and most, each 0.01 to 0.5.
        tapers: over what part it leaves, least and most, each 0.01 to 0.9.
        lean: how far the tip may travel off the middle where the stroke is thin, 0 to 1.
        bleed: how far ink creeps beyond the edge, 0.02 to 0.5.
        pools: how unevenly ink settles, 0 to 0.2.
    """

    kind: Literal["round"] = "round"
    swells: tuple[float, float] = (0.08, 0.16)
    tapers: tuple[float, float] = (0.2, 0.4)
    lean: float = 0.5
    bleed: float = 0.12
    pools: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, swells=(0.01, 0.5), tapers=(0.01, 0.9), lean=(0, 1), bleed=(0.02, 0.5), pools=(0, 0.2))


@dataclass(frozen=True, kw_only=True)
class WashBrush(OwnPicture):
    """Much water and little ink.

    Attributes:
        tone: how much ink stays in the middle, 0.05 to 1.
        rim: how much more where the puddle dried last, 0 to 1.
        blooms: how unevenly it dries, 0 to 3.
        tide: how much water that creeps back leaves a mark, 0 to 0.5.
        granulation: how much pigment settles in the grain of the paper, 0 to 0.2.
        fades: over what part of the stroke it begins and ends, each 0.02 to 0.5.
    """

    kind: Literal["wash"] = "wash"
    tone: float = 0.5
    rim: float = 0.22
    blooms: float = 1.0
    tide: float = 0.06
    granulation: float = 0.012
    fades: tuple[float, float] = (0.2, 0.28)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(
            self, tone=(0.05, 1), rim=(0, 1), blooms=(0, 3), tide=(0, 0.5), granulation=(0, 0.2), fades=(0.02, 0.5)
        )  # fmt: skip


Brush = BristleBrush | RoundBrush | WashBrush

FILBERT, ROUND, WASH = BristleBrush(), RoundBrush(), WashBrush()
FEIBAI = BristleBrush(
    bristles=40, hold=0.5, clumps=0.4, grain=0.2, oval=0.0, lean=1.0, ragged=(0.012, 0.1), runs_out=0.6,
    runs_out_from=0.0, softness=0.45, ridges=0.0,
)  # fmt: skip
"""The round brush moved fast and nearly dry ("flying white"): solid where it sets down, then split into streaks."""
