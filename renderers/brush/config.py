"""Configuration of the brush renderer: oil, and Chinese ink."""

from dataclasses import dataclass, field
from typing import Literal

from conf.errors import ConfigError
from conf.value import Location
from renderers.bezier.config import EFFORTS, Effort
from renderers.brush.kinds import FEIBAI, FILBERT, ROUND, WASH, Brush


@dataclass(frozen=True, kw_only=True)
class StyleChoice:
    """Paint in the manner of a picture.

    Attributes:
        path: the picture; None for none.
        strength: 0 to 1, how far its colours and contrast are taken over.
        features: `colours` needs no weights; `vgg` also takes Gram matrices of a torchvision VGG.
        weights: a torchvision VGG-16 or VGG-19 state dict, for `vgg`.
    """

    path: Location | None = None
    strength: float = 0.8
    features: Literal["colours", "vgg"] = "colours"
    weights: Location | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ConfigError("strength", self.strength, "0 to 1")
        if self.features not in ("colours", "vgg"):
            raise ConfigError("features", self.features, "colours or vgg")
        if self.features == "vgg" and not self.weights:
            raise ConfigError("weights", self.weights, "the path of a torchvision VGG-16 or VGG-19 state dict")


@dataclass(frozen=True, kw_only=True)
class BrushConfig:
    """Textured strokes.

    Attributes:
        medium: `oil` covers; `ink` only darkens.
        preset: `fast`, `std` or `best`: how much time a painting may take.
        num_strokes: 10 to 5,000; ink may leave some out that would hardly be seen.
        attention: how early what draws the eye is painted and finished, 0 to 4; at 0 all parts are treated alike. Above
            0, the first strokes of oil keep within silhouettes, and washes of ink run from one tone to the next.
        loss: what the joint refinement of all strokes minimises: the sum of squared errors, or of absolute ones (L1).
        transport: 0 to 100, weight of optimal transport besides `loss`, for strokes far from where they belong.
        canvas: RGB of the toned canvas or the paper, each in [0, 1].
        brush: the brush of oil. Ink has three brushes of its own, but paints with this one if it has a `path`.
        line_brush, dry_brush, wash_brush: the brushes of ink: for lines, for dark slender washes, for broad ones.
        relief: 0 to 1, how thick oil is: ridges that catch light. It looks good, but lowers likeness.
        palette: how many colours oil is mixed from, 2 to 64; 0 for as many as it takes.
        dark_to_light: lay each layer of oil from darks to lights.
        order: of ink: `washes_first` or `lines_first`.
        empty: 0 to 0.8, share of the paper, its lightest, that ink leaves empty.
        pigments: tint ink with indigo, ochre, cinnabar and gamboge where the picture is colourful.
        style: paint in the manner of a picture.
    """

    medium: Literal["oil", "ink"] = "oil"
    preset: Literal["fast", "std", "best"] = "std"
    num_strokes: int = 500
    attention: float = 1.0
    loss: Literal["squares", "absolute"] = "squares"
    transport: float = 0.0
    canvas: tuple[float, float, float] = (0.82, 0.76, 0.66)
    brush: Brush = FILBERT
    line_brush: Brush = ROUND
    dry_brush: Brush = FEIBAI
    wash_brush: Brush = WASH
    relief: float = 0.2
    palette: int = 0
    dark_to_light: bool = False
    order: Literal["washes_first", "lines_first"] = "washes_first"
    empty: float = 0.28
    pigments: bool = True
    style: StyleChoice = field(default_factory=StyleChoice)

    def __post_init__(self) -> None:
        if self.medium not in ("oil", "ink"):
            raise ConfigError("medium", self.medium, "oil or ink")
        if self.preset not in EFFORTS:
            raise ConfigError("preset", self.preset, "one of " + ", ".join(EFFORTS))
        if not 10 <= self.num_strokes <= 5000:
            raise ConfigError("num_strokes", self.num_strokes, "10 to 5000")
        if not 0.0 <= self.attention <= 4.0:
            raise ConfigError("attention", self.attention, "0 to 4")
        if self.loss not in ("squares", "absolute"):
            raise ConfigError("loss", self.loss, "squares or absolute")
        if not 0.0 <= self.transport <= 100.0:
            raise ConfigError("transport", self.transport, "0 to 100")
        if len(self.canvas) != 3 or not all(0.0 <= value <= 1.0 for value in self.canvas):
            raise ConfigError("canvas", list(self.canvas), "three numbers from 0 to 1, such as [1,1,1]")
        for key in ("line_brush", "dry_brush", "wash_brush"):
            if (path := getattr(self, key).path) is not None:
                raise ConfigError(
                    f"{key}.path", path, "null; brush.path gives a picture that replaces all three brushes"
                )
        if not 0.0 <= self.relief <= 1.0:
            raise ConfigError("relief", self.relief, "0 to 1")
        if self.palette != 0 and not 2 <= self.palette <= 64:
            raise ConfigError("palette", self.palette, "0 (free), or 2 to 64 colours")
        if self.order not in ("washes_first", "lines_first"):
            raise ConfigError("order", self.order, "washes_first or lines_first")
        if not 0.0 <= self.empty <= 0.8:
            raise ConfigError("empty", self.empty, "0 to 0.8")

    @property
    def effort(self) -> Effort:
        """The effort of the preset."""
        return EFFORTS[self.preset]
