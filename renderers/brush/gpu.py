"""Textured strokes for the rasteriser of `renderers.raster.gpu`: the model of `renderers.brush.stroke`, in torch."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from renderers.brush.stroke import FAR_BLUE, FAR_RED, MARK, THICKNESS, Marks
from renderers.raster.gpu.ribbon import coverage, curve_of, implicit
from renderers.raster.ribbon import A0, A2, BLUE, R0, R2, RED

_TINY = 1e-6
_LIGHT = 0.5**0.5


@dataclass(frozen=True)
class TexturedShade:
    """The `Shade` of strokes through which the marks of a brush show.

    Attributes:
        cover, slope_along, slope_across: (K, V, U) as in `renderers.brush.stroke.Marks`.
    """

    cover: Tensor
    slope_along: Tensor
    slope_across: Tensor

    @classmethod
    def of(cls, marks: Marks, device: torch.device | str = "cpu") -> Self:
        """The shade of these marks, on a device."""
        return cls(*(torch.as_tensor(field, device=device) for field in marks))

    def __call__(
        self, strokes: Tensor, unit_px: Tensor | float, soften_px: float, t: Tensor, xs: Tensor, ys: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `renderers.raster.gpu.rasteriser.Shade`; differentiable in all of (R, 18) but the number of the mark."""
        curve = curve_of(strokes, unit_px)
        along = implicit(curve, t, xs, ys)
        cover = coverage(strokes, curve, unit_px, soften_px, along, xs, ys)
        radius_0, radius_2 = strokes[:, R0, None] * unit_px, strokes[:, R2, None] * unit_px
        (off_x, off_y), (x, y) = curve.offset(along, xs, ys), curve.velocity(along)
        inverse = (x * x + y * y + _TINY).rsqrt()
        x, y = x * inverse, y * inverse
        middle_x, middle_y = curve.vx + curve.wx, curve.vy + curve.wy  # B'(1/2), as long as the curve, or nearly so
        squared = middle_x * middle_x + middle_y * middle_y
        length = (squared + (squared == 0)).sqrt() * (squared != 0)
        u = (radius_0 + along * length + off_x * x + off_y * y) / (length + radius_0 + radius_2 + _TINY)
        u = u.clamp(0.0, 1.0)
        across = (x * off_y - y * off_x) / (radius_0 + (radius_2 - radius_0) * along).clamp_min(_TINY)
        v = (0.5 * (across + 1)).clamp(0.0, 1.0)
        reached, slope_u, slope_v = self._read(strokes, u, v)
        light = 1 + strokes[:, THICKNESS, None] * _LIGHT * (slope_u * (x + y) + slope_v * (x - y))
        near, far = strokes[:, RED : BLUE + 1, None], strokes[:, FAR_RED : FAR_BLUE + 1, None]
        colour = ((near + u[:, None] * (far - near)) * light[:, None]).clamp(0.0, 1.0)
        opacity = strokes[:, A0, None] + (strokes[:, A2] - strokes[:, A0])[:, None] * along
        return cover * reached * opacity, colour

    def _read(self, strokes: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cover interpolated between four texels, and the slopes of the upper left one, which are precise enough."""
        num_marks, num_across, num_along = self.cover.shape
        which = strokes[:, MARK, None].detach().long() % num_marks
        column, row = u * (num_along - 1), v * (num_across - 1)
        i = column.detach().long().clamp_max(num_along - 2)
        k = row.detach().long().clamp_max(num_across - 2)
        fu, fv = column - i, row - k
        at = (which * num_across + k) * num_along + i
        cover = self.cover.flatten()
        upper = cover[at] + fu * (cover[at + 1] - cover[at])
        lower = cover[at + num_along] + fu * (cover[at + num_along + 1] - cover[at + num_along])
        return upper + fv * (lower - upper), self.slope_along.flatten()[at], self.slope_across.flatten()[at]
