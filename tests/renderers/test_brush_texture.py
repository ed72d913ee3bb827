"""What brushes promise: their own and users' ones."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conf import CONF_FOLDER
from conf.errors import ConfigError
from renderers.brush.custom import brush_from_picture, coverage_of
from renderers.brush.kinds import BristleBrush, Brush, RoundBrush, WashBrush
from renderers.brush.texture import NUM_ACROSS, NUM_ALONG, NUM_VARIANTS, BrushTexture, make_brush, sample
from tests.renderers.brushes import BRUSHES

SEEDS = range(4)
OIL = ("flat", "filbert", "dry", "fan", "knife")
INK = ("round", "needle", "feibai", "wash")


def made(name: str, seed: int = 0) -> BrushTexture:
    return make_brush(BRUSHES[name], seed)


def covers(kind: str) -> NDArray[np.float64]:
    """(seeds * K, V, U) cover in [0, 1] of many marks of one brush."""
    return np.concatenate([made(kind, seed).cover for seed in SEEDS]) / 255.0


def body(marks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The marks without the tenth at either end, where brushes touch down and lift."""
    return marks[..., NUM_ALONG // 10 : -(NUM_ALONG // 10)]


def likeness(field: NDArray[np.float64], axis: int, lag: int) -> float:
    """Correlation of a field with itself, moved by some texels along an axis."""
    near, far = np.moveaxis(field, axis, 0)[:-lag], np.moveaxis(field, axis, 0)[lag:]
    return float(np.corrcoef(near.ravel(), far.ravel())[0, 1])


@pytest.mark.parametrize("kind", BRUSHES)
def test_same_seed_gives_same_bytes_and_another_seed_another_brush(kind: str) -> None:
    one, again, other = made(kind, 3), made(kind, 3), made(kind, 4)
    assert one.cover.tobytes() == again.cover.tobytes()
    assert one.relief.tobytes() == again.relief.tobytes()
    assert (one.cover != other.cover).any()


@pytest.mark.parametrize("kind", BRUSHES)
def test_texture_has_the_promised_shape_and_uses_its_range(kind: str) -> None:
    brush = made(kind)
    assert brush.cover.shape == brush.relief.shape == (NUM_VARIANTS, NUM_ACROSS, NUM_ALONG)
    assert brush.cover.dtype == brush.relief.dtype == np.uint8
    assert brush.num_variants == NUM_VARIANTS
    assert brush.cover.min() == 0
    assert brush.cover.max() > 150


@pytest.mark.parametrize("kind", BRUSHES)
def test_no_two_marks_of_a_brush_are_alike(kind: str) -> None:
    marks = body(made(kind).cover / 255.0)
    for k in range(NUM_VARIANTS):
        for other in range(k):
            assert np.abs(marks[k] - marks[other]).mean() > 0.02


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("flat", 0.86, 0.96),
        ("filbert", 0.86, 0.97),
        ("dry", 0.52, 0.75),
        ("round", 0.8, 0.95),
        ("feibai", 0.55, 0.78),
        ("wash", 0.4, 0.6),
    ],
)
def test_every_mark_covers_as_much_as_its_brush_should(kind: str, low: float, high: float) -> None:
    shares = body(covers(kind)).mean(axis=(1, 2))
    assert low < shares.min() and shares.max() < high


