"""The oracle: the model of `renderers.raster.ribbon`, written as plainly as possible in torch, in double precision.

Every stroke is evaluated at every pixel, so this is hundreds of times slower than the kernels and shares nothing with
them but the model: a pixel belongs to the nearest point B(t) of the centreline; radius and opacity are linear in t;
coverage is clip((r - d) / soften + 1/2, 0, 1); a stroke of colour q and mask m turns the canvas C into
C + m (q - covers C). It is differentiable in all 13 columns by autograd. Tests compare the kernels with it; the
oracle of textured strokes (`tests.oracles.warp`) is built on it; nothing else should import it, as it needs torch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NUM_SAMPLES = 256
_BISECTIONS = 40  # of a bracket of 2 / NUM_SAMPLES, down to the last bit of a double
_TINY = 1e-12


def paint(
    strokes: Tensor, ground: Tensor, soften_px: float = 1.0, steps: Sequence[int] = (), covers: float = 1.0
) -> list[Tensor]:
    """Paint strokes in order onto a canvas.

    Args:
        strokes: (N, 13) columns as in `renderers.raster.ribbon`, lengths in units of the shorter side of the canvas.
        ground: (H, W, 3) the canvas before the first stroke, RGB in [0, 1].
        soften_px: width of the soft edge.
        steps: after how many strokes to keep the canvas, ascending, 0 to N; none means all of them, N.
        covers: 1 for paint that hides what is below, 0 for ink that adds to it.

    Returns:
        The (H, W, 3) canvases at those steps, double precision.
    """
    canvas = ground.double()
    kept_steps = list(steps) or [len(strokes)]
    kept = [canvas] * kept_steps.count(0)
    for index, stroke in enumerate(strokes.double()):
        mask = stroke_mask(stroke, canvas.shape[0], canvas.shape[1], soften_px)[..., None]
        canvas = canvas + mask * (stroke[10:] - covers * canvas)
        kept += [canvas] * kept_steps.count(index + 1)
    return kept


def painting_loss(
    strokes: Tensor,
    target: Tensor,
    ground: Tensor,
    soften_px: float,
    after: Sequence[int] = (),
    weight: float = 0.0,
    covers: float = 1.0,
    absolute: bool = False,
) -> tuple[Tensor, Tensor]:
    """The losses of `renderers.raster.gradient.loss_and_gradient`.

    Args:
        strokes: (N, 13).
        target, ground: (H, W, 3) the picture, and the canvas before the first stroke.
        soften_px: width of the soft edge.
        after: indices of strokes after which the error of the under-painting is added too.
        weight: weight of the error of each under-painting.
        covers: as in `paint`.
        absolute: whether errors are absolute values instead of squares.

    Returns:
        The error of the finished canvas, and the same plus the weighted errors of the under-paintings, whose
        gradient `loss_and_gradient` writes.
    """
    steps = sorted(index + 1 for index in after)
    *under, finished = paint(strokes, ground, soften_px, [*steps, len(strokes)], covers)
    errors = [(canvas - target).abs().pow(1 if absolute else 2).sum() for canvas in (finished, *under)]
    return errors[0], errors[0] + weight * sum(errors[1:])


def stroke_mask(stroke: Tensor, height: int, width: int, soften_px: float) -> Tensor:
    """Opacity times coverage of one (13,) stroke: (H, W) in [0, 1]."""
    along, cover = measure(stroke, height, width, soften_px)
    return cover * (stroke[8] + (stroke[9] - stroke[8]) * along)


def measure(stroke: Tensor, height: int, width: int, soften_px: float) -> tuple[Tensor, Tensor]:
    """For every pixel, its place t in [0, 1] along a (13,) stroke, and its coverage in [0, 1]; both (H, W)."""
    stroke = stroke.double()
    unit_px = min(height, width)
    pixels = pixel_centres(height, width, stroke.device).reshape(-1, 2)
    points = stroke[:6].reshape(3, 2) * unit_px
    t = _implicit(nearest(points.detach(), pixels), points, pixels)
    squared = ((pixels - _curve(points, t)) ** 2).sum(-1)
    distance = squared.clamp_min(_TINY).sqrt()
    radius = (stroke[6] + (stroke[7] - stroke[6]) * t) * unit_px
    cover = ((radius - distance) / soften_px + 0.5).clamp(0.0, 1.0)
    return t.reshape(height, width), cover.reshape(height, width)


def pixel_centres(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W, 2) x and y of every pixel, in pixels."""
    y, x = (torch.arange(side, dtype=torch.float64, device=device) + 0.5 for side in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def nearest(points: Tensor, pixels: Tensor) -> Tensor:
    """Parameter of the nearest point of a quadratic Bézier curve: (P,) t in [0, 1] for (P, 2) pixels.

    The best of many samples, then bisection of the slope of the squared distance between its neighbours.
    """
    samples = torch.linspace(0.0, 1.0, NUM_SAMPLES + 1, dtype=torch.float64, device=points.device)
    best = torch.cdist(pixels, _curve(points, samples), compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    low, high = samples[(best - 1).clamp_min(0)], samples[(best + 1).clamp_max(NUM_SAMPLES)]
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        ahead = ((pixels - _curve(points, middle)) * _velocity(points, middle)).sum(-1) > 0
        low, high = torch.where(ahead, middle, low), torch.where(ahead, high, middle)
    ends = 1.0 / 2**_BISECTIONS  # bisection creeps up to an end without ever reaching it
    t = 0.5 * (low + high)
    return torch.where(t < ends, torch.zeros_like(t), torch.where(t > 1 - ends, torch.ones_like(t), t))


def curvature_of_distance(points: Tensor, pixels: Tensor, t: Tensor) -> Tensor:
    """Half the second derivative in t of the squared distance, |B'|^2 - e . B''.

    It is positive at a nearest point, and zero where that point is about to jump, at the end of the medial axis.
    """
    bend = 2 * (points[0] - 2 * points[1] + points[2])
    return (_velocity(points, t) ** 2).sum(-1) - ((pixels - _curve(points, t)) * bend).sum(-1)


def _implicit(t: Tensor, points: Tensor, pixels: Tensor) -> Tensor:
    """Give the nearest t its gradient in the control points.

    One Newton step does not move t, but has the derivative of the root of e . B' = 0. At the ends of the curve t is
    fixed, so its gradient is zero there.
    """
    slope = ((pixels - _curve(points, t)) * _velocity(points, t)).sum(-1)
    second = curvature_of_distance(points.detach(), pixels, t).clamp_min(_TINY)
    inside = (t > 0) & (t < 1)
    return t + torch.where(inside, slope - slope.detach(), torch.zeros_like(slope)) / second


def _curve(points: Tensor, t: Tensor) -> Tensor:
    s = t[:, None]
    return (1 - s) ** 2 * points[0] + 2 * s * (1 - s) * points[1] + s**2 * points[2]


def _velocity(points: Tensor, t: Tensor) -> Tensor:
    s = t[:, None]
    return 2 * (1 - s) * (points[1] - points[0]) + 2 * s * (points[2] - points[1])
