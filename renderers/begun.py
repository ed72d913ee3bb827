"""The picture that was on the canvas before the first stroke, as a stroke program stores it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image, StrokeProgram, to_uint8
from renderers.stored_picture import decoded

_NAME = "begun"


def begun_arrays(picture: Image | None) -> dict[str, NDArray[Any]]:
    """Arrays with which a program stores the picture: a PNG; none for a blank canvas."""
    if picture is None:
        return {}
    _, png = cv2.imencode(".png", cv2.cvtColor(to_uint8(picture), cv2.COLOR_RGB2BGR))
    return {_NAME: np.asarray(png).reshape(-1)}


def begun_png(program: StrokeProgram) -> bytes | None:
    """The PNG that a program was begun on; None if the canvas was blank."""
    return program.arrays[_NAME].tobytes() if _NAME in program.arrays else None


def begun_canvas(program: StrokeProgram, height: int, width: int) -> Image | None:
    """The (height, width, 3) picture that a program was begun on; None if the canvas was blank.

    Raises:
        ValueError: if what is stored is no picture.
    """
    if (png := begun_png(program)) is None:
        return None
    picture = decoded(png, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("the picture that the program was begun on is damaged")
    shrinks = height * width < picture.shape[0] * picture.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    levels = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (width, height), interpolation=interpolation)
    canvas: Image = levels.astype(np.float32) / np.float32(255)
    return canvas
