"""The model of `renderers.raster.ribbon` in torch: where along its stroke a pixel lies, and how far it is covered.

All functions take R rows, each a stroke and a window of P pixels. The nearest point is found as the kernel finds it,
step by step in single precision, so that both paint the same picture; where it lies is then differentiable (see
`implicit`). Only where two points are equally near, as on a curve folded onto itself, rounding chooses.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from renderers.raster.ribbon import NEWTON_STEPS, R0, R2, X0, X1, X2, Y0, Y1, Y2

_TINY = 1e-6
_LEAST_ARM = 0.02


class Curve(NamedTuple):
    """B(t) = c + t (v + t w) of R strokes in pixels, (R, 1) each; B' = v + 2 t w, B'' = 2 w."""

    cx: Tensor
    cy: Tensor
    vx: Tensor
    vy: Tensor
    wx: Tensor
    wy: Tensor

    def offset(self, t: Tensor, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
        """The vector from B(t) to each pixel."""
        return xs - self.cx - t * (self.vx + t * self.wx), ys - self.cy - t * (self.vy + t * self.wy)

    def velocity(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """B'(t)."""
        return self.vx + 2 * t * self.wx, self.vy + 2 * t * self.wy


def curve_of(strokes: Tensor, unit_px: Tensor | float) -> Curve:
    """The curves of (R, >= 13) strokes; `unit_px` is a number, or (R, 1)."""
    x0, y0, x1, y1, x2, y2 = (strokes[:, column, None] for column in (X0, Y0, X1, Y1, X2, Y2))
    return Curve(
        x0 * unit_px, y0 * unit_px,
        2 * (x1 - x0) * unit_px, 2 * (y1 - y0) * unit_px,
        (x0 - 2 * x1 + x2) * unit_px, (y0 - 2 * y1 + y2) * unit_px,
    )  # fmt: skip


def window_pixels(left: Tensor, top: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    """(R, P) x and y of the pixel centres of square windows whose upper left corners are (R,) left and top."""
    places = torch.arange(side_px * side_px, device=left.device)
    return left[:, None] + (places % side_px + 0.5), top[:, None] + (places // side_px + 0.5)


def nearest(strokes: Tensor, unit_px: Tensor | float, xs: Tensor, ys: Tensor) -> Tensor:
    """Parameter of the point of its stroke that is nearest to each pixel; not differentiable.

    Args:
        strokes: (R, >= 13), lengths in units of the shorter side.
        unit_px: pixels of that side, a number or (R, 1).
        xs, ys: (R, P) pixel centres.

    Returns:
        (R, P) t in [0, 1].
    """
    with torch.no_grad():
        curve = curve_of(strokes, unit_px)
        vertex = -0.5 * (curve.vx * curve.wx + curve.vy * curve.wy) / (curve.wx**2 + curve.wy**2 + _TINY)
        two_arms = (vertex > _LEAST_ARM) & (vertex < 1 - _LEAST_ARM)
        zero, one = torch.zeros_like(vertex), torch.ones_like(vertex)
        t, squared = _on_arm(curve, zero, torch.where(two_arms, vertex, one), xs, ys)
        other, other_squared = _on_arm(curve, vertex, one - vertex, xs, ys)
        nearer = two_arms & (other_squared < squared)
        t = torch.where(nearer, other, t)
        for _ in range(NEWTON_STEPS):
            slope, second = _slopes(curve, t, xs, ys)
            t = (t + slope / second).clamp(0.0, 1.0)
    return t


def implicit(curve: Curve, t: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """The nearest t with its gradient in the control points.

    One Newton step from it hardly moves it, but has the derivative of the root of e . B' = 0. At the ends of the curve
    t stays put, so there it has none.
    """
    slope, second = _slopes(curve, t, xs, ys)
    inside = (t > 0) & (t < 1)
    return t + torch.where(inside, (slope - slope.detach()) / second.detach(), 0.0)


def coverage(
    strokes: Tensor, curve: Curve, unit_px: Tensor | float, soften_px: float, t: Tensor, xs: Tensor, ys: Tensor
) -> Tensor:
    """(R, P) coverage in [0, 1] of pixels whose nearest point is B(t)."""
    radius = (strokes[:, R0, None] + (strokes[:, R2] - strokes[:, R0])[:, None] * t) * unit_px
    off_x, off_y = curve.offset(t, xs, ys)
    squared = off_x * off_x + off_y * off_y
    # The gradient of a distance of 0 is taken as 0, not as infinite.
    distance = (squared + (squared == 0)).sqrt() * (squared != 0)
    return ((radius - distance) / soften_px + 0.5).clamp(0.0, 1.0)


def _on_arm(curve: Curve, start: Tensor, step: Tensor, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """A first t on the part of the curve from `start` on, `step` long, by inverting its projection on its chord."""
    ax, ay = curve.cx + start * (curve.vx + start * curve.wx), curve.cy + start * (curve.vy + start * curve.wy)
    bx, by = step * (curve.vx + 2 * start * curve.wx), step * (curve.vy + 2 * start * curve.wy)
    qx, qy = step * step * curve.wx, step * step * curve.wy
    dx, dy = bx + qx, by + qy
    inverse = 1.0 / (dx * dx + dy * dy).clamp_min(_TINY)
    ux, uy = dx * inverse, dy * inverse
    b = (bx * ux + by * uy).clamp(0.0, 2.0)
    px, py = xs - ax, ys - ay
    u = (px * ux + py * uy).clamp(0.0, 1.0)
    s = 2 * u / (b + (b * b + 4 * (1 - b) * u).clamp_min(0.0).sqrt() + _TINY)
    ex, ey = px - s * (bx + s * qx), py - s * (by + s * qy)
    return start + s * step, ex * ex + ey * ey


def _slopes(curve: Curve, t: Tensor, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """Minus half the slope in t of the squared distance, and half its second derivative, kept positive."""
    ex, ey = curve.offset(t, xs, ys)
    sx, sy = curve.velocity(t)
    speed = sx * sx + sy * sy
    return ex * sx + ey * sy, torch.maximum(speed - 2 * (ex * curve.wx + ey * curve.wy), 0.5 * speed) + _TINY
