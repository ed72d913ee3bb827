"""Converts between ComfyUI's pictures, float tensors (B, H, W, C) in [0, 1], and arrays of single pictures."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from conf.errors import ConfigError
from pipelines.exports.process import Frame
from renderers.painting import to_uint8


def one_picture(key: str, images: Tensor) -> NDArray[np.float32]:
    """The picture, (H, W, 3) in [0, 1], of a batch that holds a single one.

    Args:
        key: name of the input, for messages.
        images: (1, H, W, 3).

    Raises:
        ConfigError: if it holds several pictures, or is not RGB.
    """
    pictures = _checked(key, images)
    if len(pictures) != 1:
        raise ConfigError(key, f"{len(pictures)} pictures", "one; ImageFromBatch takes one out of a batch")
    picture: NDArray[np.float32] = pictures[0]
    return picture


def frames_of(key: str, images: Tensor) -> tuple[Frame, ...]:
    """The frames of a process, from a batch (T, H, W, 3).

    Raises:
        ConfigError: if it is empty or not RGB.
    """
    return tuple(Frame(picture=to_uint8(picture)) for picture in _checked(key, images))


def batch_of(frames: Iterable[Frame]) -> Tensor:
    """The pictures of frames as a batch, (T, H, W, 3) float32 in [0, 1]."""
    return torch.from_numpy(np.stack([frame.picture for frame in frames])).float() / 255


def _checked(key: str, images: Tensor) -> NDArray[np.float32]:
    """(B, H, W, 3) in [0, 1]; values outside are clipped, and NaN becomes 0."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] != 3 or 0 in shape:
        raise ConfigError(key, f"a tensor of {'x'.join(map(str, shape))}", "RGB pictures, (B, H, W, 3)")
    pictures: NDArray[np.float32] = images.detach().float().nan_to_num(0.0).clamp(0, 1).cpu().numpy()
    return pictures
