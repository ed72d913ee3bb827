"""Files that a renderer's configuration names, read once, before anything is painted or written."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from pipelines.sources.base import RefusedPicture
from pipelines.sources.decode import decode, decode_rgba
from pipelines.synthesis.networks import ActorWeights, SaliencyNetwork, SamCheckpoint, sha256_of

_KEYS = {
    "brush": "brush.path",
    "brush_height": "brush.height_path",
    "style": "style.path",
    "weights": "style.weights",
    "sam": "segment.sam.checkpoint",
    "network": "saliency.network",
    "actor": "actor",
}
_WANTED = {"brush": "a picture of a brush mark", "brush_height": "a picture of heights in grey", "style": "a picture"}
_NETWORKS = {"sam": SamCheckpoint, "network": SaliencyNetwork, "actor": ActorWeights}
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
            from training.models.read_tensors import read_tensors

            content[name] = read_tensors(Path(path).expanduser())
        else:
            content[name] = _picture(name, path, data)
    if "brush" in content:
        _check_brush(content["brush"], content.get("brush_height"), paths)
    return AssetFiles(content=content, sha256=hashes)


def _picture(name: str, path: str, data: bytes) -> NDArray[np.float32]:
    """A picture as `paint` of the brush renderer wants it: a brush with its alpha, heights in grey, a style in RGB."""
    try:
        if name == "brush":
            return decode_rgba(data, max_pixels=_MAX_PIXELS)
        picture = decode(data, max_pixels=_MAX_PIXELS)
    except RefusedPicture as error:
        raise ConfigError(_KEYS[name], path, f"{_WANTED[name]} ({error})") from error
    if name == "brush_height":
        return np.asarray(picture.mean(-1), np.float32)
    scale = _STYLE_PX / max(picture.shape[:2])
    return picture if scale >= 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _check_brush(rgba: NDArray[np.float32], height: NDArray[np.float32] | None, paths: Mapping[str, str]) -> None:
    """Find out now, and not in the first painting, whether the pictures make a brush."""
    from renderers.brush.custom import brush_from_picture, coverage_of

    try:
        brush_from_picture(coverage_of(rgba), height)
    except ConfigError as error:
        name = "brush_height" if error.key == "height_path" else "brush"
        raise ConfigError(_KEYS[name], paths[name], error.allowed) from None
