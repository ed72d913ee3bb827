"""Which strokes meet which tiles of a batch of canvases, and in which order they are painted there.

A canvas is cut into square tiles. A *pair* is a stroke and a tile that it may touch. All tiles of all pictures are
painted at once, in layers: layer d holds the d-th stroke of every tile that has so many. Tiles are ranked by how many
strokes they have, the most first, so that the tiles of a layer are always the first ones, and a layer is a slice.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from renderers.raster.ribbon import R0, R2, X0, Y0

SIDE_PX = 8
AREA_PX = SIDE_PX * SIDE_PX
_CHORDS = 4
_REACH_PX = 0.5**0.5 * (SIDE_PX - 1) + 0.01  # from the middle of a tile to the farthest of its pixels' centres


@dataclass(frozen=True)
class Canvases:
    """B canvases of height x width pixels, cut into tiles; tiles at the lower and right edges may extend beyond."""

    num: int
    height: int
    width: int

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.height // SIDE_PX)

    @property
    def columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.width // SIDE_PX)

    @property
    def num_tiles(self) -> int:
        """Tiles of all canvases."""
        return self.num * self.rows * self.columns

    @property
    def unit_px(self) -> float:
        """Pixels of the shorter side, the unit of length."""
        return float(min(self.height, self.width))

    def cut(self, pictures: Tensor) -> Tensor:
        """(S, B, H, W, 3) pictures to (S, tiles, 3, pixels of a tile); pixels beyond the canvas are 0."""
        bottom, right = self.rows * SIDE_PX - self.height, self.columns * SIDE_PX - self.width
        padded = torch.nn.functional.pad(pictures, (0, 0, 0, right, 0, bottom))
        split = padded.reshape(-1, self.num, self.rows, SIDE_PX, self.columns, SIDE_PX, 3)
        return split.permute(0, 1, 2, 4, 6, 3, 5).reshape(-1, self.num_tiles, 3, AREA_PX)

    def join(self, tiles: Tensor) -> Tensor:
        """(S, tiles, 3, pixels of a tile) back to (S, B, H, W, 3)."""
        split = tiles.reshape(-1, self.num, self.rows, self.columns, 3, SIDE_PX, SIDE_PX)
        canvases = split.permute(0, 1, 2, 5, 3, 6, 4).reshape(
            -1, self.num, self.rows * SIDE_PX, self.columns * SIDE_PX, 3
        )
        return canvases[:, :, : self.height, : self.width]


@dataclass(frozen=True)
class Tiling:
    """The M pairs of a batch, layer by layer.

    Attributes:
        canvases: what is tiled.
        stroke: (M,) number of each pair's stroke in the flattened (B * N) batch.
        left, top: (M,) float32, upper left corner of each pair's tile in pixels.
        starts, counts: host numbers, (layers,): where each layer begins among the pairs, and how many tiles it has.
        layer_starts: (layers,) the same on the device.
        by_rank: (tiles,) numbers of the tiles, those with most strokes first; `rank` (tiles,) is its inverse.
        totals: (tiles,) strokes of each tile, by rank.
        by_stroke: (M,) the pairs in the order of their strokes, and `per_stroke` (B * N,) how many each has.
        first: (tiles,) where each tile's pairs begin among `keys`; `keys` (M,) are tile * (N + 1) + stroke, ascending.
        num_strokes: N.
    """

    canvases: Canvases
    stroke: Tensor
    left: Tensor
    top: Tensor
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    layer_starts: Tensor
    by_rank: Tensor
    rank: Tensor
    totals: Tensor
    by_stroke: Tensor
    per_stroke: Tensor
    first: Tensor
    keys: Tensor
    num_strokes: int

    def painted(self, steps: Tensor) -> Tensor:
        """How many strokes every tile has after each of the steps: (S, tiles) by rank, of (B, S) steps."""
        per_picture = self.canvases.rows * self.canvases.columns
        after = steps.repeat_interleave(per_picture, 0).T  # (S, tiles)
        tiles = torch.arange(self.canvases.num_tiles, device=steps.device)
        behind = torch.searchsorted(self.keys, (tiles * (self.num_strokes + 1) + after).contiguous())
        return (behind - self.first)[:, self.by_rank]


def num_candidates(strokes: Tensor, height: int, width: int, soften_px: float) -> Tensor:
    """(B, N) tiles in the box around each stroke: no fewer than its pairs."""
    first_x, last_x, first_y, last_y = _box(strokes, Canvases(len(strokes), height, width), soften_px)
    return (last_x - first_x).clamp_min(0) * (last_y - first_y).clamp_min(0)


def tile_strokes(strokes: Tensor, height: int, width: int, soften_px: float) -> Tiling:
    """Find the pairs of (B, N, >= 13) strokes, lengths in units of the canvas's shorter side."""
    canvases = Canvases(len(strokes), height, width)
    num, device = strokes.shape[1], strokes.device
    first_x, last_x, first_y, last_y = (edge.flatten() for edge in _box(strokes, canvases, soften_px))
    across = (last_x - first_x).clamp_min(0)
    boxed = across * (last_y - first_y).clamp_min(0)
    owner = torch.repeat_interleave(torch.arange(len(boxed), device=device), boxed)
    place = torch.arange(len(owner), device=device) - (boxed.cumsum(0) - boxed)[owner]
    row, column = first_y[owner] + place // across[owner], first_x[owner] + place % across[owner]
    near = _may_touch(strokes.flatten(0, 1), owner, row, column, canvases.unit_px, soften_px)
    owner, row, column = owner[near], row[near], column[near]

    tile = ((owner // max(1, num)) * canvases.rows + row) * canvases.columns + column
    sorted_tiles, order = torch.sort(tile, stable=True)
    totals = torch.bincount(tile, minlength=canvases.num_tiles)
    first = totals.cumsum(0) - totals
    by_rank = torch.argsort(totals, descending=True, stable=True)
    rank = torch.empty_like(by_rank)
    rank[by_rank] = torch.arange(len(by_rank), device=device)
    num_tiles_with = torch.bincount(totals)  # tiles that have exactly so many strokes
    in_layer = num_tiles_with.flip(0).cumsum(0).flip(0)[1:]
    layer_starts = in_layer.cumsum(0) - in_layer
    depth = torch.arange(len(tile), device=device) - first[sorted_tiles]
    slot = layer_starts[depth] + rank[sorted_tiles]
    by_slot, by_stroke = torch.empty_like(order), torch.empty_like(order)
    by_slot[slot] = order
    by_stroke[order] = slot
    counts = tuple(in_layer.tolist())
    return Tiling(
        canvases=canvases,
        stroke=owner[by_slot],
        left=(column[by_slot] * SIDE_PX).float(),
        top=(row[by_slot] * SIDE_PX).float(),
        starts=tuple(layer_starts.tolist()),
        counts=counts,
        layer_starts=layer_starts,
        by_rank=by_rank,
        rank=rank,
        totals=totals[by_rank],
        by_stroke=by_stroke,
        per_stroke=torch.bincount(owner, minlength=len(boxed)),
        first=first,
        keys=sorted_tiles * (num + 1) + (owner % max(1, num))[order],
        num_strokes=num,
    )


def _box(strokes: Tensor, canvases: Canvases, soften_px: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First and last (excluded) column and row of the tiles around each stroke."""
    points = strokes[..., X0:R0].reshape(*strokes.shape[:-1], 3, 2) * canvases.unit_px
    reach = torch.maximum(strokes[..., R0], strokes[..., R2]) * canvases.unit_px + 0.5 * soften_px + 0.01
    low, high = points.amin(-2) - reach[..., None], points.amax(-2) + reach[..., None]
    ends = torch.tensor([canvases.columns, canvases.rows], dtype=low.dtype, device=low.device)
    first = torch.minimum((low / SIDE_PX).floor().clamp_min(0), ends).long()
    last = torch.minimum((high / SIDE_PX).floor() + 1, ends).clamp_min(0).long()
    empty = (high < low).any(-1, keepdim=True)
    last = torch.where(empty, first, last)
    return first[..., X0], last[..., X0], first[..., Y0], last[..., Y0]


def _may_touch(strokes: Tensor, owner: Tensor, row: Tensor, column: Tensor, unit_px: float, soften_px: float) -> Tensor:
    """Which candidates a stroke may reach: a few chords approximate the curve, from which they stray little."""
    x0, y0, x1, y1, x2, y2, r0, r2 = (strokes[:, :8] * unit_px).T
    bend = ((x0 - 2 * x1 + x2) ** 2 + (y0 - 2 * y1 + y2) ** 2).sqrt()
    margin = 0.5 * soften_px + bend / (4 * _CHORDS**2) + _REACH_PX
    middle_x, middle_y = (column + 0.5) * SIDE_PX, (row + 0.5) * SIDE_PX
    near = torch.zeros_like(owner, dtype=torch.bool)
    for chord in range(_CHORDS):
        ends = []
        for t in (chord / _CHORDS, (chord + 1) / _CHORDS):
            w0, w1, w2 = (1 - t) ** 2, 2 * t * (1 - t), t * t
            ends.append((w0 * x0 + w1 * x1 + w2 * x2, w0 * y0 + w1 * y1 + w2 * y2, r0 + t * (r2 - r0)))
        (ax, ay, ar), (bx, by, br) = ends
        dx, dy, reach = bx - ax, by - ay, torch.maximum(ar, br) + margin
        inverse = 1.0 / (dx * dx + dy * dy).clamp_min(1e-6)
        px, py = middle_x - ax[owner], middle_y - ay[owner]
        along = ((px * dx[owner] + py * dy[owner]) * inverse[owner]).clamp(0.0, 1.0)
        ex, ey, far = px - along * dx[owner], py - along * dy[owner], reach[owner]
        near |= (ex * ex + ey * ey <= far * far) & (far >= 0)
    return near
