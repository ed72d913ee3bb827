"""The CPU kernels of `training.random.philox`, compiled so that 16 numbers are made at a time.

Two million normals take 1.3 ms on one thread. Logarithm, sine and cosine are polynomials because library functions are
not called for 16 numbers at a time; their coefficients are minimax, fitted by Lawson's iteration. Whole numbers are
kept 32 bits wide because only half as many of 64 bits, to which numba widens every sum, fit a register.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_FIRST, _THIRD = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_F = np.float32
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(0.5) as float32
_MANTISSA, _ONE = np.int32(23), _F(1)
_TURN = 512  # blocks, an even number of them: 8 KiB of words
_DOUBLE_LOG_2 = _F(-1.3862943611198906)
# -2 ln(1 + x) / x of x in [sqrt(0.5) - 1, sqrt(2) - 1], to 3e-7
_LOG = tuple(
    _F(c)
    for c in (
        -1.9999998807907104, 1.000006914138794, -0.6667121648788452, 0.49943119287490845, -0.39768484234809875,
        0.3442489206790924, -0.3267618715763092, 0.20757167041301727,
    )
)  # fmt: skip
# sin(pi x) / x and cos(pi x) by x ** 2 for x in [-1, 1], to 1e-7
_SINE = tuple(
    _F(c)
    for c in (
        3.14159140927091, -5.16767767474185, 2.5498807454940944, -0.5982820341066465, 0.0804792855740258,
        -0.005991826851385297,
    )
)  # fmt: skip
_COSINE = tuple(
    _F(c)
    for c in (
        0.9999999891722139, -4.934801133019308, 4.058694936442607, -1.3351588365057079, 0.23503059227829087,
        -0.02535968058243, 0.001594143041993205,
    )
)  # fmt: skip


@part
def block(number: Any, stream: Any, low: Any, high: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Four words of one counter. Of each 64 bits the lower half counts, which leaves the multiplications to SIMD."""
    c0, c1, c2, c3 = number, stream, low, high
    for _ in range(10):
        p0 = (c0 & _LOW) * _FIRST
        p2 = (c2 & _LOW) * _THIRD
        c0 = (p2 >> _HALF) ^ c1 ^ k0
        c1 = p2 & _LOW
        c2 = (p0 >> _HALF) ^ c3 ^ k1
        c3 = p0 & _LOW
        k0 = (k0 + _WEYL_0) & _LOW
        k1 = (k1 + _WEYL_1) & _LOW
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)


@part
def pair(radius: Any, angle: Any) -> tuple[Any, Any]:
    """Two normal numbers of two words, as `training.random.philox.torch_normals` has them."""
    length = _F(radius) + _F(0.5)
    bits = _F(length).view(np.int32)
    exponent = np.int32(np.int32(bits - _ROOT_HALF) >> _MANTISSA)
    x = np.int32(bits - np.int32(exponent << _MANTISSA)).view(np.float32) - _ONE
    log = _LOG[7]
    for c in (_LOG[6], _LOG[5], _LOG[4], _LOG[3], _LOG[2], _LOG[1], _LOG[0]):
        log = log * x + c
    length = np.sqrt(log * x + _F(np.int32(exponent - np.int32(32))) * _DOUBLE_LOG_2)
    turn = _F(np.int32(angle)) * _F(2.0**-31)
    square = turn * turn
    sine = _SINE[5]
    for c in (_SINE[4], _SINE[3], _SINE[2], _SINE[1], _SINE[0]):
        sine = sine * square + c
    cosine = _COSINE[6]
    for c in (_COSINE[5], _COSINE[4], _COSINE[3], _COSINE[2], _COSINE[1], _COSINE[0]):
        cosine = cosine * square + c
    return length * cosine, length * sine * turn


@part
def beside(lower: Any, upper: Any) -> Any:
    """64 bits of two words, the first before the second in memory."""
    return np.uint64(lower) | np.uint64(upper) << _HALF


@kernel
def fill_words(k0: np.uint64, k1: np.uint64, stream: np.uint64, positions: NDArray[np.int64], out: Any) -> None:
    """Fill (B, N) uint32 with the words of (B,) positions."""
    count = out.shape[1]
    for b in range(len(positions)):
        low, high = np.uint64(positions[b]) & _LOW, np.uint64(positions[b]) >> _HALF
        row = out[b]
        for i in range(count // 4):
            row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3] = block(np.uint64(i), stream, low, high, k0, k1)
        last = count // 4
        rest = block(np.uint64(last), stream, low, high, k0, k1)
        for place in range(4 * last, count):
            row[place] = rest[place - 4 * last]


@kernel
def fill_normals(k0: np.uint64, k1: np.uint64, stream: np.uint64, positions: NDArray[np.int64], out: Any) -> None:
    """Fill (B, N) float32 with the normal numbers of (B,) positions.

    Words and numbers are made in turns of `_TURN` blocks, which stay in the fastest cache: each loop alone has room for
    all it needs in registers. Words are made at two places at once, as a round waits for the one before, and lie as
    they are made, two to 64 bits: a radius beside a radius, an angle beside an angle.
    """
    count = out.shape[1]
    num_blocks = (count + 3) // 4
    pairs = np.empty((2, _TURN), np.uint64)
    drawn = pairs.view(np.uint32)
    for b in range(len(positions)):
        low, high = np.uint64(positions[b]) & _LOW, np.uint64(positions[b]) >> _HALF
        row = out[b]
        for start in range(0, num_blocks, _TURN):
            half = (min(_TURN, num_blocks - start) + 1) // 2
            for i in range(half):
                a0, a1, a2, a3 = block(np.uint64(start + i), stream, low, high, k0, k1)
                b0, b1, b2, b3 = block(np.uint64(start + half + i), stream, low, high, k0, k1)
                pairs[0, i], pairs[1, i] = beside(a0, a2), beside(a1, a3)
                pairs[0, half + i], pairs[1, half + i] = beside(b0, b2), beside(b1, b3)
            numbers = row[4 * start : 4 * (start + _TURN)]
            whole = len(numbers) // 2
            for i in range(whole):
                numbers[2 * i], numbers[2 * i + 1] = pair(drawn[0, i], drawn[1, i])
            if len(numbers) % 2:
                numbers[2 * whole] = pair(drawn[0, whole], drawn[1, whole])[0]
