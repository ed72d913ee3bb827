"""Random numbers for a whole batch at once, the same on every device: Philox4x32-10 (Salmon et al. 2011).

The key is the seed, 64 bits. The counter, 128 bits, identifies the numbers: which four of a sample's numbers, the
stream (`training.random.streams`), and the position of the sample, 64 bits. So every sample gets the same numbers in
whatever batch it is; no two streams, positions or numbers share a counter.

On a GPU these are torch operations on int64, none of which waits for the device. On the CPU, where those take 70 times
as long, a kernel computes the same bits (`training.random.philox_kernels`).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.random.streams import Stream

_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85  # added to the key before every round but the first
_ROUNDS = 10
_LOW = 0xFFFFFFFF


def words(seed: int, stream: Stream, positions: Tensor, count: int) -> Tensor:
    """Uniform whole numbers from 0 to 2 ** 32 - 1.

    Args:
        seed: seed of the run.
        stream: what the numbers are for.
        positions: (B,) int64, at least 0, positions of the samples; the numbers are made on their device.
        count: numbers per sample, at most 2 ** 34.

    Returns:
        (B, count) int64.
    """
    if positions.device.type != "cpu":
        return torch_words(seed, stream, positions, count)
    from training.random.philox_kernels import fill_words

    drawn = np.empty((len(positions), count), np.uint32)
    fill_words(*_halves(seed), np.uint64(stream), np.ascontiguousarray(positions.numpy()), drawn)
    return torch.from_numpy(drawn.astype(np.int64))


def normals(seed: int, stream: Stream, positions: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers: (B, *shape) float32, on the device of the positions. Arguments as of `words`.

    Devices agree to the rounding of float32.
    """
    count = math.prod(shape)
    if positions.device.type != "cpu":
        return torch_normals(seed, stream, positions, count).reshape(-1, *shape)
    from training.random.philox_kernels import fill_normals

    drawn = torch.empty(len(positions), count)
    fill_normals(*_halves(seed), np.uint64(stream), np.ascontiguousarray(positions.numpy()), drawn.numpy())
    return drawn.reshape(-1, *shape)


def torch_words(seed: int, stream: Stream, positions: Tensor, count: int) -> Tensor:
    """The same as `words`, by torch operations that every device has."""
    numbers = torch.arange(-(-count // 4), device=positions.device).expand(len(positions), -1)
    low, high = (half[:, None].expand_as(numbers) for half in (positions & _LOW, positions >> 32))
    counters = numbers, torch.full_like(numbers, int(stream)), low, high
    return torch.stack(torch_blocks(counters, seed), dim=-1).flatten(1)[:, :count]


def torch_blocks(counters: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
    """Four words for each counter, which itself is four words, the least significant first; all int64.

    Products of two words fill 64 bits and may be negative as int64; shifted and masked, their halves are right.
    """
    c0, c1, c2, c3 = counters
    keys = [int(half) for half in _halves(seed)]
    for number in range(_ROUNDS):
        k0, k1 = ((key + number * step) & _LOW for key, step in zip(keys, _WEYL, strict=True))
        p0, p2 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (p2 >> 32 & _LOW) ^ c1 ^ k0, p2 & _LOW
        c2, c3 = (p0 >> 32 & _LOW) ^ c3 ^ k1, p0 & _LOW
    return c0, c1, c2, c3


def torch_normals(seed: int, stream: Stream, positions: Tensor, count: int) -> Tensor:
    """The same as `normals`, (B, count), by torch operations: two numbers from two words (Box, Muller 1958).

    With the 32 bits of a word the radius is at most 6.76; one true normal number in 10 ** 11 lies beyond.
    """
    drawn = torch_words(seed, stream, positions, -(-count // 4) * 4)
    radius, angle = drawn[:, ::2], drawn[:, 1::2]
    lengths = torch.sqrt(-2 * torch.log((radius.float() + 0.5) * 2.0**-32))
    turns = (angle - ((angle >> 31) << 32)).float() * (math.pi * 2.0**-31)
    return torch.stack([lengths * torch.cos(turns), lengths * torch.sin(turns)], dim=-1).flatten(1)[:, :count]


def _halves(seed: int) -> tuple[np.uint64, np.uint64]:
    return np.uint64(seed & _LOW), np.uint64(seed >> 32 & _LOW)
