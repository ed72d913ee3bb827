"""Block-ins fill their areas with strokes side by side, mass by mass; grounds are coated; accents end where eyes go."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from renderers.brush.stroke import marks_of
from renderers.painting import Image
from renderers.raster.ribbon import NUM_COLUMNS, R0, X0, X1, X2, Y0, Y1, Y2, Floats
from renderers.studio import RENDERER, Config
from renderers.studio.easel import Easel
from renderers.studio.ground import ground_colour
from renderers.studio.masses import masses_of
from renderers.studio.media import MEDIA, goals_of, palette_of
from renderers.studio.patch import Handling, patch
from renderers.studio.phases import PHASES, Turns
from renderers.studio.piece import Commission, block_in
from renderers.studio.silhouette import Silhouette
from renderers.things import find_things
from tests.renderers.pictures import plain
from tests.renderers.region_scenes import scene
from tests.renderers.studio_paintings import FEW, painted, turns_of

SIDE = 96
SLAB = np.s_[30:66, 8:88]  # lies level


def area_of(*parts: tuple[slice, slice]) -> NDArray[np.bool_]:
    """A mask of SIDE x SIDE."""
    area = np.zeros((SIDE, SIDE), bool)
    for part in parts:
        area[part] = True
    return area


def drawn(strokes: Floats) -> NDArray[np.bool_]:
    """Where strokes lie, each as the capsule about its chord."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    for stroke in strokes:
        (x0, y0), (x2, y2) = ((round(float(stroke[x] * SIDE)), round(float(stroke[y] * SIDE))) for x, y in ENDS)
        cv2.line(canvas, (x0, y0), (x2, y2), 1, max(1, round(2 * float(stroke[R0]) * SIDE)))
    return canvas > 0


ENDS = ((X0, Y0), (X2, Y2))


def laid(area: NDArray[np.bool_], most: int = 60, **handling: Any) -> Floats:
    """Strokes of a patch."""
    return patch(area, Handling(**handling), 1.5, SIDE, most, np.random.default_rng(0))


def angles(strokes: Floats) -> NDArray[np.float64]:
    """(N,) in radians from 0 to pi."""
    tilts: NDArray[np.float64] = np.arctan2(strokes[:, Y2] - strokes[:, Y0], strokes[:, X2] - strokes[:, X0]) % np.pi
    return tilts


@pytest.mark.parametrize("parts", [(SLAB,), (np.s_[8:88, 8:30], np.s_[60:88, 8:88])], ids=["slab", "corner"])
def test_strokes_fill_an_area_and_stay_within_it(parts: tuple[tuple[slice, slice], ...]) -> None:
    area = area_of(*parts)
    strokes = laid(area)
    assert 5 <= len(strokes) <= 60
    covered = drawn(strokes)
    assert covered[area].mean() > 0.9
    assert covered[~area].mean() < 0.1


def test_they_lie_side_by_side_along_the_area_and_no_two_are_alike() -> None:
    strokes = laid(area_of(SLAB))
    tilts = np.minimum(angles(strokes), np.pi - angles(strokes))
    assert np.median(tilts) < 0.35
    assert len(np.unique(strokes[:, R0])) == len(strokes)
    assert np.ptp(laid(area_of(SLAB), loose=0.0)[:, R0]) > 0  # narrower ones fill what is left at the borders
    assert set(np.sign(strokes[:, X2] - strokes[:, X0])) == {-1.0, 1.0}  # to and fro


def test_they_run_off_the_canvas_where_the_area_does() -> None:
    strokes = laid(np.ones((SIDE, SIDE), bool))
    assert strokes[:, [X0, X2]].min() < 0.0 and strokes[:, [X0, X2]].max() > 1.0
    assert drawn(strokes).mean() > 0.95


def test_few_strokes_are_broader_ones() -> None:
    many, few = laid(area_of(SLAB)), laid(area_of(SLAB), most=6)
    assert 0 < len(few) <= 6 < len(many)
    assert few[:, R0].mean() > many[:, R0].mean()


def test_nothing_has_no_strokes() -> None:
    assert laid(area_of()).shape == (0, NUM_COLUMNS)


