"""By how much strokes of Learning to Paint would help a painting, each in its best colour, and which help most.

A stroke of mask M and colour c turns canvas C into C + M (c - C). With picture P and e = P - (1 - M) C, what is left to
paint is e - M c, so the best colour is the least-squares one, (sum of M e) / (sum of M^2), clipped to [0, 1]. What the
stroke gains is the sum of (P - C)^2 less the sum of (e - M c)^2, which takes nine sums over the stroke's own pixels
and no others.
"""

import numpy as np

from renderers.raster.discs import Discs, Fine, disc_masks, draw_mask, half_widths, new_fine, paint_discs, plan_discs
from renderers.raster.jit import kernel
from renderers.raster.ribbon import Floats, Ints

_SHORTLIST = 24
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


def disc_gains(strokes: Floats, canvas: Floats, picture: Floats) -> tuple[Floats, Floats]:
    """What each stroke would gain, and the colour in which it gains most.

    Args:
        strokes: (N, 13) in [0, 1], in Learning to Paint's form; their colours are ignored.
        canvas: (3, W, W) in [0, 1], before any of the strokes.
        picture: (3, W, W) in [0, 1], in the same order of channels.

    Returns:
        (N,) float32, by how much the sum of squared errors over pixels and channels falls, and (N, 3) float32 colours
        in [0, 1].

    Raises:
        ValueError: if a number of a stroke is outside [0, 1], or the canvas and the picture differ in shape.
    """
    if canvas.shape != picture.shape:
        raise ValueError(f"a canvas of {canvas.shape}, but a picture of {picture.shape}")
    width = canvas.shape[-1]
    gains, colours = np.empty(len(strokes), np.float32), np.empty((len(strokes), 3), np.float32)
    _measure(
        plan_discs(strokes, width), half_widths(1 + width // 2), np.ascontiguousarray(canvas, np.float32),
        np.ascontiguousarray(picture, np.float32), np.empty((width, width), np.float32), new_fine(width),
        gains, colours,
    )  # fmt: skip
    return gains, colours


def best_discs(strokes: Floats, gains: Floats, canvas: Floats, picture: Floats, count: int) -> Floats:
    """The strokes that help most, one after another: each is chosen where those before it are already painted.

    Only the 24 with the greatest gain on the bare canvas are tried again; of equal ones the first is taken.

    Args:
        strokes: (N, 13) in [0, 1], in their best colours.
        gains: (N,) of them, alone; see `disc_gains`.
        canvas, picture: (3, W, W) in [0, 1], as there.
        count: of the strokes that are wanted. A stroke may be taken more than once.

    Returns:
        (`count`, 13) float32, in the order in which they are painted. Where none of them helps, the stroke that harms
        least is given no opacity.
    """
    order = np.argsort(-gains, kind="stable")[:_SHORTLIST]
    likely, likely_gains = np.array(strokes[order], np.float32), gains[order]
    painted = np.ascontiguousarray(canvas.transpose(1, 2, 0), np.float32)
    chosen: list[Floats] = []
    while True:
        best = int(likely_gains.argmax())
        one = likely[best : best + 1].copy()
        if likely_gains[best] <= 0:
            one[:, 8:10] = 0
        chosen.append(one)
        if len(chosen) == count:
            return np.concatenate(chosen)
        painted = paint_discs(one, painted)
        likely_gains, likely[:, 10:] = disc_gains(likely, painted.transpose(2, 0, 1), picture)


def mask_pulls(strokes: Floats, canvas: Floats, picture: Floats) -> Floats:
    """How the gain of each stroke changes with its mask: 2 (P - C - M (c - C)) . (c - C).

    The colour can be treated as constant: where it is best, a small change of it does not change the gain.

    Args:
        strokes: (N, 13) in [0, 1], in their best colours.
        canvas, picture: as in `disc_gains`.

    Returns:
        (N, W, W) float32.
    """
    width = canvas.shape[-1]
    masks = disc_masks(strokes, width)
    pulls = np.zeros_like(masks)
    for channel in range(3):
        change = strokes[:, 10 + channel, None, None] - canvas[channel]
        pulls += 2 * (picture[channel] - canvas[channel] - masks * change) * change
    return pulls


@kernel
def _measure(
    discs: Discs, reach: Ints, canvas: Floats, picture: Floats, mask: Floats, fine: Fine, gains: Floats,
    colours: Floats,
) -> None:  # fmt: skip
    for i in range(gains.shape[0]):
        top, bottom, left, right = draw_mask(discs, i, reach, mask, fine)
        squares = _ZERO
        for y in range(top, bottom):
            for x in range(left, right):
                squares += mask[y, x] * mask[y, x]
        gain = _ZERO
        for channel in range(3):
            paint = _ZERO
            for y in range(top, bottom):
                on, before, goal = mask[y], canvas[channel, y], picture[channel, y]
                for x in range(left, right):
                    paint += on[x] * (goal[x] - (_ONE - on[x]) * before[x])
            colour = min(_ONE, max(_ZERO, paint / squares)) if squares > _ZERO else _ZERO
            colours[i, channel] = colour
            for y in range(top, bottom):
                on, before, goal = mask[y], canvas[channel, y], picture[channel, y]
                for x in range(left, right):
                    change = on[x] * (colour - before[x])
                    gain += change * (_TWO * (goal[x] - before[x]) - change)
        gains[i] = gain
