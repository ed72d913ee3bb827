"""From an image to a painting. Pure functions of (image, configuration, seed): no files, clocks, processes, network.

Every package in this folder that defines `RENDERER`, an instance of `renderers.family.Renderer`, is a family of
renderers; adding one needs no other change here.
"""

import importlib
import pkgutil
import typing

import process_painter  # noqa: F401  (before packages of the same names in the working directory)

if typing.TYPE_CHECKING:
    from renderers.family import Renderer

_NOT_FAMILIES = frozenset({"raster", "things"})


def families() -> tuple[str, ...]:
    """Names of the renderer packages."""
    return tuple(
        module.name for module in pkgutil.iter_modules(__path__) if module.ispkg and module.name not in _NOT_FAMILIES
    )


def renderer(family: str) -> "Renderer":
    """The renderer of the package of that name.

    Raises:
        ValueError: if there is no such family.
        TypeError: if the package defines no renderer, or one with a public name that is not a hook of `Renderer`.
    """
    if family not in families():
        raise ValueError(f"no renderer '{family}'; there are {', '.join(families())}")
    from renderers.family import Renderer

    instance = vars(importlib.import_module(f"renderers.{family}")).get("RENDERER")
    if not isinstance(instance, Renderer):
        raise TypeError(f"renderers/{family}: RENDERER must be an instance of renderers.family.Renderer")
    return instance
