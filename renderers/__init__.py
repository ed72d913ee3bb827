"""From an image to a painting. Pure functions of (image, configuration, seed): no files, clocks, processes, network.

Every package in this folder that offers `Config`, `paint` and `replay` (see `renderers.painting.Renderer`) is a family
of renderers; adding one needs nothing else here.
"""

import importlib
import pkgutil
import typing

if typing.TYPE_CHECKING:
    from renderers.painting import Renderer

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
