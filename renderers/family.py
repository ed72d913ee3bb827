"""The interface that every family of renderers implements, and through which all other code uses them."""

import difflib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram

if TYPE_CHECKING:
    from renderers.time_line import TimeLine

WHITE = (1.0, 1.0, 1.0)

AssetKind = Literal["bytes", "picture", "rgba", "grey", "tensors", "sam", "saliency", "actor"]


@dataclass(frozen=True, kw_only=True)
class AssetFile:
    """A file that a configuration names. Renderers open no files: it is read for them before anything is painted.

    Attributes:
        key: its dotted key in the configuration, for error messages.
        path: as the user gave it.
        kind: the form in which `paint` gets it: its `bytes`; a `picture` (h, w, 3), `rgba` (h, w, 4) or `grey` (h, w),
            float32 in [0, 1]; `tensors` by name; or, for `sam`, `saliency` and `actor`, a handle whose `load` gives the
            network.
        what: what the file must be, for error messages.
        largest_px: a `picture` is made smaller until its longer side is no more than this.
    """

    key: str
    path: str
    kind: AssetKind
    what: str = "a file that can be read"
    largest_px: int | None = None


@dataclass(frozen=True, kw_only=True)
class Note:
    """What was done between one step of a program and another.

    Attributes:
        phase: the phase of the painting at the later step.
        thing: the object that is being painted, by name or number; None for the whole canvas.
        doing: the same in words, for captions.
        receding: whether any step in between was not meant to bring the canvas nearer to the finished one: a drawing,
            or a wrong colour that is corrected later.
    """

    phase: str
    thing: str | int | None
    doing: str
    receding: bool


