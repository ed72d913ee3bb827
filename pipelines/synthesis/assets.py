"""Files that a renderer's configuration names, read once, before anything is painted or written."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError, UserError
from pipelines.sources.decode import decode, decode_rgba
from pipelines.sources.source import RefusedPicture
from pipelines.synthesis.networks import ActorWeights, SaliencyNetwork, SamCheckpoint
from renderers.family import AssetFile
from training.data.manifest import hash_file

_MAX_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class AssetFiles:
    """Name -> content and name -> SHA-256 of each file; the hashes are part of the recipe, the contents are not."""

    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    sha256: Mapping[str, str] = field(default_factory=dict)


def read_assets(files: Mapping[str, AssetFile]) -> AssetFiles:
    """Read the files that `asset_files` of a renderer names.

    Raises:
        ConfigError: naming the key below the renderer, the path, and what is wrong with it.
    """
    content: dict[str, Any] = {}
    hashes: dict[str, str] = {}
    for name, file in files.items():
        try:
            if file.kind in _HANDLES:
                hashes[name] = hash_file(Path(file.path))
                content[name] = _HANDLES[file.kind](path=file.path, sha256=hashes[name], key=file.key)
                continue
            data = Path(file.path).read_bytes()
        except OSError as error:
            raise ConfigError(file.key, file.path, f"a file that can be read ({error.strerror})") from error
        hashes[name] = hashlib.sha256(data).hexdigest()
        content[name] = _READERS[file.kind](file, data)
    return AssetFiles(content=content, sha256=hashes)


def _tensors(file: AssetFile, data: bytes) -> Mapping[str, Any]:
    from training.models.read_tensors import read_tensors

    try:
        return read_tensors(Path(file.path))
    except UserError as error:
        raise ConfigError(file.key, file.path, f"{file.what} ({str(error).partition(': ')[2]})") from error


def _picture(
    file: AssetFile, data: bytes, *, decoder: Callable[..., NDArray[np.float32]] = decode
) -> NDArray[np.float32]:
    try:
        picture = decoder(data, max_pixels=_MAX_PIXELS)
    except RefusedPicture as error:
        raise ConfigError(file.key, file.path, f"{file.what} ({error})") from error
    if decoder is decode and not decode_rgba(data, max_pixels=_MAX_PIXELS)[..., 3].any():
        raise ConfigError(file.key, file.path, f"{file.what} (this one is wholly transparent)")
    scale = (file.largest_px or np.inf) / max(picture.shape[:2])
    return picture if scale >= 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _grey(file: AssetFile, data: bytes) -> NDArray[np.float32]:
    return np.asarray(_picture(file, data).mean(-1), np.float32)


_READERS: Mapping[str, Callable[[AssetFile, bytes], Any]] = {
    "bytes": lambda _, data: data,
    "picture": _picture,
    "rgba": partial(_picture, decoder=decode_rgba),
    "grey": _grey,
    "tensors": _tensors,
}
_HANDLES: Mapping[str, Callable[..., Any]] = {
    "sam": SamCheckpoint,
    "saliency": SaliencyNetwork,
    "actor": ActorWeights,
}
"""Kinds of large files, which are not read here but where they are used, once per process."""
