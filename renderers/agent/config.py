"""Configuration of the learned agent."""

from dataclasses import dataclass

from conf.errors import ConfigError
from conf.value import Location

MOST_TILES = 16
"""Along each side of a canvas that is divided."""


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """An actor of Learning to Paint, and how long it paints.

    Attributes:
        actor: path of its weights.
        width_px: side of the square canvas that it was trained on, 16 to 1,024.
        num_steps: steps of five strokes each, 1 to 1,000. With `divide`, the second half is painted in tiles.
        divide: 1 to 16: this many tiles along each side.
        canvas: RGB of the blank canvas that it was trained on, each in [0, 1].
    """

    actor: Location | None = None
    width_px: int = 128
    num_steps: int = 40
    divide: int = 1
    canvas: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.actor:
            allowed = "the path of an actor's weights: as released (actor.pkl), or from a run of stage=agent"
            raise ConfigError("actor", self.actor, allowed)
        if not 1 <= self.divide <= MOST_TILES:
            raise ConfigError("divide", self.divide, f"1 to {MOST_TILES}")
        least = 1 if self.divide == 1 else 2
        for key, lowest, highest in (("width_px", 16, 1024), ("num_steps", least, 1000)):
            value = getattr(self, key)
            if not lowest <= value <= highest:
                raise ConfigError(key, value, f"{lowest} to {highest}")
        if len(self.canvas) != 3 or not all(0.0 <= value <= 1.0 for value in self.canvas):
            raise ConfigError("canvas", list(self.canvas), "three numbers from 0 to 1, such as [0,0,0]")
