"""A painter's time in the studio: it neither stands still where strokes do little nor stays at a single one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from renderers.painting import spaced_steps
from renderers.studio.pace import time_left
from renderers.studio.phases import PHASES, Phase, Turns
from tests.renderers.studio_paintings import PAINTED, painted, turns_of

Floats = NDArray[np.float64]


def turns(**counts: int) -> Turns:
    """As many steps of each phase, phase after phase."""
    phases = np.repeat([PHASES.index(_phase(name)) for name in counts], list(counts.values())).astype(np.uint8)
    return Turns(phases=phases, objects=np.zeros(len(phases), np.int16), names=("a bowl",))


def _phase(name: str) -> Phase:
    return next(phase for phase in PHASES if phase == name)


def falling(*lengths_and_levels: tuple[int, float]) -> Floats:
    """Values from 1 to each level in turn, after as many steps."""
    parts, level = [np.ones(1)], 1.0
    for length, following in lengths_and_levels:
        parts.append(np.linspace(level, following, length + 1)[1:])
        level = following
    return np.concatenate(parts)


def test_no_stroke_takes_long_however_much_of_the_way_it_goes() -> None:
    energies = falling((20, 1.0), (1, 0.6), (299, 0.2), (1, 0.05), (100, 0.0))
    left = time_left(turns(drawing=20, block_in=200, detail=201), energies, energies)
    assert -np.diff(left)[20:].min() >= 0.0
    assert -np.diff(left)[20:].max() < 0.02


def test_after_strokes_that_lead_away_frames_do_not_stand_one_stroke_apart() -> None:
    """A stretch that no frame may show takes no time, and its time is not that of the stroke that ends it."""
    energies = falling((20, 1.0), (30, 0.8), (145, 0.95), (1, 0.34), (300, 0.0))
    left = time_left(turns(drawing=20, block_in=176, detail=300), energies, energies)
    for num_frames in (16, 48):
        steps = np.array(spaced_steps(left, num_frames, "distance"))
        assert not ((steps > 50) & (steps < 196)).any()
        assert (np.diff(steps[steps >= 196]) > 1).all()


@pytest.mark.parametrize("leap", [0.05, 0.1])
def test_half_of_the_way_is_gone_after_most_of_the_time_though_no_stroke_takes_long(leap: float) -> None:
    energies = falling((1, 1.0 - leap), (300, 0.0))
    left = time_left(turns(block_in=100, detail=201), energies, energies)
    assert 0.5 < 1.0 - left[np.argmax(energies <= 0.5)] < 0.75


def test_modelling_what_is_blocked_in_takes_time_though_hardly_any_way_is_left() -> None:
    energies = falling((20, 1.0), (300, 0.02), (300, 0.001), (50, 0.0))
    left = time_left(turns(drawing=20, block_in=300, form=300, accents=50), energies, energies)
    assert left[320] - left[620] > 0.04


def test_every_part_takes_its_share_of_the_time() -> None:
    energies = falling((20, 1.0), (1, 0.5), (300, 0.1), (50, 0.0))
    left = time_left(turns(drawing=20, block_in=301, accents=50), energies, energies)
    assert left[[0, 20, 321, 371]] == pytest.approx([1.0, 0.8, 0.11, 0.0])


@pytest.mark.parametrize("medium", PAINTED)
@pytest.mark.parametrize("laid_in", [0.0, 1.0])
def test_frames_of_a_painting_are_spread_over_its_strokes(medium: str, laid_in: float) -> None:
    """A few of 32 frames may be one stroke apart, and no step between two of them skips a third of all strokes."""
    painting = painted(6, medium=medium, laid_in=laid_in)
    count = len(turns_of(painting).phases)
    apart = np.diff(spaced_steps(painting.left, 32, "distance"))
    assert (apart == 1).sum() <= 6
    assert apart.max() < count / 3
