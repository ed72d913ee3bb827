"""The configuration of `pipelines.paint`, checked; no heavy imports here."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conf.compose import compose, typed
from conf.errors import ConfigError
from conf.printable import as_typed
from conf.recipe import first_difference
from conf.value import Location
from pipelines.inference.smoothing import Smoothing
from pipelines.sources.framing import Fit
from pipelines.synthesis.renderer_choice import RendererChoice, single_renderer
from renderers.studio.phases import check_chosen
from renderers.things.spoken_order import check_spoken
from training.data.remote import AnyPath

LONGEST_CANVAS_PX = 2048
"""Longest side of a canvas on which strokes are painted."""

_MOST_FRAMES = 256
_ALLOWED_ORDER = "words such as 'the background first, then the subject', or null"
_STROKE_KEYS = ("renderer", "canvas_px", "shown_frames", "order")
_INVERSION_KEYS = ("shared", "inverted")
_GUIDANCE = {"generate": 5.0, "reconstruct": 5.0, "complete": 4.0}  # docs/decisions/037
_PICTURE_KEYS = ("network", "inversion", "keep", *_INVERSION_KEYS)


@dataclass(frozen=True, kw_only=True)
class PinnedFile:
    """A picture file for a frame, and its strength."""

    path: Path
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError("strength", self.strength, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class StrokeExecution:
    """How a process is executed in strokes.

    Attributes:
        renderer: the renderer whose strokes are painted.
        canvas_px: long side of the canvas; None for that of the picture.
        shown_frames: how many frames are written; None for as many as the painter paints.
        order: words that name parts of the picture, in the order in which they are painted; None for the painter's
            order.
    """

    renderer: RendererChoice
    canvas_px: int | None
    shown_frames: int | None
    order: str | None

    def __post_init__(self) -> None:
        if not self.renderer.renderer.follows(self.renderer.config):
            allowed = "bezier, oil, ink or studio, on the CPU: strokes in a painter's order"
            raise ConfigError("renderer", self.renderer.name, allowed)
        if self.order is not None and not self.order.strip():
            raise ConfigError("order", self.order, _ALLOWED_ORDER)
        if self.order is not None:
            check_spoken(self.order)
        choice = self.renderer
        if self.order is not None and choice.family == "studio" and choice.config.order != "mixed":
            raise ConfigError("renderer.order", choice.config.order, "mixed beside order=, which the studio follows")
        choice.refuse_labels()
        for key, lowest, highest in (("canvas_px", 64, LONGEST_CANVAS_PX), ("shown_frames", 2, _MOST_FRAMES)):
            value = getattr(self, key)
            if value is not None and not lowest <= value <= highest:
                raise ConfigError(key, value, f"{lowest} to {highest}")


@dataclass(frozen=True, kw_only=True)
class PaintConfig:
    """What to paint; `conf/paint.yaml` says what each key means."""

    task: Literal["generate", "reconstruct", "complete"]
    prompt: str
    negative: str
    phases: tuple[str, ...] | None
    image: Path | None
    pictures: tuple[Path, ...] = ()  # what `image` is when it is a list
    dataset: Location | None
    split: Literal["val", "train"]
    num_sequences: int | None
    batch_size: int
    at: int
    conditions: Mapping[int, PinnedFile]
    painter: AnyPath
    loras: Mapping[str, float]
    out: Path
    num_frames: int | None
    size: Any
    fit: Fit
    steps: int
    guidance: float
    guidance_rescale: float | None
    network: bool
    inversion: bool
    keep: bool
    shared: float | None
    inverted: float | None
    seed: int
    dtype: Literal["fp32", "bf16", "fp16"]
    device: str
    offload: Literal["none", "model", "group", "sequential"]
    vae: Literal["whole", "sliced", "tiled"]
    compile: bool
    frames_per_s: float
    lossless: bool
    smoothing: Smoothing
    strokes: StrokeExecution | None = None

    def __post_init__(self) -> None:
        if self.phases is not None:
            check_chosen(self.phases)
        for key, lowest, highest in (
            ("steps", 1, 1000), ("guidance", 1, 100), ("seed", 0, 2**63 - 1), ("frames_per_s", 0.1, 60),
            *([("num_frames", 2, _MOST_FRAMES)] if self.num_frames is not None else []),
            ("at", 0, (self.num_frames or _MOST_FRAMES) - 2 if self.task == "complete" else self.at),
            ("batch_size", 1, 1024), *([("num_sequences", 1, 10**9)] if self.num_sequences is not None else []),
            *((key, 0, 1) for key in ("guidance_rescale", "shared", "inverted") if getattr(self, key) is not None),
        ):  # fmt: skip
            if not lowest <= getattr(self, key) <= highest:
                raise ConfigError(key, getattr(self, key), f"{lowest} to {highest}")
        for name, strength in self.loras.items():
            if not math.isfinite(strength):
                raise ConfigError(f"loras.{name}", strength, "a finite number")
        if self.compile and self.offload in ("group", "sequential"):
            raise ConfigError(
                "compile", "true", f"false with offload={self.offload}, which moves layers between devices"
            )
        given = self.image if self.image is not None else [str(path) for path in self.pictures] or None
        if self.dataset is not None:
            self._check_dataset(given)
        elif (given is None) == (self.task != "generate"):
            allowed = f"the picture to {self.task}" if given is None else f"null, with task={self.task}"
            raise ConfigError("image", given, allowed)
        if self.task == "generate" and not (self.prompt or self.conditions or self.dataset):
            raise ConfigError("prompt", "''", "what to paint; or give an image with task=reconstruct, or conditions")
        if self.strokes is not None and self.task == "complete":
            choice = self.strokes.renderer
            if not choice.renderer.follows(choice.config, begun=True):
                raise ConfigError(
                    "renderer",
                    choice.name,
                    "bezier, oil, ink, or studio with renderer.medium=oil or digital, for task=complete",
                )
        if self.num_frames is not None:
            self._check_conditions(self.num_frames)

    def _check_conditions(self, num_frames: int) -> None:
        """Refuse pictures beyond the process, and two for one frame."""
        conditions_by_slot: dict[int, int] = {}
        for frame in self.conditions:
            if not -num_frames <= frame < num_frames:
                raise ConfigError("conditions", frame, f"frames {-num_frames} to {num_frames - 1}")
            if (slot := frame % num_frames) in conditions_by_slot:
                raise ConfigError("conditions", frame, f"each frame once; {conditions_by_slot[slot]} is the same one")
            conditions_by_slot[slot] = frame
        if self.task != "generate" and (slot := self.image_frame % num_frames) in conditions_by_slot:
            allowed = f"other frames; task={self.task} puts its image there"
            raise ConfigError("conditions", conditions_by_slot[slot], allowed)

    def _check_dataset(self, given: object) -> None:
        """Refuse an image or a prompt beside a data set, whose pictures or captions replace them."""
        if given is not None:
            raise ConfigError("image", given, "null beside dataset=, whose pictures are painted")
        if self.task == "generate" and self.prompt:
            raise ConfigError("prompt", self.prompt, "'' with dataset= and task=generate, which paints its captions")

    @property
    def length(self) -> int:
        """`num_frames`, where it is known: while it is null, only the painter's card says."""
        assert self.num_frames is not None
        return self.num_frames

    @property
    def image_frame(self) -> int:
        """The frame that `image` is pinned to."""
        return self.at if self.task == "complete" else -1

    @property
    def pinned(self) -> dict[int, PinnedFile]:
        """All pictures, by frame from 0."""
        pinned = {frame % self.length: file for frame, file in self.conditions.items()}
        if self.image is not None:
            pinned[self.image_frame % self.length] = PinnedFile(path=self.image)
        return dict(sorted(pinned.items()))


