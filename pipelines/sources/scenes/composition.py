"""Random numbers to scenes: which kind, and where it goes from there."""

import random

import numpy as np

from pipelines.sources.scenes.description import Scene
from pipelines.sources.scenes.outdoors import compose_outdoors
from pipelines.sources.scenes.table import compose_table

KINDS = ("landscape", "still_life", "building", "boat", "figure")


def compose(root: int, index: int, kinds: tuple[str, ...]) -> Scene:
    """The scene at one place of an endless series.

    Args:
        root: which series.
        index: which scene of it.
        kinds: kinds to choose among, out of `KINDS`.
    """
    state = np.random.SeedSequence(root, spawn_key=(index,)).generate_state(4)
    # Composing takes hundreds of single numbers, which the standard library deals fifty times faster than numpy.
    dice = random.Random(int.from_bytes(state.tobytes(), "little"))
    kind = dice.choice(kinds)
    return compose_table(dice) if kind == "still_life" else compose_outdoors(kind, dice)
