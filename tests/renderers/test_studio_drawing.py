"""What a drawing promises: long lines, at the edges of the picture, the same for the same seed."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from renderers.brush.stroke import MARK, NUM_BRUSH_COLUMNS, lay_all, marks_of, new_brush_scratch
from renderers.painting import Image
from renderers.raster.ribbon import A0, A2, R0, R2, X0, X2, Y0, Y2, Floats, grid
from renderers.studio.drawing import CONSTRUCTION, CONTOUR, HATCHING, DrawnLines, draw
from renderers.studio.drawing.hatching import goal_darkness
from renderers.studio.drawing.pencils import PENCILS, pencil_texture
from renderers.things import Things
from tests.renderers.pictures import landscape, plain

MEDIA = tuple(PENCILS)


def things_of(labels: NDArray[np.uint16], saliency: list[float]) -> Things:
    """Known things of a test; later ones are in front of earlier ones."""
    count = len(saliency)
    return Things(
        labels=labels,
        saliency=np.array(saliency, np.float32),
        areas_px=np.bincount(labels.ravel(), minlength=count).astype(np.int64),
        detail=np.zeros(count, np.float32),
        depth_rank=np.arange(count),
        names=("thing",) * count,
    )


def still_life(height: int = 128, width: int = 160) -> tuple[Image, Things]:
    """A disc before a wall on a table: three things."""
    y, x = np.mgrid[:height, :width] / np.float32(min(height, width))
    right = np.float32(width / min(height, width))
    labels = (y > 0.7).astype(np.uint16)
    labels[(x - 0.5 * right) ** 2 + (y - 0.5) ** 2 < 0.28**2] = 2
    colours = np.array([[0.75, 0.8, 0.85], [0.5, 0.35, 0.25], [0.9, 0.45, 0.1]], np.float32)
    picture = colours[labels] * (1 - 0.4 * (x / right) * (labels == 2))[..., None]
    return picture.astype(np.float32), things_of(labels, [0.1, 0.3, 1.0])


def one_thing(image: Image) -> Things:
    return things_of(np.zeros(image.shape[:2], np.uint16), [1.0])


def drawing(image: Image, things: Things, medium: str = "oil", num_strokes: int = 120, seed: int = 0) -> DrawnLines:
    return draw(image, things, medium, num_strokes, medium == "pencil", np.random.default_rng(seed))


def tone(drawn: DrawnLines, medium: str, image: Image) -> NDArray[np.float32]:
    """(H, W) how dark lines make white paper, seen from so far that they run together."""
    pixels = grid(*image.shape[:2])
    canvas = np.ones(image.size, np.float32)
    lay_all(drawn.strokes, pixels, marks_of(pencil_texture(medium), 0.0), canvas, new_brush_scratch(pixels))
    seen: NDArray[np.float32] = 1 - cv2.GaussianBlur(canvas.reshape(image.shape).mean(-1), (0, 0), 3.0)
    return seen


def middles(strokes: Floats) -> Floats:
    """(N, 2) places half-way along strokes."""
    points = strokes[:, X0 : X0 + 6].reshape(-1, 3, 2)
    places: Floats = 0.25 * points[:, 0] + 0.5 * points[:, 1] + 0.25 * points[:, 2]
    return places


def assert_well_formed(drawn: DrawnLines, image: Image, num_strokes: int) -> None:
    strokes = drawn.strokes
    assert strokes.shape == (len(drawn.kinds), NUM_BRUSH_COLUMNS) and strokes.dtype == np.float32
    assert len(drawn.things) == len(strokes) <= num_strokes
    assert np.isfinite(strokes).all()
    height, width = image.shape[:2]
    points = strokes[:, X0 : X0 + 6].reshape(-1, 2)
    far = np.array([width, height]) / min(height, width)
    assert (points >= -0.1).all() and (points <= far + 0.1).all()
    assert ((strokes[:, [A0, A2]] >= 0) & (strokes[:, [A0, A2]] <= 1)).all()
    assert ((strokes[:, [R0, R2]] >= 0) & (strokes[:, [R0, R2]] < 0.05)).all()


@pytest.mark.parametrize("medium", MEDIA)
def test_the_same_dice_draw_the_same_and_others_another(medium: str) -> None:
    image, things = still_life()
    first, again, other = (drawing(image, things, medium, seed=seed) for seed in (1, 1, 2))
    assert first.strokes.tobytes() == again.strokes.tobytes()
    np.testing.assert_array_equal(first.kinds, again.kinds)
    assert first.strokes.tobytes() != other.strokes.tobytes()


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("num_strokes", [0, 1, 7, 150])
def test_strokes_are_bounded_finite_and_on_the_canvas(medium: str, num_strokes: int) -> None:
    image, things = still_life()
    drawn = drawing(image, things, medium, num_strokes)
    assert_well_formed(drawn, image, num_strokes)
    assert (drawn.strokes[:, MARK] < pencil_texture(medium).num_variants).all()
    assert set(drawn.things.tolist()) <= {0, 1, 2}


def test_contours_lie_on_the_borders_of_things_and_go_all_around() -> None:
    image, things = still_life()
    drawn = drawing(image, things, "digital")
    contours = middles(drawn.strokes[drawn.kinds == CONTOUR])
    border = cv2.morphologyEx(things.labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    away = cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 5) / min(image.shape[:2])
    column, row = (contours * min(image.shape[:2])).astype(int).T
    assert np.median(away[row, column]) < 0.01 and away[row, column].max() < 0.03
    centre = np.array([0.5 * image.shape[1], 0.5 * image.shape[0]]) / min(image.shape[:2])
    of_disc = contours[np.abs(np.hypot(*(contours - centre).T) - 0.28) < 0.02] - centre
    angles = np.sort(np.arctan2(of_disc[:, 1], of_disc[:, 0]))
    assert np.diff(angles, append=angles[0] + 2 * np.pi).max() < np.pi / 2


@pytest.mark.parametrize("medium", MEDIA)
def test_lines_are_drawn_where_the_picture_has_edges(medium: str) -> None:
    image = cv2.resize(landscape(256, 256), (192, 192), interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(image @ np.array([0.299, 0.587, 0.114], np.float32), (0, 0), 1.0)
    steep = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)) / 8 > 0.02
    near = cv2.dilate(steep.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    drawn = drawing(image, one_thing(image), medium, 150)
    column, row = np.clip(middles(drawn.strokes[drawn.kinds == CONTOUR]) * 192, 0, 191).astype(int).T
    assert near[row, column].mean() > 0.5 + 0.5 * near.mean()


def test_what_draws_the_eye_is_drawn_first() -> None:
    image, things = still_life()
    drawn = drawing(image, things)
    contours = drawn.things[drawn.kinds == CONTOUR]
    assert contours[0] == 2
    assert np.count_nonzero(np.diff(contours)) < 3  # thing by thing


def test_construction_comes_first_and_hatching_last() -> None:
    image, things = still_life()
    drawn = draw(image, things, "pencil", 600, True, np.random.default_rng(0))
    assert set(drawn.kinds.tolist()) == {CONSTRUCTION, CONTOUR, HATCHING}
    assert (np.diff(drawn.kinds.astype(int)) >= 0).all()


def test_construction_is_fainter_than_contours() -> None:
    image, things = still_life()
    drawn = drawing(image, things)
    firmness = drawn.strokes[:, [A0, A2]].mean(1) * drawn.strokes[:, [R0, R2]].mean(1)
    assert firmness[drawn.kinds == CONSTRUCTION].max() < np.median(firmness[drawn.kinds == CONTOUR])


def test_a_pencil_drawing_has_the_tones_of_the_picture() -> None:
    image = landscape(160, 160)
    drawn = draw(image, one_thing(image), "pencil", 1500, True, np.random.default_rng(0))
    dark = 1 - cv2.GaussianBlur(image @ np.array([0.299, 0.587, 0.114], np.float32), (0, 0), 3.0)
    assert np.corrcoef(tone(drawn, "pencil", image).ravel(), dark.ravel())[0, 1] > 0.85


@pytest.mark.parametrize("medium", MEDIA)
def test_only_shadows_are_hatched_and_only_if_asked(medium: str) -> None:
    light = np.tile(np.linspace(1, 0, 96, dtype=np.float32), (96, 1))
    image = np.repeat(light[..., None], 3, 2)
    lines = draw(image, one_thing(image), medium, 120, False, np.random.default_rng(0))
    assert HATCHING not in lines.kinds
    hatched = draw(image, one_thing(image), medium, 120, True, np.random.default_rng(0))
    places = middles(hatched.strokes[hatched.kinds == HATCHING])
    assert len(places) > 10
    if medium != "pencil":
        assert places[:, 0].min() > 0.4


def test_hatching_ends_at_the_border_of_its_thing() -> None:
    image, things = still_life()
    image = (0.2 * image).astype(np.float32)
    image[things.labels != 2] = 1.0
    drawn = draw(image, things, "pencil", 800, True, np.random.default_rng(0))
    x, y = (
        drawn.strokes[drawn.kinds == HATCHING][:, [X0, X2, Y0, Y2]].reshape(-1, 2, 2).transpose(1, 0, 2).reshape(2, -1)
    )
    centre = np.array([0.5 * image.shape[1], 0.5 * image.shape[0]]) / min(image.shape[:2])
    assert np.hypot(x - centre[0], y - centre[1]).max() < 0.28 + 0.03


def test_lines_are_long() -> None:
    image = landscape(192, 192)
    drawn = drawing(image, one_thing(image), "digital", 150)
    ends = drawn.strokes[drawn.kinds == CONTOUR][:, [X0, Y0, X2, Y2]]
    joined = np.abs(ends[1:, :2] - ends[:-1, 2:]).max(1) < 0.01  # the next piece of the same line
    lengths = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    lines = np.bincount(np.concatenate([[0], np.cumsum(~joined)]), lengths)
    assert np.median(lines) > 0.06 and lines.max() > 0.4


def test_a_uniform_picture_has_hardly_a_line_and_in_pencil_an_even_tone() -> None:
    image = plain(64, 96, (0.4, 0.5, 0.6))
    for medium in MEDIA:
        assert np.count_nonzero(drawing(image, one_thing(image), medium).kinds != HATCHING) <= 20
    even = tone(drawing(image, one_thing(image), "pencil", 600), "pencil", image)[8:-8, 8:-8]
    assert even.min() > 0.15 and even.max() < 0.7
    white = plain(64, 64, (1.0, 1.0, 1.0))
    assert len(drawing(white, one_thing(white), "pencil").strokes) == 0


def awkward() -> dict[str, Image]:
    """Pictures that are no photographs of one thing."""
    rng = np.random.default_rng(3)
    specks = plain(96, 96, (0.9, 0.9, 0.9))
    for x, y in rng.integers(4, 92, (300, 2)):
        cv2.circle(specks, (int(x), int(y)), 1, (0.1, 0.1, 0.1), -1)
    letters = np.full((96, 160, 3), 255, np.uint8)
    for row in range(6):
        cv2.putText(letters, "process painter", (4, 14 + 15 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
    line_art = plain(128, 128, (1.0, 1.0, 1.0))
    cv2.ellipse(line_art, (64, 64), (40, 25), 20, 0, 360, (0.0, 0.0, 0.0), 1, cv2.LINE_AA)
    noise = rng.random((64, 64, 3), dtype=np.float32)
    return {
        "specks": specks, "text": letters.astype(np.float32) / np.float32(255), "line art": line_art, "noise": noise,
        "64 px": landscape(64, 64), "panorama": landscape(64, 256), "tower": landscape(256, 64),
        "8 px": landscape(8, 8), "2 px": landscape(2, 3),
    }  # fmt: skip


@pytest.mark.parametrize("name", awkward())
def test_any_picture_is_drawn(name: str) -> None:
    image = awkward()[name]
    for medium in MEDIA:
        assert_well_formed(drawing(image, one_thing(image), medium), image, 120)


def test_flat_pictures_are_hatched_as_dark_as_they_are() -> None:
    black, red, grey, white = (
        float(goal_darkness(plain(32, 32, colour), shadows_only=False).mean())
        for colour in ((0.0, 0.0, 0.0), (0.7, 0.16, 0.2), (0.6, 0.6, 0.6), (1.0, 1.0, 1.0))
    )
    assert black > 0.9 > red > 0.4 > grey > 0.1 > white == 0.0
