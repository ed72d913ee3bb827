"""The networks that a configuration names."""

from collections.abc import Mapping

import numpy as np

from renderers.painting import Assets
from renderers.things.config import SaliencyChoice, SamChoice, ThingsConfig
from renderers.things.saliency import judge

_TRIED_PX = 96


def asset_paths(config: ThingsConfig) -> Mapping[str, str]:
    """Files that a configuration names: `sam`, a checkpoint, and `network`, of saliency."""
    return network_paths(config.sam if config.method == "sam" else None, config.saliency)


def check_assets(config: ThingsConfig, assets: Assets) -> None:
    """Load the networks that a configuration names, and try the one for saliency on a blank picture.

    Raises:
        ConfigError: if one is not usable; it names the key, from that of its file (`AssetFile.key`) on.
    """
    check_networks(config.sam, config.saliency, assets)


def network_paths(sam: SamChoice | None, saliency: SaliencyChoice) -> Mapping[str, str]:
    """As `asset_paths`, but from the choices of networks."""
    paths = {
        "sam": sam.checkpoint if sam is not None else None,
        "network": saliency.network if saliency.method == "deep" else None,
    }
    return {name: path for name, path in paths.items() if path is not None}


def check_networks(sam: SamChoice, saliency: SaliencyChoice, assets: Assets) -> None:
    """As `check_assets`, but from the choices of networks."""
    if "sam" in assets:
        assets["sam"].load(sam.variant, sam.device)
    if "network" in assets:
        judge(np.zeros((_TRIED_PX, _TRIED_PX, 3), np.float32), saliency, assets)
