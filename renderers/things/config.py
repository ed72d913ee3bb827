"""Configuration of finding the things of a picture."""

import math
from dataclasses import dataclass, field
from typing import Literal

from conf.errors import ConfigError
from conf.value import Location

METHODS = ("auto", "graph", "sam", "truth")
SALIENCIES = ("mbd", "background", "spectral", "deep")


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
        min_stability: so are masks that are less stable than this when their threshold shifts, 0 to 1.
    """

    checkpoint: Location | None = None
    variant: Literal["vit_b", "vit_l", "vit_h"] = "vit_b"
    device: str = "cpu"
    points_per_side: int = 16
    points_per_batch: int = 64
    min_quality: float = 0.8
    min_stability: float = 0.9

    def __post_init__(self) -> None:
        one_of("variant", self.variant, ("vit_b", "vit_l", "vit_h"))
        within("points_per_side", self.points_per_side, 1, 128)
        within("points_per_batch", self.points_per_batch, 1, 1024)
        within("min_quality", self.min_quality, 0, 1)
        within("min_stability", self.min_stability, 0, 1)


@dataclass(frozen=True, kw_only=True)
class SaliencyChoice:
    """How saliency is computed.

    Attributes:
        method: `mbd` (minimum barrier distance), `background` (what is not connected with the border) and
            `spectral` need no weights; `deep` needs a network.
        network: path of a saliency network: `.onnx`, or TorchScript (`.pt`, `.ts`, `.torchscript`).
        input_px: side of the square that the network takes, 16 to 2,048.
        mean, std: of each channel, by which its input is normalised.
        output: which of its outputs is the map, as in Python: 0 the first, -1 the last.
        device: of torch or ONNX Runtime: `cpu` or `cuda`.
    """

    method: Literal["mbd", "background", "spectral", "deep"] = "mbd"
    network: Location | None = None
    input_px: int = 320
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    output: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        one_of("method", self.method, SALIENCIES)
        within("input_px", self.input_px, 16, 2048)
        network = "an ONNX or TorchScript saliency network"
        file_of("method=deep", self.method == "deep", "network", self.network, network)
        if len(self.mean) != 3 or not all(map(math.isfinite, self.mean)):
            raise ConfigError("mean", list(self.mean), "three numbers")
        if len(self.std) != 3 or not all(0 < deviation < math.inf for deviation in self.std):
            raise ConfigError("std", list(self.std), "three numbers above 0")


@dataclass(frozen=True, kw_only=True)
class ThingsConfig:
    """How the things of a picture are found.

    Attributes:
        method: `auto` takes the label map that a source brings, else works as `graph`; `graph` needs no weights; `sam`
            needs a checkpoint; `truth` takes the source's label map and refuses pictures without one.
        max_things: 1 to 255.
        least_area: the smallest share of the canvas that is a thing, 0 to 0.1.
        saliency: how it is judged what draws the eye.
        sam: the network of `sam`.
    """

    method: Literal["auto", "graph", "sam", "truth"] = "auto"
    max_things: int = 8
    least_area: float = 0.004
    saliency: SaliencyChoice = field(default_factory=lambda: SaliencyChoice(method="background"))
    sam: SamChoice = field(default_factory=SamChoice)

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        within("max_things", self.max_things, 1, 255)
        within("least_area", self.least_area, 0, 0.1)
        checkpoint = f"a {self.sam.variant} checkpoint"
        file_of("method=sam", self.method == "sam", "sam.checkpoint", self.sam.checkpoint, checkpoint)


def file_of(choice: str, is_chosen: bool, key: str, path: str | None, what: str) -> None:
    """Refuse a choice without the file that it needs, and a file that nothing would read without that choice."""
    if is_chosen and not path:
        raise ConfigError(key, path, f"the path of {what}")
    if path and not is_chosen:
        raise ConfigError(key, path, f"null, or set {choice}")


def one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is none of those allowed."""
    if value not in allowed:
        raise ConfigError(key, value, "one of " + ", ".join(allowed))


def within(key: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a number outside its range."""
    if not lowest <= value <= highest:
        raise ConfigError(key, value, f"{lowest} to {highest}")
