"""The oracle of textured strokes: the model of `renderers.brush.stroke` in torch, with marks warped by kornia.

Every pixel has two coordinates in the stroke: how far along it, round ends included, and how far across. These
coordinates map the canvas into the picture of the mark, and kornia's `remap` samples the mark through it.
All is in double precision and differentiable by autograd in every column but the number of the mark, on the device
where the strokes are. Tests compare the kernels with it; nothing else should import it (it needs torch and kornia).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from kornia.geometry.transform import remap
from torch import Tensor

from renderers.brush.stroke import FAR_RED, MARK, THICKNESS, Marks
from renderers.raster.ribbon import A0, A2, R0, R2, RED
from tests.oracles.dense import measure, pixel_centres

_LIGHT = 0.5**0.5
_TINY = 1e-12


@dataclass(frozen=True)
class TexturedStroke:
    """One stroke, evaluated at every pixel of the canvas.

    Attributes:
        mask: (H, W) opacity times coverage, in [0, 1].
        along: (H, W) place along the mark, in [0, 1].
        colour: (H, W, 3) colour that it would paint, with the light on its relief.
    """

    mask: Tensor
    along: Tensor
    colour: Tensor


def paint(
    strokes: Tensor,
    marks: Marks,
    ground: Tensor,
    steps: Sequence[int] = (),
    covers: float = 1.0,
    soften_px: float = 1.0,
) -> list[Tensor]:
    """Paint textured strokes in order onto a canvas.

    Args:
        strokes: (N, 18) columns as in `renderers.brush.stroke`, lengths in units of the shorter side of the canvas.
        marks: of the brush, see `renderers.brush.stroke.marks_of`.
        ground: (H, W, 3) the canvas before the first stroke.
        steps: after how many strokes to keep the canvas, ascending, 0 to N; none means all of them, N.
        covers: 1 for paint that hides what is below, 0 for ink that adds to it.
        soften_px: width of the soft edge.

    Returns:
        The (H, W, 3) canvases at those steps, double precision.
    """
    canvas = ground.double()
    kept_steps = list(steps) or [len(strokes)]
    kept = [canvas] * kept_steps.count(0)
    for index, stroke in enumerate(strokes.double()):
        textured_stroke = textured(stroke, marks, canvas.shape[0], canvas.shape[1], soften_px)
        canvas = canvas + textured_stroke.mask[..., None] * (textured_stroke.colour - covers * canvas)
        kept += [canvas] * kept_steps.count(index + 1)
    return kept


def textured(stroke: Tensor, marks: Marks, height: int, width: int, soften_px: float = 1.0) -> TexturedStroke:
    """What one (18,) stroke leaves on a canvas of height x width pixels."""
    t, cover = measure(stroke, height, width, soften_px)
    u, v, tangent = _place(stroke, t, height, width)
    mark = [torch.as_tensor(field, dtype=stroke.dtype, device=stroke.device) for field in marks]
    which = stroke[MARK : MARK + 1].detach().long() % len(marks.cover)
    covered, slope_along, slope_across = (field.index_select(0, which)[0] for field in mark)
    num_across, num_along = marks.cover.shape[1:]
    column, row = u * (num_along - 1), v * (num_across - 1)
    reached = remap(covered[None, None], column[None], row[None], align_corners=True)[0, 0]
    # Slopes are read from the texel at the upper left, as in the kernel: relief need not be exact.
    texel = (row.detach().long().clamp_max(num_across - 2), column.detach().long().clamp_max(num_along - 2))
    x, y = tangent
    lit = slope_along[texel] * (x + y) + slope_across[texel] * (x - y)
    light = 1 + stroke[THICKNESS] * _LIGHT * lit
    near, far = stroke[RED : RED + 3], stroke[FAR_RED : FAR_RED + 3]
    colour = ((near + u[..., None] * (far - near)) * light[..., None]).clamp(0.0, 1.0)
    return TexturedStroke(cover * reached * (stroke[A0] + (stroke[A2] - stroke[A0]) * t), u, colour)


def _place(stroke: Tensor, t: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Places along and across the mark, in [0, 1], of pixels whose nearest point is B(t), and the tangent there.

    The velocity at t = 1/2 is used as the length of the stroke, which is close for a gentle quadratic curve.
    """
    unit_px = min(height, width)
    first, middle, last = (stroke[:6] * unit_px).reshape(3, 2)
    before, after = stroke[R0] * unit_px, stroke[R2] * unit_px
    along = t[..., None]
    curve = (1 - along) ** 2 * first + 2 * along * (1 - along) * middle + along**2 * last
    velocity = 2 * (1 - along) * (middle - first) + 2 * along * (last - middle)
    tangent = velocity / (velocity**2).sum(-1, keepdim=True).clamp_min(_TINY).sqrt()
    offset = pixel_centres(height, width, stroke.device) - curve
    length = (last - first).norm()
    beyond = (offset * tangent).sum(-1)  # in the round ends, where the nearest point stays at the end
    u = (before + t * length + beyond) / (length + before + after).clamp_min(_TINY)
    x, y = tangent.unbind(-1)
    side = (x * offset[..., 1] - y * offset[..., 0]) / (before + (after - before) * t).clamp_min(_TINY)
    return u.clamp(0.0, 1.0), (0.5 * (side + 1)).clamp(0.0, 1.0), (x, y)
