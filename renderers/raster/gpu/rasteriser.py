"""Painting batches of programs in order, with snapshots on the way and exact gradients.

Coverage of all pairs of a stroke and a tile is computed at once; then every tile composes its strokes in order, all
tiles in step. The canvas below every pair is kept: it is what the gradient needs, and what snapshots are read from.
Pictures are dealt to passes so that what is kept stays within bounds.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from renderers.raster.gpu.ribbon import coverage, curve_of, implicit, nearest, window_pixels
from renderers.raster.gpu.tiles import AREA_PX, SIDE_PX, Tiling, num_candidates, tile_strokes
from renderers.raster.ribbon import A0, A2, BLUE, RED

_MOST_PAIRS = {"cpu": 1 << 17, "cuda": 1 << 22}  # kept in one pass, at 1.3 kB each
_PAIRS_AT_ONCE = {"cpu": 1 << 11, "cuda": 1 << 17}  # of which coverage is computed: temporaries fit the CPU's cache


class Shade(Protocol):
    """What a kind of stroke leaves on the pixels of a window."""

    def __call__(
        self, strokes: Tensor, unit_px: Tensor | float, soften_px: float, t: Tensor, xs: Tensor, ys: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Differentiable in the strokes.

        Args:
            strokes: (R, C).
            unit_px: pixels of the canvas's shorter side, a number or (R, 1).
            t: (R, P) where along its stroke each pixel lies, not differentiable yet.
            xs, ys: (R, P) pixel centres.

        Returns:
            (R, P) opacity times coverage, and the colour: (R, 3, P), or (R, 3, 1) where it is the same all over.
        """


def ribbon_shade(
    strokes: Tensor, unit_px: Tensor | float, soften_px: float, t: Tensor, xs: Tensor, ys: Tensor
) -> tuple[Tensor, Tensor]:
    """The `Shade` of smooth strokes of one colour (see `renderers.raster.ribbon`)."""
    curve = curve_of(strokes, unit_px)
    along = implicit(curve, t, xs, ys)
    cover = coverage(strokes, curve, unit_px, soften_px, along, xs, ys)
    opacity = strokes[:, A0, None] + (strokes[:, A2] - strokes[:, A0])[:, None] * along
    return cover * opacity, strokes[:, RED : BLUE + 1, None]


def paint(
    strokes: Tensor,
    ground: Tensor,
    steps: Tensor | None = None,
    shade: Shade = ribbon_shade,
    soften_px: float = 1.0,
    covers: float = 1.0,
) -> Tensor:
    """Paint strokes in order; differentiable in strokes and ground.

    Args:
        strokes: (B, N, C) programs, lengths in units of the canvas's shorter side.
        ground: (B, H, W, 3) canvases before the first stroke.
        steps: (B, S) after how many strokes to look, ascending, 0 to N; None means after all.
        shade: the kind of strokes.
        soften_px: width of the soft edge.
        covers: 1 for paint that hides what is below, 0 for ink that adds to it.

    Returns:
        (B, S, H, W, 3) canvases at those steps.
    """
    if steps is None:
        steps = torch.full((len(strokes), 1), strokes.shape[1], device=strokes.device)
    parts = [
        _Paint.apply(strokes[part], ground[part], steps[part], shade, soften_px, covers)
        for part in passes(strokes, ground.shape[1], ground.shape[2], soften_px)
    ]
    return torch.cat(parts) if parts else ground.new_empty((0, steps.shape[1], *ground.shape[1:]))


def passes(strokes: Tensor, height: int, width: int, soften_px: float) -> Iterator[slice]:
    """Deal a batch of (B, N, C) strokes into parts, as many pictures at a time as memory allows."""
    pairs = num_candidates(strokes.detach(), height, width, soften_px).sum(1).tolist()
    most, start, num_pairs = _MOST_PAIRS[strokes.device.type], 0, 0
    for number, more in enumerate(pairs):
        if num_pairs and num_pairs + more > most:
            yield slice(start, number)
            start, num_pairs = number, 0
        num_pairs += more
    if start < len(pairs):
        yield slice(start, len(pairs))