def test_light_and_dark_are_two_masses_and_the_dark_comes_first() -> None:
    goal = np.full((SIDE, SIDE, 3), 0.2, np.float32)
    goal[:, SIDE // 2 :] = 0.8
    area = area_of(SLAB)
    dark, light = masses_of(goal, area, 3, SIDE)
    assert not (dark & light).any()
    assert ((dark | light) == area).all()
    assert goal[dark].mean() < 0.3 < 0.7 < goal[light].mean()
    assert len(masses_of(goal, area, 1, SIDE)) == 1
    assert len(masses_of(np.full_like(goal, 0.5), area, 3, SIDE)) == 1


def blocked_in(
    medium: str, own: NDArray[np.bool_], unpainted: NDArray[np.bool_], goal: Image, canvas: Image | None = None
) -> tuple[Easel, Any]:
    """A canvas after the block-in of one object, and what it was to cover."""
    palette = palette_of(medium)
    easel = Easel(plain(SIDE, SIDE, MEDIA[medium].canvas) if canvas is None else canvas, marks_of(palette.texture, 0.0))
    piece = Commission(
        silhouette=Silhouette(own.astype(np.float32)), unpainted=unpainted, goal=goal, count=40, spill=0.0
    )
    return easel, block_in(easel, piece, 0, palette, np.random.default_rng(0))


def test_a_flat_has_the_shape_of_its_object_and_one_colour() -> None:
    own = area_of(SLAB)
    goal = plain(SIDE, SIDE, (0.2, 0.4, 0.7))
    easel, _ = blocked_in("digital", own, np.zeros_like(own), goal)
    away = np.abs(easel.canvas - goal[0, 0]).max(-1)
    assert (away[own] < 0.02).mean() > 0.9
    painted_outside = np.abs(easel.canvas - np.array(MEDIA["digital"].canvas, np.float32)).max(-1)[~own] > 0.1
    assert painted_outside.mean() < 0.08


def test_a_block_in_goes_on_beneath_what_is_small_and_still_to_come() -> None:
    bird = area_of(np.s_[45:50, 40:46])
    own = area_of(SLAB) & ~bird
    goal = np.where(bird[..., None], np.float32(0.0), plain(SIDE, SIDE, (0.5, 0.6, 0.8))).astype(np.float32)
    easel, covered = blocked_in("oil", own, bird, goal)
    assert covered[bird].all()
    assert np.abs(easel.canvas[bird] - (0.5, 0.6, 0.8)).mean() < 0.12  # the sky's colour, not the bird's
    assert not blocked_in("oil", own, np.zeros_like(bird), goal)[1][bird].any()  # nor over what is painted
    assert not blocked_in("watercolour", own, bird, np.zeros_like(goal))[1][bird].any()  # nor on paper


@pytest.mark.parametrize("medium", ["ink", "watercolour"])
def test_a_wash_takes_nothing_off_that_is_on_the_paper(medium: str) -> None:
    """Where a first wash is darker than an object wants to be, its block-in leaves it so, and deepens the rest."""
    own, washed = area_of(SLAB), area_of(np.s_[:, : SIDE // 2])
    amounts = np.where(washed[..., None], (0.1, 0.3, 0.5), 0.0).astype(np.float32)
    easel, _ = blocked_in(medium, own, np.zeros_like(own), plain(SIDE, SIDE, (0.2, 0.2, 0.2)), amounts.copy())
    lost = np.maximum(amounts - easel.canvas, 0.0).max(-1)
    assert lost.mean() < 0.02  # where a stroke goes over both
    assert (lost[own & washed] > 0.1).mean() < 0.4
    assert easel.canvas[own & ~washed].mean() > 0.1


@pytest.mark.parametrize("medium", ["oil", "digital"])
def test_a_coated_ground_has_the_colour_of_the_largest_mass(medium: str) -> None:
    image, known = scene(4)
    things = find_things(image, known, Config(**FEW).things, np.random.default_rng(0), {})
    colour = ground_colour(image, things)
    shares = []
    for toned in (1.0, 0.0):
        painting = painted(4, medium=medium, toned=toned, phases=("ground", "drawing"))
        (coated,) = RENDERER.replay(painting.program, [len(painting.program.strokes)])
        shares.append(float((np.abs(coated - colour).max(-1) < 0.15).mean()))
    assert shares[0] > 0.6
    assert shares[1] < 0.3


def test_a_first_wash_goes_round_what_needs_less_of_any_colour_and_is_never_dark() -> None:
    picture = plain(SIDE, SIDE, (0.55, 0.75, 0.9))
    picture[SLAB] = (0.9, 0.5, 0.3)
    config = Config(**FEW, medium="watercolour", toned=1.0, phases=("ground",))
    for key, washed in ((1.0, True), (0.3, False)):
        program = RENDERER.paint(key * picture, config, np.random.SeedSequence(0)).program
        bare, wet = (canvas[..., 0] for canvas in RENDERER.replay(program, [0, len(program.strokes)]))
        away = np.abs(wet - bare)
        assert (away[:20].mean() > 0.2) == washed
        assert away[40:56, 30:70].mean() < 0.05


def test_an_object_goes_on_beyond_its_silhouette_in_its_own_colours() -> None:
    canvas = plain(SIDE, SIDE, (0.0, 0.0, 0.0))
    canvas[SLAB] = (0.2, 0.4, 0.7)
    own = area_of(SLAB)
    own[40:44, 40:44] = False  # a hole
    silhouette = Silhouette(own.astype(np.float32))
    assert np.allclose(silhouette.continued(canvas), (0.2, 0.4, 0.7))
    assert silhouette.grown(0).sum() == own.sum() < silhouette.grown(2).sum()
    assert silhouette.closed(4).sum() == own.sum() + 16
    assert silhouette.closed(1).sum() <= own.sum() + 4  # the hole is too wide; its corners are rounded


@pytest.mark.parametrize(("luma", "lighter"), [(0.1, True), (0.8, False)])
def test_a_drawing_is_light_on_a_dark_ground_and_dark_on_a_light_one(luma: float, lighter: bool) -> None:
    picture = plain(SIDE, SIDE, (luma, luma, luma))
    picture[SLAB] = (0.6, 0.3, 0.2)
    config = Config(**FEW, toned=1.0, phases=("ground", "drawing"))
    program = RENDERER.paint(picture, config, np.random.SeedSequence(0)).program
    steps = Turns.from_arrays(program.arrays, len(program.strokes)).phases
    first_line = int(np.argmax(steps == PHASES.index("drawing")))
    coated, sketched = RENDERER.replay(program, [first_line, len(steps)])
    change = (sketched - coated).mean(-1)
    assert np.abs(change).max() > 0.1
    assert (change.sum() > 0) == lighter


def test_ink_is_tinted_object_by_object_and_keeps_full_black_for_small_darks() -> None:
    picture = plain(SIDE, SIDE, (0.9, 0.9, 0.9))
    picture[SLAB] = (0.25, 0.02, 0.02)
    picture[4:7, 4:60] = 0.0
    grey, tinted = goals_of("ink", picture, MEDIA["ink"].canvas)
    assert np.ptp(grey, axis=-1).max() < 0.1
    assert np.ptp(tinted[48, 48]) > 0.1
    assert grey[5, 30].mean() > 1.2 * grey[48, 48].mean()


def test_accents_come_to_the_most_salient_object_last() -> None:
    painting = painted(4, num_strokes=300)
    image, known = scene(4)
    things = find_things(image, known, Config(**FEW).things, np.random.default_rng(0), {})
    strokes = painting.program.strokes[turns_of(painting).phases == PHASES.index("accents")]
    height, width = things.labels.shape
    rows = np.clip(strokes[:, Y1] * min(height, width), 0, height - 1).astype(int)
    columns = np.clip(strokes[:, X1] * min(height, width), 0, width - 1).astype(int)
    saliency = things.saliency[things.labels[rows, columns]]
    third = len(saliency) // 3
    assert saliency[-third:].mean() > saliency[:third].mean()
