"""Composes scenes from random numbers: chooses the kind of scene, and composes one of that kind."""

import itertools
import random
from collections.abc import Iterator

import numpy as np

from pipelines.sources.scenes.description import Scene
from pipelines.sources.scenes.outdoors import compose_outdoors
from pipelines.sources.scenes.table import compose_table

KINDS = ("landscape", "still_life", "building", "boat", "figure")


def compositions(root: int, index: int, kinds: tuple[str, ...]) -> Iterator[Scene]:
    """Endlessly many candidate scenes for one index of an endless series.

    Args:
        root: seed of the series.
        index: index in the series.
        kinds: kinds to choose among, out of `KINDS`.
    """
    for attempt in itertools.count():
        yield _composed(root, (index, attempt), kinds)


def compose(root: int, index: int, kinds: tuple[str, ...]) -> Scene:
    """The scene at one index of an endless series.

    Args:
        root: seed of the series.
        index: index in the series.
        kinds: kinds to choose among, out of `KINDS`.
    """
    return _composed(root, (index,), kinds)


def _composed(root: int, place: tuple[int, ...], kinds: tuple[str, ...]) -> Scene:
    state = np.random.SeedSequence(root, spawn_key=place).generate_state(4)
    # Composing draws hundreds of single numbers, at which the standard library is fifty times faster than NumPy.
    dice = random.Random(int.from_bytes(state.tobytes(), "little"))
    kind = dice.choice(kinds)
    return compose_table(dice) if kind == "still_life" else compose_outdoors(kind, dice)