class _Paint(torch.autograd.Function):
    """One pass. Backward, the gradient of the canvas runs from the last stroke to the first; its value at each
    pair then goes through the shade, by autograd, a chunk of pairs at a time, or by a kernel."""

    @staticmethod
    def forward(
        ctx: Any, strokes: Tensor, ground: Tensor, steps: Tensor, shade: Shade, soften_px: float, covers: float
    ) -> Tensor:
        tiling = tile_strokes(strokes, ground.shape[1], ground.shape[2], soften_px)
        flat = strokes.flatten(0, 1)
        t, mask, colour = _shaded(flat, tiling, shade, soften_px)
        canvas = tiling.canvases.cut(ground[None])[0][tiling.by_rank]
        tape = _compose(tiling, mask, colour, canvas, covers)
        painted = tiling.painted(steps)
        ranks = torch.arange(len(canvas), device=canvas.device)
        starts = torch.cat([tiling.layer_starts, ranks.new_zeros(1)])
        unfinished = starts[painted.clamp_max(len(starts) - 1)] + ranks
        places = torch.where(painted < tiling.totals, unfinished, len(mask) + ranks)
        frames = tiling.canvases.join(tape[places[:, tiling.rank]])
        ctx.save_for_backward(flat, t, mask, colour, tape, painted)
        ctx.more = tiling, shade, soften_px, covers, strokes.shape
        return frames.movedim(0, 1).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flat, t, mask, colour, tape, painted = ctx.saved_tensors
        tiling, shade, soften_px, covers, shape = ctx.more
        onto_frames = tiling.canvases.cut(gradients[0].movedim(1, 0))[:, tiling.by_rank]
        onto_mask, onto_colour, onto_ground = _pull_back(tiling, mask, colour, tape, onto_frames, painted, covers)
        onto_pairs = _onto_pairs(flat, tiling, shade, soften_px, t, onto_mask, onto_colour)
        # Sums in a fixed order, so that the same batch gives the same gradient every time, on a GPU too.
        onto_strokes = torch.segment_reduce(
            onto_pairs[tiling.by_stroke], "sum", lengths=tiling.per_stroke, axis=0, unsafe=True, initial=0
        )
        ground_gradient = tiling.canvases.join(onto_ground[tiling.rank][None])[0]
        return onto_strokes.view(shape), ground_gradient, None, None, None, None


def is_fused(device: torch.device) -> bool:
    """Whether Triton kernels replace torch on a device."""
    return device.type == "cuda"


def _chunks(flat: Tensor, tiling: Tiling) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Chunks of pairs: a slice, (R, C) their strokes, and (R, P) x and y of their tiles' pixels."""
    size = _PAIRS_AT_ONCE[flat.device.type]
    for start in range(0, len(tiling.stroke), size):
        chunk = slice(start, start + size)
        yield chunk, flat[tiling.stroke[chunk]], *window_pixels(tiling.left[chunk], tiling.top[chunk], SIDE_PX)


