"""Lakes and the sea: mirrors with ripples."""

import cv2
import numpy as np

from pipelines.sources.scenes.canvas import Canvas, Mask
from pipelines.sources.scenes.description import Sky, Water
from pipelines.sources.scenes.noise import Field, ground_noise
from pipelines.sources.scenes.palette import Colour


def paint_water(canvas: Canvas, water: Water, sky: Sky, seed: int) -> None:
    """Paint water that mirrors everything that has been painted above its far shore so far."""
    unit, height, width = canvas.unit, canvas.height, canvas.width
    top = round(water.top * height)
    bottom = min(height, round((water.bottom + 0.03) * height))
    if bottom <= top:
        return
    rows = bottom - top
    broad = ground_noise(rows, width, unit, 9, seed % 50021, stretch=5.0)
    fine = ground_noise(rows, width, unit, 30, seed % 50023, stretch=4.0)
    depth = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) / unit
    calm = 1.0 if water.kind == "lake" else 1.6
    sway = np.float32(calm) * (0.4 * broad + 0.6 * fine) * (0.004 + 0.05 * depth) * unit
    column = np.arange(width, dtype=np.float32)[None, :]
    map_x = column + 0.5 * sway
    map_y = top - 1 - (depth * unit) * 0.92 + 0.9 * sway
    mirrored = cv2.remap(
        canvas.image, map_x, np.clip(map_y, 0, top - 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    zenith = canvas.image[: max(1, top // 5)].mean((0, 1))
    body = (zenith * np.array([0.5, 0.62, 0.72], np.float32)).astype(np.float32)
    depth_share = np.clip((0.18 + 0.5 * np.linspace(0, 1, rows, dtype=np.float32)[:, None]) * calm**0.5, 0, 0.75)
    colours = mirrored + (depth_share + 0.12 * fine)[..., None] * (body - mirrored)
    crests = np.clip(0.7 * fine + 0.5 * broad - 0.35, 0, 1)[..., None]
    colours = colours + crests * 0.35 * (canvas.light.warm - colours)
    if sky.body is not None:
        across = (column - sky.body_x * width) / (unit * (0.03 + 0.12 * depth))
        glint = np.exp(-0.5 * across**2) * np.clip(0.25 + fine + 0.5 * broad, 0, 1)
        colours = colours + (0.7 * glint)[..., None] * (np.minimum(canvas.light.warm + 0.05, 1) - colours)
    mask = Mask(top, 0, _shore(water, rows, top, canvas, seed))
    canvas.paint(mask, np.clip(colours, 0, 1).astype(np.float32), canvas.label(water.kind, 0.5))
    if water.bottom < 1:
        _foam(canvas, mask, water)


def _shore(water: Water, rows: int, top: int, canvas: Canvas, seed: int) -> Field:
    """Coverage of the water: a straight far edge and a winding near one."""
    x = np.arange(canvas.width, dtype=np.float32) / canvas.width
    phase = seed % 628 / 100
    wave = 0.012 * np.sin(5 * x + phase) + 0.008 * np.sin(11 * x + 2 * phase) + 0.004 * np.sin(27 * x + 3 * phase)
    edge = (water.bottom + wave) * canvas.height
    y = np.arange(rows, dtype=np.float32)[:, None] + top + 0.5
    return np.clip(edge[None, :] - y + 0.5, 0, 1).astype(np.float32)


def _foam(canvas: Canvas, mask: Mask, water: Water) -> None:
    """The bright seam where water meets the near shore, and the wet shade beside it."""
    width_px = (0.012 if water.kind == "sea" else 0.006) * canvas.unit
    inner = cv2.GaussianBlur(mask.alpha, (0, 0), max(0.6, width_px), borderType=cv2.BORDER_REPLICATE)
    seam = 4 * inner * (1 - inner)
    canvas.paint(Mask(mask.top, mask.left, (0.55 * seam * mask.alpha).astype(np.float32)), canvas.light.warm)
    canvas.darken(Mask(mask.top, mask.left, (seam * (1 - mask.alpha)).astype(np.float32)), 0.4)


def reflect(canvas: Canvas, labels: tuple[int, ...], foot_px: float, water: int, seed: int, tone: Colour) -> None:
    """Paint the reflection of a floating thing below its foot, broken by ripples; the water keeps its label."""
    floating = np.isin(canvas.labels, labels)
    ys, xs = np.nonzero(floating)
    foot = min(round(foot_px), canvas.height - 1)
    if not len(ys) or foot <= ys.min():
        return
    top, left, right = int(ys.min()), int(xs.min()), int(xs.max()) + 1
    rows = min(foot - top, canvas.height - foot)
    margin = round(0.03 * canvas.unit)
    left, right = max(0, left - margin), min(canvas.width, right + margin)
    if rows < 2:
        return
    source = canvas.image[foot - rows : foot, left:right][::-1]
    alpha = floating[foot - rows : foot, left:right][::-1].astype(np.float32)
    depth = np.arange(rows, dtype=np.float32)[:, None] / canvas.unit
    sway = (
        ground_noise(rows, right - left, canvas.unit, 24, seed % 40009, stretch=2.0)
        * (0.004 + 0.04 * depth)
        * canvas.unit
    )
    y, x = np.mgrid[0:rows, 0 : right - left].astype(np.float32)
    map_x, map_y = x + sway, y + 0.5 * sway
    colours = cv2.remap(np.ascontiguousarray(source), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.remap(cv2.GaussianBlur(alpha, (0, 0), 0.7), map_x, map_y, cv2.INTER_LINEAR, borderValue=0)
    below = canvas.labels[foot : foot + rows, left:right] == water
    fade = np.linspace(0.62, 0.3, rows, dtype=np.float32)[:, None]
    colours = colours * np.float32(0.85) + tone * np.float32(0.15)
    canvas.paint(Mask(foot, left, (seen * fade * below).astype(np.float32)), colours.astype(np.float32))
