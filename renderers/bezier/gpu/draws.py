"""Random numbers of placement: how strokes start, and how they are changed in search of better ones.

Random numbers are a hash of (seed of the picture, number of the stroke, place), so a picture's strokes do not depend on
what else is in the batch, and a GPU draws the numbers of all pictures at once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from renderers.bezier.place import Search
from renderers.raster.ribbon import X0, X1, X2, Floats

_PROPOSALS = 9  # in a round
_ROUNDS_PER_CLIMB = 1 / 3  # per climb of the CPU's kernel, where climbs come one after the other
_START_NUMBERS, _PROPOSAL_NUMBERS = 11, 3
_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Draws(NamedTuple):
    """Random numbers of n strokes of B pictures, with K starts and R rounds of P proposals each.

    Attributes:
        rank: (n, B, K) uniform; from it follows how bad the cell of a start is.
        within: (n, B, K, 2) uniform; where in the cell.
        starts: (n, B, K, 13) the start, relative to the place that it goes through.
        reaching, fixed: (n, B, R, P, 13) how a proposal differs from the best stroke: reaching * reach + fixed.
    """

    rank: Tensor
    within: Tensor
    starts: Tensor
    reaching: Tensor
    fixed: Tensor


def picture_keys(seeds: Sequence[np.random.SeedSequence], device: torch.device) -> Tensor:
    """(B,) int64, a key for each seed."""
    keys = np.array([seed.generate_state(1, np.uint64)[0] for seed in seeds], np.uint64)
    return torch.from_numpy(keys.view(np.int64)).to(device)


def draw(keys: Tensor, radii: Floats, first: int, search: Search) -> Draws:
    """The random numbers of some strokes.

    Args:
        keys: (B,) of the pictures.
        radii: (n,) typical radius of each stroke.
        first: number of the first of these strokes in its painting.
    """
    rounds, num_starts = math.ceil(search.num_climbs * _ROUNDS_PER_CLIMB), search.num_candidates
    starting, proposing = num_starts * _START_NUMBERS, rounds * _PROPOSALS * _PROPOSAL_NUMBERS
    numbers = uniform(keys, first, len(radii), starting + proposing)
    shape = (len(radii), len(keys))
    girths = torch.from_numpy(radii).to(keys.device)[:, None, None]
    rank, within, starts = _starts(numbers[..., :starting].view(*shape, num_starts, -1), girths, search)
    reaching, fixed = _changes(numbers[..., starting:].view(*shape, rounds, _PROPOSALS, -1))
    return Draws(rank, within, starts, reaching, fixed)


def uniform(keys: Tensor, first: int, num_strokes: int, count: int) -> Tensor:
    """(n, B, count) float32 in [0, 1): SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) as a hash of key and place."""
    strokes = torch.arange(first, first + num_strokes, device=keys.device)[:, None, None]
    places = strokes * count + torch.arange(count, device=keys.device)
    state = keys[:, None] + places * _signed(_GOLDEN)
    state = (state ^ _shifted(state, 30)) * _signed(_MIX1)
    state = (state ^ _shifted(state, 27)) * _signed(_MIX2)
    return _shifted(state ^ _shifted(state, 31), 40).float() * 2.0**-24


def _signed(value: int) -> int:
    """The signed 64-bit number with the same bits: products wrap around in the same way."""
    return value - (1 << 64)


def _shifted(value: Tensor, bits: int) -> Tensor:
    """A logical shift to the right: zeros enter from the left."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _starts(numbers: Tensor, radius: Tensor, search: Search) -> tuple[Tensor, Tensor, Tensor]:
    """Strokes slightly bent, opacity 0.6 to 1; no colour yet (see `renderers.bezier.place`)."""
    rank, right, down, turn, longer, bend, girth, first, last, first_opacity, last_opacity = numbers.unbind(-1)
    angle = (turn - 0.5) * math.pi
    half = radius * (float(search.min_length) + float(search.max_length - search.min_length) * longer)
    dx, dy, aside = angle.cos() * half, angle.sin() * half, bend - 0.5
    wide = radius * (0.5 + girth)
    ends = [wide * (0.6 + 0.6 * first), wide * (0.6 + 0.6 * last), 0.6 + 0.4 * first_opacity, 0.6 + 0.4 * last_opacity]
    zero = torch.zeros_like(dx)
    starts = torch.stack([-dx, -dy, -dy * aside, dx * aside, dx, dy, *ends, zero, zero, zero], -1)
    return rank, torch.stack([right, down], -1), starts


def _changes(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Changes of one thing about a stroke: its place, one of its points, its girth or its opacity."""
    kind = (numbers[..., 0] * 6).long()[..., None]
    # Two normal numbers from two uniform ones (Box and Muller, 1958).
    length, angle = (-2 * torch.log1p(-numbers[..., 1])).sqrt(), 2 * math.pi * numbers[..., 2]
    normal = torch.stack([length * angle.cos(), length * angle.sin()], -1)
    zero = torch.zeros_like(normal)
    # The middle point pulls the curve only half as far.
    points = [
        torch.where((kind == 0) | (kind == 1 + point // 2), normal * (1 + ((point == X1) & (kind != 0))), zero)
        for point in (X0, X1, X2)
    ]
    girth, opacity = torch.where(kind == 4, 0.5 * normal, zero), torch.where(kind == 5, 0.15 * normal, zero)
    colour = torch.cat([zero, zero[..., :1]], -1)
    reaching = torch.cat([*points, girth, zero, colour], -1)
    return reaching, torch.cat([zero, zero, zero, zero, opacity, colour], -1)
