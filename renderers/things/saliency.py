"""Saliency of every pixel, in [0, 1]."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Assets, Image
from renderers.shrink import shrink
from renderers.things.background import standing_out, stretched
from renderers.things.barrier import barrier_distance
from renderers.things.cells import cells_of
from renderers.things.config import SaliencyChoice

Saliency = NDArray[np.float32]
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A saliency network: (1, 3, h, w) normalised RGB -> (h, w) finite, larger where more salient, on any scale."""

_WORKING_PX = 192
_BORDER = 0.1
_SPECTRUM_PX, _ROUGH_PX = 64, 64
_BORDERS_WEIGHT, _CENTRE_WEIGHT = 0.3, 0.5


def judge(image: Image, choice: SaliencyChoice, assets: Assets) -> Saliency:
    """The saliency of a (H, W, 3) float32 RGB image in [0, 1], (H, W) in [0, 1].

    Args:
        assets: `network`, a handle whose `load(device, output)` gives a `Network`, for `method=deep`.
    """
    if choice.method == "deep":
        network = assets["network"].load(choice.device, choice.output)
        return network_saliency(image, network, choice.input_px, choice.mean, choice.std)
    if choice.method == "background":
        return background_saliency(image)
    return barrier_saliency(image) if choice.method == "mbd" else spectral_saliency(image)


def background_saliency(image: Image) -> Saliency:
    """Saliency as standing out from the background (see `renderers.things.background`).

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].

    Returns:
        (H, W) float32 in [0, 1]; all alike on a uniform picture.
    """
    cells = cells_of(image)
    return _enlarged(standing_out(cells)[cells.labels], image)


def barrier_saliency(image: Image) -> Saliency:
    """Saliency as standing apart: minimum barrier distance and colour distance to the borders, and a centre prior.

    MB+ of Zhang et al., ICCV 2015, sections 4.1 and 4.2, with lighter weights on colour and centre, and without its
    contrast curve: regions are compared by their means, which a steep curve would make equal at its two ends.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].

    Returns:
        (H, W) float32 in [0, 1]; all alike on a uniform picture.
    """
    small = shrink(image, _WORKING_PX)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    barriers = np.sum([barrier_distance(np.ascontiguousarray(lab[..., c])) for c in range(3)], axis=0)
    unlike = stretched(barriers) + _BORDERS_WEIGHT * stretched(_from_borders(lab))
    return _enlarged(stretched(unlike * _centre(small)), image)


def rough_saliency(image: Image) -> Saliency:
    """`barrier_saliency` of a copy of 64 px along the shorter side, at that size: enough for the order of strokes."""
    return barrier_saliency(shrink(image, _ROUGH_PX))


def spectral_saliency(image: Image) -> Saliency:
    """Saliency as spectral residual (Hou and Zhang: Saliency Detection: A Spectral Residual Approach,
    CVPR 2007), summed over the channels of Lab.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    lab = cv2.cvtColor(shrink(image, _SPECTRUM_PX), cv2.COLOR_RGB2LAB)
    unexpected = np.zeros(lab.shape[:2])
    for channel in range(3):
        spectrum = np.fft.fft2(lab[..., channel] - lab[..., channel].mean())
        log_amplitude = np.log(np.abs(spectrum) + 1e-3)
        residual = log_amplitude - cv2.blur(log_amplitude, (3, 3))
        unexpected += np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    blurred = cv2.GaussianBlur(unexpected, (0, 0), _SPECTRUM_PX / 16)
    return _enlarged(stretched(blurred), image)


def network_saliency(
    image: Image, network: Network, input_px: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Saliency:
    """Saliency by a trained network.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        network: see `Network`.
        input_px: side of the square that it takes.
        mean, std: of each channel, for normalisation.

    Returns:
        (H, W) float32 in [0, 1], stretched to that range.
    """
    square = cv2.resize(image, (input_px, input_px), interpolation=cv2.INTER_AREA)
    normalised = (square - np.array(mean, np.float32)) / np.array(std, np.float32)
    answer = network(np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], np.float32))
    return _enlarged(stretched(answer.astype(np.float32)), image)


def _from_borders(lab: NDArray[np.float32]) -> NDArray[np.float64]:
    """Whitened colour distance to each of the four borders, summed without the largest: an object may touch one."""
    height, width = lab.shape[:2]
    depth = max(2, round(_BORDER * min(height, width)))
    pixels = lab.reshape(-1, 3).astype(np.float64)
    distances = []
    for border in (lab[:depth], lab[-depth:], lab[:, :depth], lab[:, -depth:]):
        colours = border.reshape(-1, 3).astype(np.float64)
        whitener = np.linalg.inv(np.cov(colours.T) + 1e-3 * np.eye(3))
        offsets = pixels - colours.mean(0)
        distance = np.sqrt(np.maximum(np.einsum("pi,ij,pj->p", offsets, whitener, offsets), 0.0))
        distances.append(distance / max(float(distance.max()), 1e-6))
    stacked = np.stack(distances)
    nearest: NDArray[np.float64] = (stacked.sum(0) - stacked.max(0)).reshape(height, width)
    return nearest


def _centre(image: Image) -> NDArray[np.float64]:
    """1 in the middle, falling towards the corners."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    distance: NDArray[np.float64] = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5) / np.sqrt(0.5)
    return 1.0 - _CENTRE_WEIGHT * distance


def _enlarged(values: NDArray[np.floating], image: Image) -> Saliency:
    height, width = image.shape[:2]
    full = cv2.resize(values.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    clipped: Saliency = np.clip(full, 0.0, 1.0)
    return clipped
