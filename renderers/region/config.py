"""Configuration of the region renderer."""

from dataclasses import dataclass, field
from typing import Literal

from conf.errors import ConfigError
from conf.value import Location
from renderers.bezier.config import EFFORTS

SEGMENTERS = ("graph", "sam", "truth")
SALIENCIES = ("mbd", "spectral", "deep")
ORDERS = ("salient", "back_to_front", "area", "user")
Place = int | tuple[float, float]
"""A region that a user names: its label, or a point (x, y) in it, in shares of the canvas."""

FILLS = ("reveal", "wash", "flat", "strokes")


@dataclass(frozen=True, kw_only=True)
class SamChoice:
    """Segment Anything (Kirillov et al., ICCV 2023), for `method=sam`.

    Attributes:
        checkpoint: path of a checkpoint of `variant`.
        variant: `vit_b`, `vit_l` or `vit_h`.
        device: of torch, such as `cpu` or `cuda`.
        points_per_side: prompts along each side, 1 to 128.
        points_per_batch: prompts that go through the decoder at once, 1 to 1,024.
        min_quality: masks whose quality the network itself judges lower are left out, 0 to 1.
        min_stability: so are masks that move more than this with their threshold, 0 to 1.
    """

    checkpoint: Location | None = None
    variant: Literal["vit_b", "vit_l", "vit_h"] = "vit_b"
    device: str = "cpu"
    points_per_side: int = 16
    points_per_batch: int = 64
    min_quality: float = 0.8
    min_stability: float = 0.9

    def __post_init__(self) -> None:
        _one_of("variant", self.variant, ("vit_b", "vit_l", "vit_h"))
        _within("points_per_side", self.points_per_side, 1, 128)
        _within("points_per_batch", self.points_per_batch, 1, 1024)
        _within("min_quality", self.min_quality, 0, 1)
        _within("min_stability", self.min_stability, 0, 1)


@dataclass(frozen=True, kw_only=True)
class SegmentChoice:
    """How a picture is cut into regions.

    Attributes:
        method: `graph` needs no weights; `sam` needs a checkpoint; `truth` takes the label map that the source brings.
        max_regions: of `graph` and `sam`, 2 to 1,000.
        min_regions: of `graph`, 1 to 1,000: only what is nearly alike is merged when there are no more than so many.
        tolerance: of `graph`, how unlike two neighbours may be and still become one; 0 to 200.
        least_area: of `graph` and `sam`, the smallest share of the canvas that is a region, 0 to 0.1.
        sam: the network of `sam`.
    """

    method: Literal["graph", "sam", "truth"] = "graph"
    max_regions: int = 60
    min_regions: int = 10
    tolerance: float = 32.0
    least_area: float = 0.0015
    sam: SamChoice = field(default_factory=SamChoice)

    def __post_init__(self) -> None:
        _one_of("method", self.method, SEGMENTERS)
        _within("max_regions", self.max_regions, 2, 1000)
        _within("min_regions", self.min_regions, 1, 1000)
        _within("tolerance", self.tolerance, 0, 200)
        _within("least_area", self.least_area, 0, 0.1)
        if self.method == "sam" and not self.sam.checkpoint:
            raise ConfigError("sam.checkpoint", self.sam.checkpoint, f"the path of a {self.sam.variant} checkpoint")


@dataclass(frozen=True, kw_only=True)
class SaliencyChoice:
    """How it is judged what draws the eye.

    Attributes:
        method: `mbd` (minimum barrier distance) and `spectral` need no weights; `deep` needs a network.
        network: path of a saliency network: `.onnx`, or TorchScript (`.pt`, `.ts`, `.torchscript`).
        input_px: side of the square that the network takes, 16 to 2,048.
        mean, std: of each channel, by which its input is normalised.
        output: which of its outputs is the map, as in Python: 0 the first, -1 the last.
        device: of torch or ONNX Runtime: `cpu` or `cuda`.
    """

    method: Literal["mbd", "spectral", "deep"] = "mbd"
    network: Location | None = None
    input_px: int = 320
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    output: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _one_of("method", self.method, SALIENCIES)
        _within("input_px", self.input_px, 16, 2048)
        if self.method == "deep" and not self.network:
            raise ConfigError("network", self.network, "the path of an ONNX or TorchScript saliency network")
        if len(self.mean) != 3:
            raise ConfigError("mean", list(self.mean), "three numbers")
        if len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError("std", list(self.std), "three numbers above 0")


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
        _one_of("medium", self.medium, ("bezier", "oil"))
        _one_of("preset", self.preset, tuple(EFFORTS))
        _within("num_strokes", self.num_strokes, 10, 5000)


@dataclass(frozen=True, kw_only=True)
class RegionConfig:
    """Region by region, and what is finished is never touched again.

    Attributes:
        segment: how the picture is cut.
        saliency: how it is judged what draws the eye.
        order: `salient`, `back_to_front`, `area` (large first) or `user`.
        user_order: for `order=user`: points [x, y] in shares of the canvas, or labels of regions, in painting order;
            regions that it does not name follow in the order `salient`.
        fill: how a region appears: `reveal` at once; `wash` softly from its core; `flat` in its mean colour, then with
            its detail; `strokes`.
        strokes: of `fill=strokes`.
        canvas: RGB of the blank canvas, each in [0, 1].
    """

    segment: SegmentChoice = field(default_factory=SegmentChoice)
    saliency: SaliencyChoice = field(default_factory=SaliencyChoice)
    order: Literal["salient", "back_to_front", "area", "user"] = "salient"
    user_order: tuple[Place, ...] = ()
    fill: Literal["reveal", "wash", "flat", "strokes"] = "reveal"
    strokes: RegionStrokes = field(default_factory=RegionStrokes)
    canvas: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        _one_of("order", self.order, ORDERS)
        _one_of("fill", self.fill, FILLS)
        if len(self.canvas) != 3 or not all(0.0 <= value <= 1.0 for value in self.canvas):
            raise ConfigError("canvas", list(self.canvas), "three numbers from 0 to 1, such as [1,1,1]")
        if (self.order == "user") != bool(self.user_order) or not all(map(_is_place, self.user_order)):
            raise ConfigError(
                "user_order", self.user_order,
                "with order=user, and only then, points [x,y] from 0 to 1 or labels, such as [[0.5,0.4],3]",
            )  # fmt: skip


def _is_place(value: object) -> bool:
    """A label, or a point on the canvas."""
    if isinstance(value, list | tuple):
        return len(value) == 2 and all(isinstance(v, int | float) and 0.0 <= v <= 1.0 for v in value)
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, "one of " + ", ".join(allowed))


def _within(key: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ConfigError(key, value, f"{lowest} to {highest}")
