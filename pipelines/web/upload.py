"""Checks pictures that visitors upload, and writes them again as plain PNG files.

Only the new file is painted from, stored and served. It contains nothing of the uploaded file except the pixels: no
name, no GPS position, no hidden data.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from pipelines.inference.config import LONGEST_CANVAS_PX
from pipelines.web.settings import Limits

_NOT_ARRIVED = "The picture did not arrive. Please choose it again."
_LARGEST_ASPECT = 30  # a more slender picture would be only a line in a small painter's frame
_KINDS = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"


def accepted_picture(path: Path, uploads: Path, limits: Limits) -> NDArray[np.float32]:
    """(H, W, 3) sRGB in [0, 1] of an uploaded file, at most `LONGEST_CANVAS_PX` a side.

    Args:
        path: path of the file, as a client sent it.
        uploads: the folder in which it has to be.
        limits: limits of the app.

    Raises:
        UserError: if it is refused; the message is a sentence for the visitor.
    """
    from pipelines.inference.execution import resized
    from pipelines.sources.decode import decode
    from pipelines.sources.source import RefusedPicture

    try:
        path = path.resolve()
        if not path.is_relative_to(uploads.resolve()):
            raise UserError(_NOT_ARRIVED)
        with path.open("rb") as file:
            data = file.read(limits.upload_bytes + 1)
    except (OSError, ValueError):  # ValueError: for example, a zero byte in the name
        raise UserError(_NOT_ARRIVED) from None
    if len(data) > limits.upload_bytes:
        raise UserError(f"This picture has more than {limits.upload_mb:g} MB. Please choose a smaller one.")
    try:
        picture = decode(data, max_pixels=limits.pixels)
    except RefusedPicture as refused:
        raise UserError(_sentence(str(refused), limits)) from refused
    height, width = picture.shape[:2]
    if max(height, width) > _LARGEST_ASPECT * min(height, width):
        size = f"This picture is too slender: {width} x {height} pixels."
        raise UserError(f"{size} One side can be at most {_LARGEST_ASPECT} times as long as the other.")
    scale = min(1.0, LONGEST_CANVAS_PX / max(height, width))
    return resized(picture, max(1, round(scale * height)), max(1, round(scale * width)))


def write_picture(picture: NDArray[np.float32], path: Path) -> None:
    """Write an (H, W, 3) picture in [0, 1] as an 8-bit PNG."""
    from renderers.painting import to_uint8
    from training.data.pixels import png_of

    path.write_bytes(png_of(to_uint8(picture)))


def _sentence(reason: str, limits: Limits) -> str:
    """The reason for refusing a picture, as a sentence without terms of the command line."""
    if "max_pixels" in reason:
        size = reason.partition(" is ")[0]
        return f"This picture is too large: {size}, where {limits.pixels / 1e6:g} million pixels are allowed."
    if "known format" in reason:
        return f"This is not a picture that can be read. Please choose a {_KINDS} file."
    return f"This picture cannot be used: {reason}."