@pytest.mark.parametrize(("kind", "first", "last"), [("feibai", 0.9, 0.45), ("dry", 0.75, 0.55)])
def test_paint_runs_out_towards_the_end(kind: str, first: float, last: float) -> None:
    along = covers(kind).mean(axis=(0, 1))
    parts = [part.mean() for part in np.array_split(along[NUM_ALONG // 16 : -NUM_ALONG // 16], 5)]
    assert parts == sorted(parts, reverse=True)
    assert parts[0] > first and parts[-1] < last


@pytest.mark.parametrize("kind", ["flat", "filbert", "dry", "feibai"])
def test_streaks_run_along_the_stroke(kind: str) -> None:
    inside = body(covers(kind))[:, 6:-6]
    for field in (inside, body(made(kind).relief / 255.0)[:, 6:-6]):
        if field.std() > 0:
            # On a stroke six times as long as wide, 8 texels along are more than four times as far as 4 across.
            assert likeness(field, axis=2, lag=8) > likeness(field, axis=1, lag=4) + 0.15


def test_feibai_opens_in_many_thin_streaks() -> None:
    late = covers("feibai")[:, :, NUM_ALONG * 2 // 3] > 0.5
    streaks = (np.diff(late.astype(int), axis=1) == 1).sum(axis=1)
    assert streaks.mean() > 5


def test_wash_has_a_rim_darker_than_its_middle_and_soft_ends() -> None:
    marks = covers("wash")
    across = body(marks).mean(axis=(0, 2))
    middle = across[NUM_ACROSS // 3 : -NUM_ACROSS // 3].mean()
    assert across[1:6].max() > middle + 0.08
    assert across[-6:-1].max() > middle + 0.08
    steps = np.abs(np.diff(marks.mean(axis=(0, 1))))
    assert steps.max() < 0.06, "no hard edge at either end"
    assert marks[..., 0].max() < 0.05 and marks[..., -1].max() < 0.05


def test_round_brush_leaves_in_a_point_and_has_soft_edges() -> None:
    width = (covers("round") > 0.4).mean(axis=1).mean(axis=0)
    assert width[NUM_ALONG // 2] > 0.85
    assert width[0] < 0.8 * width[NUM_ALONG // 2]
    assert width[-2] < 0.35
    assert (np.diff(width[NUM_ALONG * 3 // 4 :]) <= 0).all()


def test_flat_has_ragged_ends() -> None:
    marks = covers("flat") > 0.5
    start, end = marks.argmax(axis=2), marks[..., ::-1].argmax(axis=2)
    inner = slice(4, -4)
    assert start[:, inner].std(axis=1).min() > 0.5
    assert end[:, inner].std(axis=1).min() > 0.5


@pytest.mark.parametrize("kind", OIL)
def test_oil_has_relief_about_its_mean_level(kind: str) -> None:
    brush = made(kind)
    covered = brush.cover > 200
    assert abs(brush.relief[covered].mean() - 128) < 6
    assert brush.relief[covered].std() > 4


@pytest.mark.parametrize("kind", INK)
def test_ink_lies_flat_in_the_paper(kind: str) -> None:
    assert (made(kind).relief == 128).all()


def test_oil_stands_highest_at_its_edges() -> None:
    across = body(made("flat").relief / 255.0).mean(axis=(0, 2))
    assert across[2:6].max() > across[16:32].mean() + 0.05
    assert across[-6:-2].max() > across[16:32].mean() + 0.05


def test_every_brush_on_offer_is_an_oil_or_an_ink_brush() -> None:
    assert set(BRUSHES) == {*OIL, *INK}


def test_page_of_swatches_shows_every_brush() -> None:
    page = (CONF_FOLDER.parent / "docs" / "brushes.md").read_text()
    for name in BRUSHES:
        assert f"**{name}**" in page and f"images/brush-{name}.webp" in page
    shown = {path.stem.removeprefix("brush-") for path in (CONF_FOLDER.parent / "docs" / "images").glob("brush-*.webp")}
    assert shown == set(BRUSHES)


@pytest.mark.parametrize(
    ("brush", "change"),
    [
        (BristleBrush(), {"bristles": 6}), (BristleBrush(), {"hold": 0.1}), (BristleBrush(), {"clumps": 0.0}),
        (BristleBrush(), {"grain": 1.0}), (BristleBrush(), {"oval": 0.0}), (BristleBrush(), {"lean": 1.0}),
        (BristleBrush(), {"ragged": (0.2, 0.3)}), (BristleBrush(), {"load": 0.5}), (BristleBrush(), {"runs_out": 0.7}),
        (BristleBrush(runs_out=0.5), {"runs_out_from": 0.0}), (BristleBrush(runs_out=0.5), {"softness": 2.0}),
        (BristleBrush(), {"rough": 0.2}), (BristleBrush(), {"edge": 0.5}), (BristleBrush(), {"ridges": 0.2}),
        (RoundBrush(), {"swells": (0.4, 0.5)}), (RoundBrush(), {"tapers": (0.7, 0.9)}), (RoundBrush(), {"lean": 0.0}),
        (RoundBrush(), {"bleed": 0.5}), (RoundBrush(), {"pools": 0.2}),
        (WashBrush(), {"tone": 0.9}), (WashBrush(), {"rim": 0.6}), (WashBrush(), {"blooms": 3.0}),
        (WashBrush(), {"tide": 0.5}), (WashBrush(), {"granulation": 0.2}), (WashBrush(), {"fades": (0.5, 0.5)}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.kind,
)  # fmt: skip
def test_every_parameter_shows_in_the_mark(brush: Brush, change: dict[str, Any]) -> None:
    one, two = make_brush(brush), make_brush(replace(brush, **change))
    apart = max(np.abs(one.cover.astype(int) - two.cover).mean(), np.abs(one.relief.astype(int) - two.relief).mean())
    assert apart > 1.0


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (BristleBrush, "bristles", 1), (BristleBrush, "ragged", (0.0, 0.6)), (BristleBrush, "ridges", 2.5),
        (RoundBrush, "tapers", (0.0, 0.4)), (RoundBrush, "lean", -0.1), (WashBrush, "tone", 0.0),
        (WashBrush, "fades", (0.2, float("nan"))), (WashBrush, "height_path", "alone.png"),
    ],
)  # fmt: skip
def test_parameter_outside_its_range_is_named(kind: type[Brush], field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**{field: value})
    assert caught.value.key == field


def test_bristles_count_the_streaks_of_a_brush() -> None:
    def streaks(bristles: int) -> float:
        marks = body(make_brush(BristleBrush(bristles=bristles, clumps=0.0, load=0.5)).cover / 255.0)
        return float((np.diff((marks > 0.5).astype(int), axis=1) == 1).sum(axis=1).mean())

    assert streaks(30) > 2 * streaks(6)


def test_texture_comes_back_from_its_arrays() -> None:
    brush = made("dry")
    again = BrushTexture.from_arrays(brush.to_arrays())
    assert (again.cover == brush.cover).all() and (again.relief == brush.relief).all()


@pytest.mark.parametrize("shape", [(6, 48), (6, 1, 8), (1, 8, 1), (0, 48, 128)])
def test_texture_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(K, V, U\)"):
        BrushTexture(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


def test_sample_hits_texels_and_is_linear_between() -> None:
    brush = made("flat")
    u, v = np.arange(NUM_ALONG, dtype=np.float32)[None], np.arange(NUM_ACROSS, dtype=np.float32)[:, None]
    along, across = np.broadcast_arrays(u / (NUM_ALONG - 1), v / (NUM_ACROSS - 1) * 2 - 1)
    cover, relief = sample(brush, 2, along, across)
    np.testing.assert_allclose(cover, brush.cover[2] / 255.0, atol=2e-4)
    np.testing.assert_allclose(relief, brush.relief[2] / 255.0, atol=2e-4)
    between, _ = sample(brush, 2, along[:, :-1] + np.float32(0.5 / (NUM_ALONG - 1)), across[:, :-1])
    np.testing.assert_allclose(between, (cover[:, 1:] + cover[:, :-1]) / 2, atol=2e-4)


# --- users' pictures ---


def wedge(height: int = 60, width: int = 200) -> NDArray[np.float32]:
    """A picture of a wedge, thick at its left, with a hole near its upper left corner, on empty ground."""
    picture = np.zeros((height + 20, width + 30), np.float32)
    for x in range(width):
        picture[10 : 10 + max(2, round(height * (1 - 0.8 * x / width))), 15 + x] = 1.0
    picture[14:24, 25:45] = 0.0
    return picture


def test_wide_picture_lies_as_it_is_seen() -> None:
    mark = brush_from_picture(wedge()).cover[0]
    filled = (mark > 128).mean(axis=0)
    assert filled[2] > 0.95 and filled[-3] < 0.3, "starts at its left"
    assert (mark[:6] > 128).mean() > 0.9 and (mark[-6:] > 128).mean() < 0.3, "its top is the left hand"
    assert mark[round(0.15 * NUM_ACROSS), round(0.1 * NUM_ALONG)] < 30, "the hole is in its place"


def test_tall_picture_is_turned_to_start_at_its_top() -> None:
    upright = brush_from_picture(wedge())
    # Turned a quarter to the right the wedge is tall, its thick end on top; nothing is mirrored.
    turned = brush_from_picture(np.rot90(wedge(), -1))
    assert (np.abs(turned.cover.astype(int) - upright.cover) <= 1).all()


def test_marks_of_a_picture_are_mirrored_and_shifted_but_never_cut() -> None:
    brush = brush_from_picture(wedge())
    assert (brush.cover[1] == brush.cover[0][::-1]).all()
    for k in range(brush.num_variants):
        assert brush.cover[k].mean() / brush.cover[0].mean() > 0.8
        for other in range(k):
            assert (brush.cover[k] != brush.cover[other]).mean() > 0.02


def test_height_map_becomes_relief_and_stays_on_its_picture() -> None:
    picture = wedge()
    height = np.tile(np.linspace(0, 1, picture.shape[1], dtype=np.float32), (picture.shape[0], 1))
    brush = brush_from_picture(picture, height)
    top = brush.relief[0, 2].astype(int)
    assert (np.diff(top) >= 0).all() and top[-1] - top[0] > 90
    assert abs(np.average(brush.relief[0], weights=brush.cover[0]) - 128) < 2


def test_picture_without_height_map_is_raised_where_it_is_painted() -> None:
    brush = brush_from_picture(wedge())
    assert brush.relief[0][brush.cover[0] > 250].mean() > brush.relief[0][brush.cover[0] < 5].mean() + 30


def opaque(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.dstack([grey, grey, grey, np.ones_like(grey)]).astype(np.float32)


def test_alpha_that_varies_is_coverage_whatever_the_colours() -> None:
    rgba = np.random.default_rng(0).random((40, 60, 4)).astype(np.float32)
    assert (coverage_of(rgba) == rgba[..., 3]).all()


@pytest.mark.parametrize("paper", [1.0, 0.93, 0.0, 0.1])
def test_grey_is_read_against_the_ground_that_the_border_shows(paper: float) -> None:
    shape = wedge()
    ink = 0.12 if paper > 0.5 else 0.95
    noisy = np.random.default_rng(0).normal(0, 0.005, shape.shape)
    coverage = coverage_of(opaque(np.clip(paper + (ink - paper) * shape + noisy, 0, 1).astype(np.float32)))
    assert coverage[shape == 0].max() < 0.02
    assert coverage[shape == 1].min() > 0.93


REFUSED = {
    "empty": np.zeros((40, 60), np.float32),
    "no pixels": np.zeros((0, 60), np.float32),
    "covered all over": np.full((40, 60), 1.0, np.float32),
    "translucent all over": np.full((40, 60), 0.5, np.float32),
    "huge": np.eye(2, 5000, dtype=np.float32),
}


@pytest.mark.parametrize("what", REFUSED)
def test_picture_that_is_no_brush_is_refused_in_one_line(what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        brush_from_picture(REFUSED[what])
    assert caught.value.key == "path"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_picture_of_one_colour_is_refused(grey: float, alpha: float) -> None:
    rgba = np.full((30, 30, 4), grey, np.float32)
    rgba[..., 3] = alpha
    with pytest.raises(ConfigError):
        brush_from_picture(coverage_of(rgba))


def test_height_map_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        brush_from_picture(wedge(), np.zeros((5, 7), np.float32))
    assert caught.value.key == "height_path"


def test_largest_allowed_picture_and_smallest_content_make_brushes() -> None:
    large = np.zeros((40, 4096), np.float32)
    large[10:30, 100:4000] = 1.0
    assert brush_from_picture(large).cover[0].mean() > 250
    dot = np.zeros((9, 9), np.float32)
    dot[4, 4] = 1.0
    assert (brush_from_picture(dot).cover[0] == 255).all()
