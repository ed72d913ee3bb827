"""Pictures that strangers upload: checked by their bytes, and written again as plain PNG files.

What is painted from, kept and served is the new file. Nothing of the uploaded one is left in it: no name, no position
of a telephone, nothing hidden behind the pixels.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from pipelines.inference.config import LONGEST_CANVAS_PX
from pipelines.web.settings import Limits

_NOT_ARRIVED = "The picture did not arrive. Please choose it again."
_SLENDEREST = 30  # times as long as wide: of more, a small painter's frame would show a line
_KINDS = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"


def accepted_picture(path: Path, uploads: Path, limits: Limits) -> NDArray[np.float32]:
    """(H, W, 3) sRGB in [0, 1] of an uploaded file, at most `LONGEST_CANVAS_PX` a side.

    Args:
        path: of the file, as a stranger says.
        uploads: the folder in which it has to be.
        limits: of the app.

    Raises:
        UserError: in a sentence for whoever uploaded it.
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
    except (OSError, ValueError):  # a name that holds a zero byte, for one
        raise UserError(_NOT_ARRIVED) from None
    if len(data) > limits.upload_bytes:
        raise UserError(f"This picture has more than {limits.upload_mb:g} MB. Please choose a smaller one.")
    try:
        picture = decode(data, max_pixels=limits.pixels)
    except RefusedPicture as refused:
        raise UserError(_sentence(str(refused), limits)) from refused
    height, width = picture.shape[:2]
    if max(height, width) > _SLENDEREST * min(height, width):
        size = f"This picture is too slender: {width} x {height} pixels."
        raise UserError(f"{size} One side can be at most {_SLENDEREST} times as long as the other.")
    scale = min(1.0, LONGEST_CANVAS_PX / max(height, width))
    return resized(picture, max(1, round(scale * height)), max(1, round(scale * width)))


def write_picture(picture: NDArray[np.float32], path: Path) -> None:
    """Write an (H, W, 3) picture in [0, 1] as an 8-bit PNG."""
    from renderers.painting import to_uint8
    from training.data.pixels import png_of

    path.write_bytes(png_of(to_uint8(picture)))


def _sentence(reason: str, limits: Limits) -> str:
    """Why a picture is refused, without the words of a command line."""
    if "max_pixels" in reason:
        size = reason.partition(" is ")[0]
        return f"This picture is too large: {size}, where {limits.pixels / 1e6:g} million pixels are allowed."
    if "known format" in reason:
        return f"This is not a picture that can be read. Please choose a {_KINDS} file."
    return f"This picture cannot be used: {reason}."
