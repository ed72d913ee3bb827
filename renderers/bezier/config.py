"""Configuration of the Bézier renderer."""

from dataclasses import dataclass
from typing import Literal

from conf.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The effort of a preset for one painting.

    Attributes:
        num_candidates, num_climbs: random starts, and steps of hill climbing, for each stroke placed.
        stages: joint refinement as (size, steps): the size is a share of `fit.worth_px`.
    """

    num_candidates: int
    num_climbs: int
    stages: tuple[tuple[float, int], ...]


EFFORTS = {
    "fast": Effort(num_candidates=5, num_climbs=8, stages=((0.25, 15), (0.5, 10))),
    "std": Effort(num_candidates=12, num_climbs=12, stages=((0.25, 10), (0.375, 5), (0.5, 40), (1.0, 8))),
    "best": Effort(num_candidates=32, num_climbs=32, stages=((0.25, 40), (0.5, 120), (1.0, 120))),
}


@dataclass(frozen=True, kw_only=True)
class BezierConfig:
    """Semi-transparent quadratic Bézier strokes.

    Attributes:
        preset: `fast`, `std` or `best`: how much time a painting may take.
        num_strokes: 10 to 5,000.
        opaque: strokes cover fully instead of letting what is below shine through.
        attention: how early what draws the eye is painted and finished, 0 to 4; at 0 all parts are treated alike. On a
            GPU it affects only the order of strokes.
        canvas: RGB of the blank canvas, each in [0, 1].
        device: where strokes are placed, refined and painted. On `cuda` many pictures are painted at once. Its strokes
            differ from the CPU's but are as good, and its frames are within 1/255 of what the CPU paints of them.
    """

    preset: Literal["fast", "std", "best"] = "std"
    num_strokes: int = 500
    opaque: bool = False
    attention: float = 1.0
    canvas: tuple[float, float, float] = (1.0, 1.0, 1.0)
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.preset not in EFFORTS:
            raise ConfigError("preset", self.preset, "one of " + ", ".join(EFFORTS))
        if not 10 <= self.num_strokes <= 5000:
            raise ConfigError("num_strokes", self.num_strokes, "10 to 5000")
        if not 0.0 <= self.attention <= 4.0:
            raise ConfigError("attention", self.attention, "0 to 4")
        if len(self.canvas) != 3 or not all(0.0 <= value <= 1.0 for value in self.canvas):
            raise ConfigError("canvas", list(self.canvas), "three numbers from 0 to 1, such as [1,1,1]")
        if self.device not in ("cpu", "cuda"):
            raise ConfigError("device", self.device, "cpu or cuda")

    @property
    def effort(self) -> Effort:
        """The effort of the preset."""
        return EFFORTS[self.preset]
