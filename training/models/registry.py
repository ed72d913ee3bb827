"""The architectures that there are. A new one is a folder beside this file and a line here (docs/adding-a-model.md)."""

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
    """The same with its networks, which take seconds to import.

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
    """Name of the architecture of a base's folder: as its run card says, or as it looks; `sd15` if like nothing."""
    try:
        card = json.loads((weights / RUN_CARD).read_text(encoding="utf-8"))
        return registered(str(card["recipe"]["model"]["name"]), f"base={weights}: model").name
    except (OSError, ValueError, KeyError, TypeError):
        others = (name for name in ARCHITECTURES if name != SD15.name)
        return next((name for name in others if architecture(name).recognises(weights)), SD15.name)