def _shaded(flat: Tensor, tiling: Tiling, shade: Shade, soften_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """(M, P) t and mask, and (M, 3, P or 1) colour of all pairs."""
    if is_fused(flat.device) and shade is ribbon_shade:
        t, mask = _measured(flat, tiling, slice(None), soften_px)
        return t, mask, flat[tiling.stroke, RED : BLUE + 1, None]
    unit_px, parts = tiling.canvases.unit_px, []
    for chunk, rows, xs, ys in _chunks(flat, tiling):
        fused = is_fused(flat.device)
        t = _measured(flat, tiling, chunk, soften_px)[0] if fused else nearest(rows, unit_px, xs, ys)
        parts.append((t, *shade(rows, unit_px, soften_px, t, xs, ys)))
    if not parts:
        none = flat.new_zeros((0, AREA_PX))
        return none, none, flat.new_zeros((0, 3, 1))
    t, mask, colour = (torch.cat(values) for values in zip(*parts, strict=True))
    return t, mask, colour


def _measured(flat: Tensor, tiling: Tiling, pairs: slice, soften_px: float) -> tuple[Tensor, Tensor]:
    """(R, P) t and mask of some pairs, as ribbons, by a kernel."""
    from renderers.raster.gpu import fused

    return fused.measure(
        flat, tiling.stroke[pairs], flat.new_tensor([tiling.canvases.unit_px]), soften_px, tiling.left[pairs],
        tiling.top[pairs], SIDE_PX,
    )  # fmt: skip


def _compose(tiling: Tiling, mask: Tensor, colour: Tensor, canvas: Tensor, covers: float) -> Tensor:
    """Paint all layers onto (tiles, 3, P) canvases by rank.

    Returns:
        (M + tiles, 3, P) the canvas below every pair, and then the finished canvases.
    """
    if is_fused(mask.device):
        from renderers.raster.gpu import fused

        return fused.compose(mask, colour, canvas, tiling.layer_starts, tiling.totals, covers)
    tape = canvas.new_empty((len(mask) + len(canvas), *canvas.shape[1:]))
    for start, count in zip(tiling.starts, tiling.counts, strict=True):
        pairs, tiles = slice(start, start + count), canvas[:count]
        tape[pairs] = tiles
        weight = mask[pairs, None]
        if covers == 1.0:
            tiles.lerp_(colour[pairs].expand_as(tiles), weight)
        else:
            tiles += weight * (colour[pairs] - covers * tiles)
    tape[len(mask) :] = canvas
    return tape


def _pull_back(
    tiling: Tiling, mask: Tensor, colour: Tensor, tape: Tensor, onto_frames: Tensor, painted: Tensor, covers: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Carry the gradient of (S, tiles, 3, P) frames down through all layers.

    Returns:
        Gradients of the mask and the colour of each pair, and (tiles, 3, P) of the ground, by rank.
    """
    if is_fused(mask.device):
        from renderers.raster.gpu import fused

        return fused.pull_back(
            mask, colour, tape, onto_frames, painted, tiling.layer_starts, tiling.totals, covers
        )  # fmt: skip
    arrivals = _Arrivals(onto_frames, painted, len(tiling.counts))
    upstream = onto_frames.new_empty((len(mask), *onto_frames.shape[2:]))
    canvas = torch.zeros_like(onto_frames[0])
    for layer in range(len(tiling.counts) - 1, -1, -1):
        arrivals.add(canvas, layer + 1)
        start, count = tiling.starts[layer], tiling.counts[layer]
        pairs, tiles = slice(start, start + count), canvas[:count]
        upstream[pairs] = tiles
        tiles *= 1.0 - covers * mask[pairs, None]
    arrivals.add(canvas, 0)
    onto_mask = (upstream * (colour - covers * tape[: len(mask)])).sum(1)
    onto_colour = upstream * mask[:, None]
    return onto_mask, onto_colour.sum(-1, keepdim=True) if colour.shape[-1] == 1 else onto_colour, canvas


def _onto_pairs(
    flat: Tensor, tiling: Tiling, shade: Shade, soften_px: float, t: Tensor, onto_mask: Tensor, onto_colour: Tensor
) -> Tensor:
    """(M, C) gradient of each pair in its stroke, from those in its mask and colour."""
    unit_px = tiling.canvases.unit_px
    if is_fused(flat.device) and shade is ribbon_shade:
        from renderers.raster.gpu import fused

        onto_shape = fused.shape_gradient(
            flat, tiling.stroke, unit_px, soften_px, tiling.left, tiling.top, SIDE_PX, t, onto_mask
        )
        return torch.cat([onto_shape, onto_colour[..., 0]], 1)
    onto_pairs = flat.new_empty((len(t), flat.shape[1]))
    for chunk, rows, xs, ys in _chunks(flat, tiling):
        with torch.enable_grad():
            leaf = rows.requires_grad_()
            outputs = shade(leaf, unit_px, soften_px, t[chunk], xs, ys)
            (onto_pairs[chunk],) = torch.autograd.grad(outputs, leaf, (onto_mask[chunk], onto_colour[chunk]))
    return onto_pairs


class _Arrivals:
    """Gradients of frames, sorted by the number of strokes that each tile had been given by then."""

    def __init__(self, onto_frames: Tensor, painted: Tensor, num_layers: int) -> None:
        """Frames between which a tile does not change are summed, so that no sum depends on the order of threads."""
        after, gradients = painted.clone(), onto_frames.clone()
        for frame in range(len(after) - 1):
            same = after[frame] == after[frame + 1]
            gradients[frame + 1] += gradients[frame] * same[:, None, None]
            after[frame, same] = num_layers + 1  # these are never read
        flat, num_tiles = after.flatten(), after.shape[1]
        order = torch.sort(flat, stable=True).indices
        self._tiles, self._gradients = order % num_tiles, gradients.flatten(0, 1)[order]
        ends = torch.bincount(flat, minlength=num_layers + 2).cumsum(0)
        self._ends: list[int] = [0, *ends.tolist()]

    def add(self, canvas: Tensor, after: int) -> None:
        """Add to (tiles, 3, P) the gradients of frames that show a tile after `after` strokes."""
        arriving = slice(self._ends[after], self._ends[after + 1])
        canvas.index_add_(0, self._tiles[arriving], self._gradients[arriving])
