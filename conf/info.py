"""What `--info` prints: the versions and folders that a report of a fault should name."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from conf import CONF_FOLDER
from conf.help import split_defaults

_PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "kornia",
    "webdataset",
    "ray",
    "hydra-core",
    "wandb",
    "numba",
    "numpy",
)


def info_text(name: str, own_folder: Path | None = None) -> str:
    """Versions, search path, groups and launchers of a command.

    Args:
        name: name of `conf/<name>.yaml`.
        own_folder: folder of the user's own YAML files.
    """
    folders = [f"  {CONF_FOLDER}", *([f"  {own_folder} (--config-dir)"] if own_folder is not None else [])]
    chosen = [
        f"  {group}: {choice}"
        for group, choice in split_defaults((CONF_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))[1]
    ]
    launchers = sorted({"basic", *(name for name in map(_launcher, distributions()) if name)})
    return "\n".join(
        [
            f"process-painter {version('process-painter')}, command {name}",
            f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}",
            *(f"  {package} {_version(package)}" for package in _PACKAGES),
            "configuration is read from",
            *folders,
            "default choices",
            *(chosen or ["  none"]),
            f"launchers for -m: {', '.join(launchers)}",
        ]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _launcher(distribution: object) -> str | None:
    """`joblib` for the package hydra-joblib-launcher."""
    name = str(getattr(distribution, "name", "")).lower().replace("_", "-")
    inside = name.removeprefix("hydra-").removesuffix("-launcher")
    return inside if name == f"hydra-{inside}-launcher" else None
