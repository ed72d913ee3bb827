"""Random numbers: the published generator, the same on every path, normal where normal numbers are asked for."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from training.random.philox import normals, torch_blocks, torch_normals, torch_words, words
from training.random.philox_kernels import block, pair
from training.random.streams import Stream

POSITIONS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5)
SEEDS = st.integers(0, 2**63 - 1)
STREAMS = st.sampled_from(Stream)
# Counter, key and words of philox4x32-10, from the kat_vectors of Random123 (Salmon et al. 2011).
KNOWN = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)


def from_hex(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_words_are_the_published_ones(counter: str, key: str, expected: str) -> None:
    k0, k1 = from_hex(key)
    of_torch = torch_blocks(tuple(torch.tensor([word]) for word in from_hex(counter)), k0 + (k1 << 32))
    of_kernel = block(*(np.uint64(word) for word in (*from_hex(counter), k0, k1)))
    assert [int(word) for word in of_torch] == [int(word) for word in of_kernel] == from_hex(expected)


def test_a_number_is_a_word_of_seed_stream_position_and_place() -> None:
    seed, position = 0x299F31D0A4093822, 0x0370734413198A2E
    drawn = words(seed, Stream.CONDITIONS, torch.tensor([position]), 12)[0].tolist()
    for number in range(3):
        counter = number, int(Stream.CONDITIONS), 0x13198A2E, 0x03707344
        expected = block(*(np.uint64(word) for word in (*counter, 0xA4093822, 0x299F31D0)))
        assert drawn[4 * number : 4 * number + 4] == [int(word) for word in expected]


@settings(max_examples=50, deadline=None)
@given(SEEDS, STREAMS, POSITIONS, st.integers(1, 200))
def test_the_kernel_draws_the_bits_that_every_device_draws(
    seed: int, stream: Stream, positions: list[int], count: int
) -> None:
    of_kernel = words(seed, stream, torch.tensor(positions), count)
    assert of_kernel.shape == (len(positions), count)
    assert torch.equal(of_kernel, torch_words(seed, stream, torch.tensor(positions), count))


@settings(max_examples=50, deadline=None)
@given(SEEDS, STREAMS, POSITIONS, st.integers(1, 200))
def test_the_kernels_normal_numbers_are_those_of_every_device_to_rounding(
    seed: int, stream: Stream, positions: list[int], count: int
) -> None:
    of_kernel = normals(seed, stream, torch.tensor(positions), (count,))
    assert of_kernel.shape == (len(positions), count) and of_kernel.dtype == torch.float32
    of_torch = torch_normals(seed, stream, torch.tensor(positions), count)
    torch.testing.assert_close(of_kernel, of_torch, atol=4e-6, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_what_the_cpu_draws() -> None:
    positions = torch.tensor([0, 1, 255, 2**32, 2**62 + 3])
    for seed in (0, 2**63 - 1):
        there = words(seed, Stream.NOISE, positions.cuda(), 8191)
        assert there.is_cuda and torch.equal(there.cpu(), words(seed, Stream.NOISE, positions, 8191))
        noise = normals(seed, Stream.NOISE, positions.cuda(), (8, 32, 32))
        torch.testing.assert_close(
            noise.cpu(), normals(seed, Stream.NOISE, positions, (8, 32, 32)), atol=4e-6, rtol=1e-5
        )


def test_the_largest_and_smallest_words_give_finite_numbers() -> None:
    for radius in (0, 1, 2**31, 0xB504F333, 2**32 - 129, 2**32 - 128, 2**32 - 1):
        for angle in (0, 1, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 1):
            length = math.sqrt(-2 * math.log(min(1.0, float(np.float32(radius) + np.float32(0.5)) / 2**32)))
            turn = math.pi * (angle - (angle >> 31 << 32)) / 2**31
            expected = length * math.cos(turn), length * math.sin(turn)
            assert pair(np.uint32(radius), np.uint32(angle)) == pytest.approx(expected, abs=4e-6)


@pytest.mark.parametrize("stream", [Stream.NOISE, Stream.POSTERIOR])
def test_numbers_are_normal(stream: Stream) -> None:
    """Moments within five standard errors; Kolmogorov and Smirnov's test; as many far out as there should be."""
    drawn = normals(5, stream, torch.arange(256), (8, 32, 32)).double().flatten()
    count = drawn.numel()
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((drawn**power).mean()) - expected) < 5 * math.sqrt(variance / count)
    assert stats.kstest(drawn.numpy(), stats.norm.cdf).pvalue > 1e-4
    for beyond in (3.0, 4.0):
        share = 2 * stats.norm.sf(beyond)
        assert abs(int((drawn.abs() > beyond).sum()) - share * count) < 5 * math.sqrt(share * count)


def test_words_are_as_likely_in_every_bit_and_byte() -> None:
    drawn = words(9, Stream.NOISE, torch.arange(64), 4096).flatten()
    bits = (drawn[:, None] >> torch.arange(32) & 1).double().mean(0)
    assert float((bits - 0.5).abs().max()) < 5 * 0.5 / math.sqrt(drawn.numel())
    for byte in range(4):
        counts = torch.bincount(drawn >> 8 * byte & 255, minlength=256)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def noises_that_differ_in_one_thing() -> dict[str, tuple[Tensor, Tensor]]:
    places, shape = torch.arange(64), (4096,)
    plain = normals(0, Stream.NOISE, places, shape)
    return {
        "seed": (plain, normals(1, Stream.NOISE, places, shape)),
        "upper half of the seed": (plain, normals(2**32, Stream.NOISE, places, shape)),
        "stream": (plain, normals(0, Stream.POSTERIOR, places, shape)),
        "position": (plain[1:], plain[:-1]),
        "upper half of the position": (plain, normals(0, Stream.NOISE, places + 2**32, shape)),
        "number": (plain[:, 1:], plain[:, :-1]),
        "pair": (plain[:, 2:], plain[:, :-2]),
        "block": (plain[:, 4:], plain[:, :-4]),
    }


@pytest.mark.parametrize("difference", noises_that_differ_in_one_thing())
def test_numbers_that_differ_in_one_thing_are_independent(difference: str) -> None:
    """Neither they nor their sizes are correlated, by more than five standard errors."""
    one, other = (noise.double().flatten() for noise in noises_that_differ_in_one_thing()[difference])
    bound = 5 / math.sqrt(one.numel())
    for kind in (torch.clone, torch.abs, torch.sign):
        assert abs(float(torch.corrcoef(torch.stack([kind(one), kind(other)]))[0, 1])) < bound
