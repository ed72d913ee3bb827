"""The registry of everything that training draws at random: a stream for each use, a place in it for each draw.

A number is a function of (seed, stream, place, which number of that draw), all of them words of the key and the counter
of a counter-based generator (Salmon et al. 2011). So there is no state to save, and two draws that differ in any of
these share no number, because places are counted and not hashed.
"""

from enum import IntEnum, unique

import numpy as np

DRAWS = 2
"""Version of what is drawn: part of a run's recipe, as a resumed run must draw the numbers that it began with."""

_WORD = 2**64 - 1


@unique
class Stream(IntEnum):
    """What numbers are drawn for. Nothing else in training draws, and the number of a stream is never reused.

    Attributes:
        NOISE: noise on a sample's latents; its place is the position of the sample, as in all streams of samples.
        POSTERIOR: where in the VAE's posterior a sample's latents lie.
        CAPTION_DROPOUT: whether a sample loses its caption.
        TIMESTEPS: where the spread of timesteps begins; no place.
        CONDITIONS: which frames of a sample are shown to the replication network.
        AUGMENTATION: how the frames of a sample are changed.
        ORDER: order of the sequences; (data set, epoch).
        TURNS: order of the data sets of a mixture; (round).
        SAMPLE_NOISE: noise that sequences are painted from to show them during training; (number of the prompt).
        WEIGHTS: the tiny model's weights before training; no place.
        CODEC_FRAMES: frames that the tiny model's codec is fitted to; no place.
        VALIDATION: the seed of held-out samples, because training samples have the same positions; no place.
        LIBRARIES: seeds of the generators of Python, NumPy and torch, from which layers of libraries draw; (rank).
        SHARDS: order of the shards in a stream of whole shards; (data set, epoch).
        CROPS: which parts of which frames of a sequence a codec is trained on.
        CODEC_NOISE: noise on the latents of these parts.
        UNFINISHED: which frame of a sequence is read if single pictures are read.
        BUFFER: which sequence leaves the shuffle buffer of a stream of whole shards; (data set, epoch, lane).
    """

    NOISE = 0
    POSTERIOR = 1
    CAPTION_DROPOUT = 2
    TIMESTEPS = 3
    CONDITIONS = 4
    AUGMENTATION = 5
    ORDER = 6
    TURNS = 7
    SAMPLE_NOISE = 8
    WEIGHTS = 9
    CODEC_FRAMES = 10
    VALIDATION = 11
    LIBRARIES = 12
    BUFFER = 13
    SHARDS = 14
    CROPS = 15
    CODEC_NOISE = 16
    UNFINISHED = 17

    def generator(self, seed: int, *place: int) -> np.random.Generator:
        """NumPy's generator for one draw of a few numbers; `training.random.philox` draws for whole batches.

        Args:
            seed: seed of the run.
            place: up to three whole numbers below 2 ** 64.
        """
        return np.random.Generator(self._bits(seed, place))

    def seed(self, seed: int, *place: int) -> int:
        """A seed, 0 to 2 ** 63 - 1, for a generator of another kind. Arguments as of `generator`."""
        return int(self._bits(seed, place).random_raw()) >> 1

    def _bits(self, seed: int, place: tuple[int, ...]) -> np.random.Philox:
        counter = [0, *place, *[0] * (3 - len(place))]
        return np.random.Philox(
            key=np.array([seed & _WORD, self.value], np.uint64), counter=np.array(counter, np.uint64)
        )


def seed_of_samples(seed: int, *, training: bool) -> int:
    """Seed of all draws of samples: the run's own, but another for held-out samples, which have the same positions."""
    return seed if training else Stream.VALIDATION.seed(seed)
