"""Which frames of a sequence are shown to the replication network, drawn from (seed, position) of each sample."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from training.random.streams import Stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ConditionDraw:
    """How condition frames are drawn, and shown.

    ProcessPainter draws 0 to 3 of them: each endpoint with probability 1/3, those in the middle bell-shaped.

    Attributes:
        most: largest number of frames; each number from 0 to this is equally likely.
        endpoints: probability of the first frame, and of the last.
        spread: standard deviation of the bell over the frames between, as a share of their number; the larger, the
            more often frames beside the endpoints are drawn.
        carried: whether the network sees at all other frames the last condition before and the next one after; with
            False, as published, it sees zeros there.
        weight: weight of the error at frames that are shown; others have 1. Frames that are shown are few, so copying
            them is a small part of the loss.
    """

    most: int = 3
    endpoints: float = 1 / 3
    spread: float = 1 / 6
    carried: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.most <= 256:
            raise ConfigError("most", self.most, "1 to 256")
        if not 0 < self.endpoints < 0.5:
            raise ConfigError("endpoints", self.endpoints, "more than 0 and less than 0.5")
        if not 0 < self.spread < math.inf:
            raise ConfigError("spread", self.spread, "more than 0")
        if not 0 < self.weight <= 100:
            raise ConfigError("weight", self.weight, "more than 0, 100 at most")

    def probabilities(self, num_frames: int) -> NDArray[np.float64]:
        """(T,) probability of each frame to be drawn next."""
        if num_frames <= 2:
            return np.full(num_frames, 1 / num_frames)
        between = num_frames - 2
        deviations = (np.arange(between) - (between - 1) / 2) / (self.spread * between)
        bell = np.exp(-0.5 * deviations**2)
        middle = (1 - 2 * self.endpoints) * bell / bell.sum()
        return np.concatenate([[self.endpoints], middle, [self.endpoints]])

    def strengths(self, seed: int, positions: "Tensor", num_frames: int) -> "Tensor":
        """1 at the condition frames of each sample, 0 elsewhere.

        Each frame gets a random distance that is exponential, with the frame's probability as the rate. The k frames
        with the shortest distances are distributed as if drawn one after another without replacement (Efraimidis,
        Spirakis 2006).

        Args:
            seed: seed of the run.
            positions: (B,) int64 positions of the samples in the stream.
            num_frames: T.

        Returns:
            (B, T) float32, on the device of the positions.
        """
        from training.random.philox import words

        random_words = words(seed, Stream.CONDITIONS, positions, num_frames + 1)
        counts = random_words[:, :1] * (self.most + 1) >> 32
        distances = -((random_words[:, 1:] + 0.5) * 2.0**-32).double().log()
        for frame, probability in enumerate(self.probabilities(num_frames).tolist()):
            distances[:, frame] /= probability
        places = distances.argsort(dim=1, stable=True).argsort(dim=1)
        return (places < counts).float()
