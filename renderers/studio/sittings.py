"""Which object goes through which phases when: one object after another, or as the painter does that is followed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renderers.studio.config import StudioConfig
from renderers.studio.phases import Phase
from renderers.things import Things
from renderers.time_line import TimeLine

Sittings = Sequence[tuple[int, tuple[Phase, ...]]]
"""Sittings in order: the label of an object, and the phases that it goes through before another's turn comes."""

_BLOCKED_IN, _FINISHED = 0.5, 0.15  # share of its way to the final colours that a place has still to go


def dealt_sittings(order: Sequence[int], config: StudioConfig, rng: np.random.Generator) -> Sittings:
    """One object after another; in some paintings all are blocked in before the first is finished."""
    first, rest = _divided(config.object_phases)
    if rng.random() < config.laid_in:
        return [*((label, first) for label in order), *((label, rest) for label in order)]
    return [(label, first + rest) for label in order]


def sittings_along(things: Things, time_line: TimeLine, phases: tuple[Phase, ...]) -> Sittings:
    """Every object is blocked in when a painter has half of its colours, and modelled when these are nearly final.

    Both moments are means over those places of the object in which the painter does anything.

    Args:
        phases: those that objects go through.
    """
    first, rest = _divided(phases)
    blocked_in, finished = (_mean_moments(things, time_line.moments(left)) for left in (_BLOCKED_IN, _FINISHED))
    moments = np.concatenate([blocked_in, np.maximum(blocked_in, finished)])
    turns = np.argsort(moments, kind="stable")  # block-ins first, where both are at once
    count = len(blocked_in)
    sittings = [(int(turn) % count, first if turn < count else rest) for turn in turns]
    return [(label, its_phases) for label, its_phases in sittings if its_phases]


def in_order_of_beginnings(sittings: Sittings) -> tuple[int, ...]:
    """The labels, by their first sitting."""
    return tuple(dict.fromkeys(label for label, _ in sittings))


def in_order_of_endings(sittings: Sittings) -> tuple[int, ...]:
    """The labels, by their last sitting."""
    return in_order_of_beginnings(sittings[::-1])[::-1]


def _divided(phases: tuple[Phase, ...]) -> tuple[tuple[Phase, ...], tuple[Phase, ...]]:
    """The block-in, if it is one of the phases, and the others."""
    first = tuple(phase for phase in phases if phase == "block_in")
    return first, phases[len(first) :]


def _mean_moments(things: Things, moments: NDArray[np.float32]) -> NDArray[np.float64]:
    """(K,) mean moment (h, w) of each thing over its places where that is not 0; 0 for a thing without such places."""
    painted = moments > 0
    shares = np.stack(things.coverages(*moments.shape))
    means: NDArray[np.float64] = (shares * moments).sum((1, 2)) / np.maximum((shares * painted).sum((1, 2)), 1e-6)
    return means
