"""All architectures. A new one is a folder beside this file and a line here (docs/adding-a-model.md)."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from conf.compose import typed
from conf.errors import ConfigError
from training.models.registration import ModelConfig, Registration
from training.models.sd15.registration import SD15
from training.models.tiny.registration import TINY
from training.models.wan22.registration import WAN22, WAN22_TINY
from training.models.weights import RUN_CARD

if TYPE_CHECKING:
    from training.models.architecture import Architecture

ARCHITECTURES: dict[str, Registration] = {each.name: each for each in (TINY, SD15, WAN22, WAN22_TINY)}
"""Name -> architecture."""


def registered(name: str, key: str = "model.name") -> Registration:
    """An architecture by name.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(key, name, f"one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def architecture(name: str, key: str = "model.name") -> "Architecture":
    """An architecture by name, with its networks, which take seconds to import.

    Raises:
        ConfigError: as `registered`.
    """
    return cast("Architecture", importlib.import_module(registered(name, key).module).ARCHITECTURE)


def model_config(plain: Any) -> ModelConfig:
    """The typed keys `model.*`.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    if not isinstance(plain, Mapping):
        raise ConfigError("model", plain, f"one of {', '.join(ARCHITECTURES)}")
    return typed(registered(str(plain.get("name"))).config, plain, "model")


def architecture_of_base(weights: Path) -> str:
    """Name of the architecture of a base's folder: by its run card, or by its files; `sd15` if none recognises it."""
    stated_name = stated_architecture(weights)
    if stated_name is not None:
        return stated_name
    others = (name for name in ARCHITECTURES if name != SD15.name)
    return next((name for name in others if architecture(name).recognises(weights)), SD15.name)


def stated_architecture(weights: Path) -> str | None:
    """Name of the architecture of a base by the card of the run that trained it; None if no card states it.

    Args:
        weights: weights of a run, or a painter, which has the run cards of its parts.
    """
    for path in (weights / RUN_CARD, weights / "run_cards" / "base.json"):
        try:
            name = json.loads(path.read_text(encoding="utf-8"))["recipe"]["model"]["name"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return registered(str(name), f"base={weights}: model").name
    return None