class Renderer(ABC):
    """A family of renderers. Its package under `renderers/` defines an instance named `RENDERER`.

    A family must have `config_type`, `paint` and `replay`; the other methods are hooks whose defaults suit strokes on
    white that need nothing but the picture. Defining a subclass raises TypeError if it has a public name that is not a
    hook, or a hook that takes other arguments.

    Attributes:
        config_type: the frozen dataclass of its configuration; it raises `ConfigError`, which names its own field.
    """

    config_type: ClassVar[type[Any]]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name, value in vars(cls).items():
            if not name.startswith("_"):
                _check_hook(f"{cls.__module__}.{cls.__qualname__}.{name}", name, value)
        if not hasattr(cls, "config_type"):
            raise TypeError(f"{cls.__module__}.{cls.__qualname__}.config_type: is missing; it must be a dataclass")

    @abstractmethod
    def paint(
        self,
        image: Image,
        config: Any,
        seed: np.random.SeedSequence,
        assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:
        """Paint a (H, W, 3) float32 RGB image in [0, 1]. A pure function: the same arguments give the same bytes.

        Args:
            image, config, seed: the picture, an instance of `config_type`, and the seed of all random numbers.
            assets: what was read from each of `asset_files`, by name.
            known: what the source knows of the picture.

        Raises:
            ConfigError: if the configuration does not fit this picture, which is then left out of the data set.
        """

    def plan(
        self,
        image: Image,
        config: Any,
        seed: np.random.SeedSequence,
        assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> StrokeProgram:
        """The strokes that `paint` plans, for callers that do not need the distance after each of them."""
        return self.paint(image, config, seed, assets, known).program

    def follows(self, config: Any, *, begun: bool = False) -> bool:
        """Whether it can `follow` a painter with that configuration, from a blank canvas or one that is `begun`."""
        return False

    def follow(
        self, image: Image, time_line: "TimeLine", config: Any, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS
    ) -> Painting:
        """Paint a (H, W, 3) image in the order in which a painter did, at the pace of `renderers.pace`.

        Args:
            image: as in `paint`.
            time_line: the painter's frames, and what is on the canvas already.
            config, seed, assets: as in `paint`.

        Raises:
            NotImplementedError: in families that do not follow.
        """
        raise NotImplementedError

    @abstractmethod
    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The canvas after each of the given steps (ascending, from 0 = blank), at (height, width) or its own size."""

    def notes(self, program: StrokeProgram, steps: Sequence[int]) -> list[Note] | None:
        """What is done between each of the given steps (ascending) and the one before it; None in families without
        phases."""
        return None

    def phrase(self, config: Any) -> str:
        """The method phrase for captions where the user gives none."""
        return ""

    def gains_by_batches(self, config: Any) -> bool:
        """Whether many pictures together take less time with that configuration than one by one."""
        return False

    def paint_batch(
        self,
        images: Sequence[Image],
        config: Any,
        seeds: Sequence[np.random.SeedSequence],
        assets: Assets = NO_ASSETS,
        known: Sequence[Knowledge] = (),
    ) -> list[Painting]:
        """Paint (H, W, 3) images of one size: one by one here, all at once in families that gain by batches.

        Args:
            images, config, seeds, assets: as in `paint`, with one seed for each image.
            known: what the source knows of each picture; empty if it knows nothing.

        Raises:
            MemoryError: if a GPU has too little.
        """
        knowledge = known or [NOTHING_KNOWN] * len(images)
        return [
            self.paint(image, config, seed, assets, known_of_image)
            for image, seed, known_of_image in zip(images, seeds, knowledge, strict=True)
        ]

    def replay_batch(
        self, programs: Sequence[StrokeProgram], steps: Sequence[Sequence[int]], config: Any
    ) -> list[list[Image]]:
        """The canvases of each program after each of its steps, painted where the configuration says.

        On a device other than the CPU, canvases may differ by 1/255 from what `replay` paints.
        """
        return [list(self.replay(program, chosen)) for program, chosen in zip(programs, steps, strict=True)]

    def device(self, config: Any) -> str:
        """The device on which a configuration computes, by its name in torch: `cpu`, or another one."""
        return "cpu"

    def ground(self, config: Any) -> tuple[float, float, float]:
        """RGB of the blank canvas, in [0, 1]; transparent pictures are composited over it."""
        return WHITE

    def asset_files(self, config: Any) -> Mapping[str, AssetFile]:
        """Files that a configuration names, by the names under which `paint` gets their contents in `assets`."""
        return {}

    def check_assets(self, config: Any, assets: Assets) -> None:  # noqa: B027  (by default every file is accepted)
        """Check the contents of the files before anything is painted.

        Raises:
            ConfigError: if a file is not usable; it names the key of the file.
        """

    def check_source(self, config: Any, *, brings_labels: bool) -> None:  # noqa: B027
        """Check that a source provides what a configuration needs.

        Args:
            config: an instance of `config_type`.
            brings_labels: whether its pictures come with a label map.

        Raises:
            ConfigError: if it does not; it names the key that needs it, and what is allowed with this source.
        """

    def check_image(self, image: Image, config: Any, assets: Assets = NO_ASSETS) -> None:  # noqa: B027
        """Check that an image holds what a configuration names, before anything is computed for it.

        Args:
            image, config, assets: as in `paint`.

        Raises:
            ConfigError: as `paint` and `follow` would where the source knows nothing of the picture.
        """

    def reads_depth(self, config: Any) -> bool:
        """Whether `paint` may use `known.depth` with that configuration; if not, depth maps are not even opened."""
        return True

    def distances(self, program: StrokeProgram, canvases: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Distances in [0, 1] of (h, w, 3) canvases, the first blank and the last finished, from the finished one."""
        from renderers.distance import canvas_distances  # this loads numba, which `--help` does not need

        return canvas_distances(list(canvases), canvases[0])


def _check_hook(where: str, name: str, value: object) -> None:
    """Raise TypeError for an attribute that is not a hook, or a hook with another signature."""
    hooks = ("config_type", *(hook for hook in vars(Renderer) if not hook.startswith("_")))
    if name not in hooks:
        (nearest,) = difflib.get_close_matches(name, hooks, 1, cutoff=0.0)
        raise TypeError(f"{where}: not a hook of renderers; did you mean {nearest}? Other names begin with _")
    if name == "config_type":
        if not (isinstance(value, type) and is_dataclass(value)):
            raise TypeError(f"{where}: must be a dataclass, not {value!r}")
        return
    if not inspect.isfunction(value):
        raise TypeError(f"{where}: must be a method, not {value!r}")
    actual, expected = inspect.signature(value), inspect.signature(getattr(Renderer, name))
    if not _takes_all(actual, expected):
        raise TypeError(f"{where}: takes {_short(actual)}, not {_short(expected)}")


def _takes_all(actual: inspect.Signature, expected: inspect.Signature) -> bool:
    """Whether a method can be called in every way that the expected signature allows; it may allow more."""
    parameters, needed = actual.parameters, expected.parameters
    if [name for name in parameters if name in needed] != list(needed):
        return False
    same_kinds = all(parameters[name].kind == needed[name].kind for name in needed)
    required = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    return same_kinds and all(name in needed and needed[name].default is inspect.Parameter.empty for name in required)


def _short(signature: inspect.Signature) -> str:
    """A signature without types, and with `...` in place of defaults."""
    bare = [
        parameter.replace(
            annotation=parameter.empty, default=parameter.empty if parameter.default is parameter.empty else ...
        )
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(bare)).replace("Ellipsis", "...")
