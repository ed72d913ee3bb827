"""From an image to a painting. Pure functions of (image, configuration, seed): no files, clocks, processes, network.

Every package in this folder that offers `Config`, `paint` and `replay` (see `renderers.painting.Renderer`) is a family
of renderers; adding one needs nothing else here.
"""

import importlib
import pkgutil
import typing
from collections.abc import Sequence

if typing.TYPE_CHECKING:
    import numpy as np

    from renderers.painting import Image, Painting, Renderer, StrokeProgram

_NOT_FAMILIES = frozenset({"raster"})


def families() -> tuple[str, ...]:
    """Names of the renderer packages."""
    return tuple(
        module.name for module in pkgutil.iter_modules(__path__) if module.ispkg and module.name not in _NOT_FAMILIES
    )


def renderer(family: str) -> "Renderer":
    """The renderer package of that name.

    Raises:
        ValueError: if there is none.
    """
    if family not in families():
        raise ValueError(f"no renderer '{family}'; there are {', '.join(families())}")
    return typing.cast("Renderer", importlib.import_module(f"renderers.{family}"))


def gains_by_batches(family: str, config: typing.Any) -> bool:
    """Whether many pictures together take less time with that configuration than one by one."""
    return bool(getattr(renderer(family), "gains_by_batches", lambda _: False)(config))


def paint_batch(
    family: str, images: "Sequence[Image]", config: typing.Any, seeds: "Sequence[np.random.SeedSequence]"
) -> "list[Painting]":
    """Paint (H, W, 3) images of one size, all at once or, where the family knows no better, one by one."""
    package = renderer(family)
    together = getattr(package, "paint_batch", None)
    if together is not None:
        return typing.cast("list[Painting]", together(images, config, seeds))
    return [package.paint(image, config, seed) for image, seed in zip(images, seeds, strict=True)]


def replay_batch(
    family: str, programs: "Sequence[StrokeProgram]", steps: Sequence[Sequence[int]], config: typing.Any
) -> "list[list[Image]]":
    """The canvases of each program after each of its steps, painted where the configuration says."""
    package = renderer(family)
    together = getattr(package, "replay_batch", None)
    if together is not None:
        return typing.cast("list[list[Image]]", together(programs, steps, config))
    return [list(package.replay(program, chosen)) for program, chosen in zip(programs, steps, strict=True)]
