"""Where a draughtsman would draw a line: a map of how much each pixel lies on a contour, and which way it runs.

Three things make a contour: a step of colour, the border of a thing, and a thin dark line, which is drawn once and not
as its two flanks. Texture does not: contrast that is as strong all around as on the pixel is subtracted (surround
inhibition; Grigorescu, Petkov and Westenberg, 2003). Then the map is averaged along its own flow, which leaves long
coherent lines and closes small gaps (Kang, Lee and Chui: Coherent Line Drawing, 2007).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image
from renderers.raster.jit import kernel
from renderers.raster.ribbon import Floats

_STEP_SIGMA, _FLOW_SIGMA = 0.9, 1.6
_SURROUND_SIGMAS, _INHIBITION = (4.0, 10.0), 0.6
_BORDER_SIGMA, _BORDER_GAIN, _BORDER_ALONE = 1.3, 0.8, 0.035
_DARK_LINE_SIGMA, _DARK_LINE_GAIN, _FLANK = 0.7, 1.3, 2.0
_FLOW_REACH = 5

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)


class Contours(NamedTuple):
    """The maps that lines are traced on.

    Attributes:
        strength: (h, w) contrast of the contour at a pixel, in units of Lab / 100; 0 where there is none.
        tangent_x, tangent_y: (h, w) unit vector along it, to either end.
    """

    strength: Floats
    tangent_x: Floats
    tangent_y: Floats


def find_contours(image: Image, labels: NDArray[np.uint16]) -> Contours:
    """Contours of a picture.

    Args:
        image: (h, w, 3) float32 RGB in [0, 1], about 320 px along the shorter side: widths here are in its pixels.
        labels: (h, w) the thing that each pixel shows.
    """
    lab = cv2.bilateralFilter(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), 5, 9.0, 3.0) / np.float32(100)
    step = cv2.GaussianBlur(lab, (0, 0), _STEP_SIGMA)
    gradient, xx, xy, yy = _colour_steps(step)
    near, far = (cv2.GaussianBlur(gradient, (0, 0), sigma) for sigma in _SURROUND_SIGMAS)
    area = (_SURROUND_SIGMAS[1] / _SURROUND_SIGMAS[0]) ** 2
    surround = np.maximum((area * far - near) / np.float32(area - 1), 0.0)
    border = _borders(labels)
    contrast = np.maximum(gradient - np.float32(_INHIBITION) * surround * (1 - border), 0.0)
    strength = contrast * (1 + np.float32(_BORDER_GAIN) * border) + np.float32(_BORDER_ALONE) * border
    dark = _dark_lines(lab[..., 0])
    strength = np.maximum(strength - np.float32(_FLANK) * cv2.dilate(dark, np.ones((5, 5), np.uint8)), dark)
    tangent_x, tangent_y = _flow(strength, xx, xy, yy)
    return Contours(_along_flow(strength, tangent_x, tangent_y), tangent_x, tangent_y)


def _borders(labels: NDArray[np.uint16]) -> Floats:
    """(h, w) in [0, 1], 1 on the borders between things."""
    crossed = np.zeros(labels.shape, np.float32)
    for ahead, behind in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        crossed[ahead] += 0.5 * (labels[ahead] != labels[behind])
        crossed[behind] += 0.5 * (labels[ahead] != labels[behind])
    soft = cv2.GaussianBlur(crossed, (0, 0), _BORDER_SIGMA)
    clipped: Floats = np.minimum(soft * np.float32(_BORDER_SIGMA * 2.5), 1.0)
    return clipped


@kernel
def _colour_steps(lab: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Gradient of a colour picture (Di Zenzo, 1986), and the structure tensor that it comes from: xx, xy, yy."""
    height, width, _ = lab.shape
    gradient, xx, xy, yy = (
        np.empty((height, width), np.float32), np.empty((height, width), np.float32),
        np.empty((height, width), np.float32), np.empty((height, width), np.float32),
    )  # fmt: skip
    for row in range(height):
        up, down = max(0, row - 1), min(height - 1, row + 1)
        for column in range(width):
            left, right = max(0, column - 1), min(width - 1, column + 1)
            sxx, sxy, syy = _ZERO, _ZERO, _ZERO
            for c in range(3):
                dx = np.float32(0.125) * (
                    lab[up, right, c] - lab[up, left, c] + lab[down, right, c] - lab[down, left, c]
                ) + np.float32(0.25) * (lab[row, right, c] - lab[row, left, c])
                dy = np.float32(0.125) * (
                    lab[down, left, c] - lab[up, left, c] + lab[down, right, c] - lab[up, right, c]
                ) + np.float32(0.25) * (lab[down, column, c] - lab[up, column, c])
                sxx += dx * dx
                sxy += dx * dy
                syy += dy * dy
            xx[row, column], xy[row, column], yy[row, column] = sxx, sxy, syy
            apart = np.sqrt((sxx - syy) * (sxx - syy) + np.float32(4) * sxy * sxy)
            gradient[row, column] = np.sqrt(_HALF * (sxx + syy + apart))
    return gradient, xx, xy, yy


