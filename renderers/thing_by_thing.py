"""A painter's process in an order that a person puts in words: "the background first, then the subject".

Each thing that is named is painted as the painter paints it, but in a turn of its own. All things that are not named
are painted together with the background, if that is named; otherwise in a turn of their own, before what comes last.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renderers.painting import NOTHING_KNOWN, Image
from renderers.shrink import shrink
from renderers.things import Things, ThingsConfig, find_things
from renderers.things.spoken_order import names_the_rest, not_understood, spoken_order

_THINGS = ThingsConfig(max_things=6)
_WORKING_PX = 512
_STEPS_A_TURN = 8
_BACKGROUND = "the background"

Turns = tuple[tuple[int, ...], ...]
"""Labels of the things that are painted in each turn, from the first turn to the last."""


@dataclass(frozen=True)
class Spoken:
    """An order in words, understood for a picture.

    Attributes:
        things: the things of the picture.
        turns: all things, in the order in which they are painted.
        not_there: clauses that name something that is not in the picture.
    """

    things: Things
    turns: Turns
    not_there: tuple[str, ...]

    @property
    def names(self) -> list[list[str]]:
        """What is painted in each turn, from the first to the last."""
        return [[self.things.names[label] for label in turn] for turn in self.turns]


def turns_in_words(picture: Image, order: str) -> Spoken:
    """The things of a (H, W, 3) picture in [0, 1], and the order of their turns.

    Raises:
        ConfigError: if the words name none of the things; it says what they are called.
    """
    small = shrink(picture, _WORKING_PX)
    things = find_things(small, NOTHING_KNOWN, _THINGS, np.random.Generator(np.random.PCG64(0)), {})
    first, last = spoken_order(order, things.names)
    unnamed = tuple(label for label in range(len(things.names)) if label not in (*first, *last))
    turns = [*((label,) for label in first), unnamed, *((label,) for label in last)]
    if _BACKGROUND in [things.names[label] for label in (*first, *last)] and not names_the_rest(order, things.names):
        turns.remove(unnamed)
        turns = [(*turn, *unnamed) if things.names[turn[0]] == _BACKGROUND else turn for turn in turns]
    return Spoken(things, tuple(turn for turn in turns if turn), not_understood(order, things.names))


def by_turns(frames: NDArray[np.float32], things: Things, turns: Turns) -> NDArray[np.float32]:
    """A painter's frames (T, h, w, 3) in [0, 1] as (T', h, w, 3), one turn after the other.

    Before its turn a place looks as in the first frame, after it as in the last; during its turn it passes through all
    frames. There are at least eight steps a turn, and never fewer than in `frames`.

    Args:
        frames: at least two.
        things: the things of the picture.
        turns: all of these things, each in one turn.
    """
    last = len(frames) - 1
    num_steps = max(last, _STEPS_A_TURN * len(turns))
    coverages = things.coverages(*frames.shape[1:3])
    shares = [np.sum([coverages[label] for label in turn], axis=0)[..., None] for turn in turns]
    moments = np.linspace(0.0, len(turns), num_steps + 1)
    painted: NDArray[np.float32] = np.stack([
        np.sum([
            share * _between(frames, last * float(np.clip(moment - number, 0.0, 1.0)))
            for number, share in enumerate(shares)
        ], axis=0)
        for moment in moments
    ]).astype(np.float32)  # fmt: skip
    painted[-1] = frames[-1]
    return painted


def _between(frames: NDArray[np.float32], moment: float) -> NDArray[np.float32]:
    """The frame at a fractional moment, interpolated between its two neighbours."""
    before = min(int(moment), len(frames) - 2)
    share = np.float32(moment - before)
    between: NDArray[np.float32] = (1 - share) * frames[before] + share * frames[before + 1]
    return between