@dataclass(frozen=True, kw_only=True)
class _StrokeKeys:
    """The keys of `StrokeExecution` as a user types them; their types are checked, their ranges are not yet."""

    renderer: dict[str, Any]
    canvas_px: int | None
    shown_frames: int | None
    order: str | None


def paint_config(plain: dict[str, Any]) -> PaintConfig:
    """The typed configuration.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    conditions = {} if plain["conditions"] is None else plain["conditions"]
    if not isinstance(conditions, Mapping):
        allowed = "pictures by frame, each frame once, as {0: sketch.png, -1: final.png}"
        raise ConfigError("conditions", conditions, allowed)
    pinned = {}
    for frame, file in conditions.items():
        try:
            number = int(frame)
        except ValueError:
            raise ConfigError("conditions", frame, "numbers of frames, as {0: sketch.png, -1: final.png}") from None
        if number in pinned:
            raise ConfigError("conditions", number, "each frame once")
        if isinstance(file, list):
            raise ConfigError(f"conditions.{number}", file, "one picture, or {path: PICTURE, strength: 0.8}")
        pinned[number] = file if isinstance(file, Mapping) else {"path": file}
    image = plain["image"]
    several = list(image) if isinstance(image, Sequence) and not isinstance(image, str) else []
    if several == image:
        if not several or any(isinstance(picture, list | dict | None) for picture in several):
            raise ConfigError("image", image, "a picture, a folder, or a list of them")
        plain = {**plain, "image": None, "pictures": several}
    if plain["guidance"] is None:
        plain = {**plain, "guidance": _GUIDANCE.get(plain["task"])}
    execution = plain["execution"]
    if execution not in ("frames", "strokes"):
        raise ConfigError("execution", execution, "frames or strokes")
    if not isinstance(plain["order"], str | None):
        raise ConfigError("order", plain["order"], _ALLOWED_ORDER)
    if isinstance(phases := plain["phases"], str | list):
        names = phases.split(",") if isinstance(phases, str) else map(str, phases)
        plain = {**plain, "phases": [name.strip().replace("-", "_") for name in names]}
    stroke_keys = typed(_StrokeKeys, {key: plain[key] for key in _STROKE_KEYS})
    paint_keys = {key: value for key, value in plain.items() if key not in (*_STROKE_KEYS, "execution")}
    config = typed(
        PaintConfig, {**paint_keys, "conditions": pinned, "loras": {} if plain["loras"] is None else plain["loras"]}
    )
    _refuse_unused(plain, compose("paint", ()))
    if execution == "frames":
        return config
    strokes = StrokeExecution(**{**vars(stroke_keys), "renderer": single_renderer(stroke_keys.renderer)})
    return dataclasses.replace(config, strokes=strokes)


def _refuse_unused(plain: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise ConfigError for a key that was set and would do nothing, because the feature that reads it is switched off.

    Args:
        plain: the configuration as the user typed it.
        defaults: the configuration where nothing is typed.
    """
    # A process of more frames than the painter knows is painted in pieces, which are given their ends as pictures.
    has_pictures = plain["task"] != "generate" or bool(plain["conditions"]) or plain["num_frames"] is not None
    unused: dict[str, tuple[str, ...]] = {
        "execution=strokes": _STROKE_KEYS if plain["execution"] == "frames" else (),
        "dataset=...": ("split", "num_sequences") if plain["dataset"] is None else (),
        "task=complete": ("at",) if plain["task"] != "complete" else (),
        "guidance above 1": ("negative", "guidance_rescale") if plain["guidance"] == 1 else (),
        "image=... or conditions=...": _PICTURE_KEYS if not has_pictures else (),
        "inversion=true": _INVERSION_KEYS if plain["inversion"] is False else (),
    }
    for reader, keys in unused.items():
        for key in keys:
            given, default = plain[key], defaults[key]
            if key == "renderer" and given.get("name") != default["name"]:
                raise ConfigError(key, given.get("name") or given.get("family"), f"{default['name']}, or set {reader}")
            if difference := first_difference({key: default}, {key: given}):
                dotted, default_value, given_value = difference
                allowed = "''" if default_value == "" else as_typed(default_value)
                raise ConfigError(dotted, given_value, f"{allowed}, or set {reader}")
