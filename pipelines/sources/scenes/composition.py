"""Random numbers to scenes: which kind, and where it goes from there."""

import itertools
import random
from collections.abc import Iterator

import numpy as np

from pipelines.sources.scenes.description import Scene
from pipelines.sources.scenes.outdoors import compose_outdoors
from pipelines.sources.scenes.table import compose_table

KINDS = ("landscape", "still_life", "building", "boat", "figure")


def compositions(root: int, index: int, kinds: tuple[str, ...]) -> Iterator[Scene]:
    """Scenes without end for one place of an endless series, to choose from.

    Args:
        root: which series.
        index: which place of it.
        kinds: kinds to choose among, out of `KINDS`.
    """
    for attempt in itertools.count():
        yield _composed(root, (index, attempt), kinds)


def compose(root: int, index: int, kinds: tuple[str, ...]) -> Scene:
    """The scene at one place of an endless series.

    Args:
        root: which series.
        index: which scene of it.
        kinds: kinds to choose among, out of `KINDS`.
    """
    return _composed(root, (index,), kinds)


def _composed(root: int, place: tuple[int, ...], kinds: tuple[str, ...]) -> Scene:
    state = np.random.SeedSequence(root, spawn_key=place).generate_state(4)
    # Composing takes hundreds of single numbers, which the standard library deals fifty times faster than numpy.
    dice = random.Random(int.from_bytes(state.tobytes(), "little"))
    kind = dice.choice(kinds)
    return compose_table(dice) if kind == "still_life" else compose_outdoors(kind, dice)
