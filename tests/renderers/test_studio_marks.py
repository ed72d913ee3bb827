"""Strokes of flat brushes end square and ragged, wherever round ends were planned; their programs stay small."""

import io

import numpy as np
import pytest

from renderers.painting import StrokeProgram
from renderers.raster.ribbon import NUM_COLUMNS, R0, R2, X0, X1, X2, Y0, Y1, Y2, Floats
from renderers.studio.marks import flat_marks, in_few_levels, lengthened, num_shapes, shapes_of
from renderers.studio.media import MEDIA, palette_of
from renderers.studio.phases import PHASES
from tests.renderers.studio_paintings import painted

FLAT = next(brush for brush in MEDIA["oil"].brushes)
SHORT, LONG = range(2)


def ribbons(half_lengths: tuple[float, ...], radius: float = 0.02) -> Floats:
    """Level strokes about the middle of a canvas."""
    rows = np.zeros((len(half_lengths), NUM_COLUMNS), np.float32)
    rows[:, [Y0, Y1, Y2, X1]] = 0.5
    rows[:, X0], rows[:, X2] = 0.5 - np.array(half_lengths), 0.5 + np.array(half_lengths)
    rows[:, [R0, R2]] = radius
    return rows


def test_marks_keep_off_both_ends_more_so_where_strokes_are_short() -> None:
    cover = flat_marks(FLAT).cover  # type: ignore[arg-type]
    each = len(cover) // num_shapes()
    free = [int(np.flatnonzero(part.max((0, 1)))[0]) for part in (cover[:each], cover[each:])]
    assert free[SHORT] > free[LONG] > 0
    assert cover[:, :, -free[LONG] :].max() == 0


def test_they_end_square_and_ragged() -> None:
    """At one place along, bristles in the middle are down and up in about the share in which those beside it are."""
    texture = flat_marks(FLAT)  # type: ignore[arg-type]
    down = texture.cover > 128
    begins = down.argmax(2) / down.shape[2]
    across = down.shape[1]
    middle, sides = begins[:, across // 3 : -across // 3], begins[:, [across // 6, -across // 6]]
    assert sides.mean() - middle.mean() < 0.05  # as round as planned it would be 0.09 for strokes of 2.5 widths
    assert middle.std(1).mean() > 0.005


def test_short_strokes_and_long_ones_have_marks_of_their_own() -> None:
    rows = ribbons((0.0, 0.03, 0.15))
    assert shapes_of(rows).tolist() == [SHORT, SHORT, LONG]
    palette = palette_of("oil")
    phases = np.full(3, PHASES.index("detail"), np.uint8)
    chosen = {tuple(palette.strokes(rows, phases, np.random.default_rng(seed))[:, -2]) for seed in range(20)}
    first, half = palette.first_marks[2], palette.num_marks[2] // 2
    assert {mark for marks in chosen for mark in marks[:2]} == set(range(first, first + half))
    assert {mark for marks in chosen for mark in marks[2:]} == set(range(first + half, first + 2 * half))


def test_strokes_are_made_longer_along_themselves_and_dabs_stay_where_they_are() -> None:
    rows = ribbons((0.0, 0.1))
    longer = lengthened(rows)
    np.testing.assert_array_equal(longer[0], rows[0])
    assert longer[1, X0] == pytest.approx(0.4 - 0.13 * 0.02)
    assert longer[1, X2] == pytest.approx(0.6 + 0.13 * 0.02)
    np.testing.assert_array_equal(longer[1, [X1, Y0, Y1, Y2, R0, R2]], rows[1, [X1, Y0, Y1, Y2, R0, R2]])


def test_few_levels_keep_bare_ground_and_full_paint() -> None:
    texture = flat_marks(FLAT)  # type: ignore[arg-type]
    few = in_few_levels(texture)
    assert len(np.unique(few.cover)) <= 52
    assert np.abs(few.cover.astype(int) - texture.cover).max() <= 2
    assert np.abs(few.relief.astype(int) - texture.relief).max() <= 2
    assert ((few.cover == 0) >= (texture.cover == 0)).all() and ((few.cover == 255) >= (texture.cover == 255)).all()


@pytest.mark.parametrize("medium", [name for name in MEDIA if name != "pencil"])
def test_a_program_takes_less_than_half_of_what_its_numbers_do(medium: str) -> None:
    program = painted(1, medium=medium).program
    stored = program.to_bytes()
    assert len(stored) < 0.5 * (program.strokes.nbytes + sum(array.nbytes for array in program.arrays.values()))
    assert StrokeProgram.from_bytes(stored).to_bytes() == stored


def test_programs_as_they_were_stored_before_are_read() -> None:
    program = painted(1).program
    plain = io.BytesIO()
    np.savez(plain, **np.load(io.BytesIO(program.to_bytes())))
    assert len(plain.getvalue()) > 2 * len(program.to_bytes())
    assert StrokeProgram.from_bytes(plain.getvalue()).to_bytes() == program.to_bytes()