def _dark_lines(luma: Floats) -> Floats:
    """(h, w) how deep a thin dark line each pixel lies on."""
    return _valleys(cv2.GaussianBlur(luma, (0, 0), _DARK_LINE_SIGMA))


@kernel
def _valleys(luma: Floats) -> Floats:
    """(h, w) larger second derivative of a picture, over two px, less its slope, so that it is 0 beside an edge."""
    height, width = luma.shape
    depth = np.empty_like(luma)
    for row in range(height):
        up, down = max(0, row - 1), min(height - 1, row + 1)
        for column in range(width):
            left, right = max(0, column - 1), min(width - 1, column + 1)
            centre = luma[row, column]
            xx = luma[row, left] + luma[row, right] - np.float32(2) * centre
            yy = luma[up, column] + luma[down, column] - np.float32(2) * centre
            xy = np.float32(0.25) * (luma[up, left] + luma[down, right] - luma[up, right] - luma[down, left])
            dx, dy = _HALF * (luma[row, right] - luma[row, left]), _HALF * (luma[down, column] - luma[up, column])
            bend = _HALF * (xx + yy + np.sqrt((xx - yy) * (xx - yy) + np.float32(4) * xy * xy))
            depth[row, column] = max(_ZERO, np.float32(_DARK_LINE_GAIN) * (bend - np.sqrt(dx * dx + dy * dy)))
    return depth


def _flow(strength: Floats, xx: Floats, xy: Floats, yy: Floats) -> tuple[Floats, Floats]:
    """Unit tangents, x and y, from structure tensors of the picture and of the map itself."""
    dx, dy = cv2.Sobel(strength, -1, 1, 0) / np.float32(8), cv2.Sobel(strength, -1, 0, 1) / np.float32(8)
    cos, sin = (
        cv2.GaussianBlur(field, (0, 0), _FLOW_SIGMA) for field in ((dy * dy + yy) - (dx * dx + xx), -2 * (dx * dy + xy))
    )
    angle = _HALF * np.arctan2(sin, cos)  # tensors add up by twice the angle
    return np.cos(angle), np.sin(angle)


@kernel
def _along_flow(strength: Floats, tangent_x: Floats, tangent_y: Floats) -> Floats:
    """The map averaged over some px of its flow to both sides of every pixel, nearer ones counting more."""
    height, width = strength.shape
    averaged = np.empty_like(strength)
    for row in range(height):
        for column in range(width):
            total, weights = strength[row, column], _ONE
            for side in range(2):
                x, y = np.float32(column) + _HALF, np.float32(row) + _HALF
                dx, dy = tangent_x[row, column], tangent_y[row, column]
                if side == 1:
                    dx, dy = -dx, -dy
                for k in range(_FLOW_REACH):
                    x += dx
                    y += dy
                    if x < _ZERO or y < _ZERO or x >= np.float32(width) or y >= np.float32(height):
                        break
                    i, j = int(y), int(x)
                    weight = _ONE - np.float32(k + 1) / np.float32(_FLOW_REACH + 1)
                    total += weight * strength[i, j]
                    weights += weight
                    tx, ty = tangent_x[i, j], tangent_y[i, j]
                    ahead = tx * dx + ty * dy >= _ZERO
                    dx, dy = (tx, ty) if ahead else (-tx, -ty)
            averaged[row, column] = total / weights
    return averaged
