"""Files that a renderer's configuration names, read once, before anything is painted or written."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from conf.errors import ConfigError
from pipelines.networks import SaliencyNetwork, SamCheckpoint, sha256_of
from pipelines.sources.base import RefusedPicture
from pipelines.sources.decode import decode

_KEYS = {
    "brush": "brush.path",
    "style": "style.path",
    "weights": "style.weights",
    "sam": "segment.sam.checkpoint",
    "network": "saliency.network",
}
_NETWORKS = {"sam": SamCheckpoint, "network": SaliencyNetwork}
"""Large: not read here but by whoever uses them, once in a process."""

_MAX_PIXELS = 100_000_000
_STYLE_PX = 1024  # a style is colours and strokes: more pixels say nothing more


@dataclass(frozen=True, kw_only=True)
class AssetFiles:
    """What was read, by name, and the SHA-256 of each file: the hash belongs to the recipe, the content does not."""

    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    sha256: Mapping[str, str] = field(default_factory=dict)


def read_assets(paths: Mapping[str, str]) -> AssetFiles:
    """Read the files that `asset_paths` of a renderer names.

    Raises:
        ConfigError: naming the key below the renderer, the path, and what is wrong with it.
    """
    content: dict[str, Any] = {}
    hashes: dict[str, str] = {}
    for name, path in paths.items():
        try:
            if name in _NETWORKS:
                hashes[name] = sha256_of(path)
                content[name] = _NETWORKS[name](path=path, sha256=hashes[name])
                continue
            data = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(_KEYS[name], path, f"a file that can be read ({error.strerror})") from error
        hashes[name] = hashlib.sha256(data).hexdigest()
        if name == "weights":
            from pipelines.weights import load_vgg_weights

            content[name] = load_vgg_weights(Path(path).expanduser())
        else:
            content[name] = _brush(path, data) if name == "brush" else _style(path, data)
    return AssetFiles(content=content, sha256=hashes)


def _style(path: str, data: bytes) -> Any:
    try:
        picture = decode(data, max_pixels=_MAX_PIXELS)
    except RefusedPicture as error:
        raise ConfigError(_KEYS["style"], path, f"a picture ({error})") from error
    scale = _STYLE_PX / max(picture.shape[:2])
    return picture if scale >= 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _brush(path: str, data: bytes) -> Any:
    """(h, w, 4) RGBA in [0, 1], with its alpha, which `decode` would lay on white; checked to be a brush."""
    from renderers.brush.custom import brush_from_picture, coverage_of

    try:
        decode(data, max_pixels=_MAX_PIXELS)  # refuses what is no picture, torn or enormous
        with PillowImage.open(io.BytesIO(data)) as image:
            rgba = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
    except RefusedPicture as error:
        raise ConfigError(_KEYS["brush"], path, f"a picture of a brush mark ({error})") from error
    try:
        brush_from_picture(coverage_of(rgba))
    except ConfigError as error:
        raise ConfigError(_KEYS["brush"], path, error.allowed) from None
    return rgba
