"""Oil and ink keep the promises of a painting, and those of their medium."""

from dataclasses import replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers import brush, renderer
from renderers.brush.config import StyleChoice
from renderers.brush.ink import DENSITY, TONES
from renderers.brush.kinds import BristleBrush, WashBrush
from renderers.brush.stroke import FAR_RED, THICKNESS
from renderers.distance import canvas_distances
from renderers.painting import FrameSchedule, Painting, StrokeProgram, to_uint8
from renderers.quality import psnr_db
from renderers.raster.ribbon import RED
from tests.renderers.pictures import landscape

PAPER = (0.955, 0.935, 0.885)
BRUSH = brush.RENDERER
SEED = np.random.SeedSequence(3)
Medium = Literal["oil", "ink"]
MEDIA: tuple[Medium, ...] = ("oil", "ink")


def config(medium: Medium, num_strokes: int = 120, **more: object) -> brush.Config:
    canvas = PAPER if medium == "ink" else (0.82, 0.76, 0.66)
    fields = {"medium": medium, "preset": "fast", "num_strokes": num_strokes, "canvas": canvas, **more}
    return brush.Config(**fields)  # type: ignore[arg-type]


@cache
def painting(medium: Medium) -> Painting:
    return BRUSH.paint(landscape(96, 128), config(medium), SEED)


def frames(of: Painting) -> list[NDArray[np.float32]]:
    return list(BRUSH.replay(of.program, FrameSchedule().steps(of.distances)))


@pytest.mark.parametrize("medium", MEDIA)
def test_same_picture_and_seed_give_the_same_bytes(medium: Medium) -> None:
    again = BRUSH.paint(landscape(96, 128), config(medium), np.random.SeedSequence(3))
    assert again.program.to_bytes() == painting(medium).program.to_bytes()
    other = BRUSH.paint(landscape(96, 128), config(medium), np.random.SeedSequence(4))
    assert other.program.to_bytes() != again.program.to_bytes()


@pytest.mark.parametrize("medium", MEDIA)
def test_distances_are_those_of_the_canvases(medium: Medium) -> None:
    of = painting(medium)
    steps = [*range(0, len(of.program.strokes), 7), len(of.program.strokes)]
    canvases = list(BRUSH.replay(of.program, steps))
    np.testing.assert_allclose(of.distances[steps], canvas_distances(canvases, canvases[0]), atol=1e-5)
    assert of.distances[0] == 1.0 and of.distances[-1] == 0.0


@pytest.mark.parametrize("medium", MEDIA)
def test_distance_falls_from_frame_to_frame(medium: Medium) -> None:
    canvases = frames(painting(medium))
    assert (np.diff(canvas_distances(canvases, canvases[0])) < 0).all()


@pytest.mark.parametrize("medium", MEDIA)
def test_stored_program_paints_the_same_frames(medium: Medium) -> None:
    of = painting(medium)
    stored = StrokeProgram.from_bytes(of.program.to_bytes())
    steps = FrameSchedule().steps(of.distances)
    for one, two in zip(BRUSH.replay(of.program, steps), renderer(stored.family).replay(stored, steps), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("medium", MEDIA)
def test_program_paints_at_any_size(medium: Medium) -> None:
    (small,) = BRUSH.replay(painting(medium).program, [120])
    (large,) = BRUSH.replay(painting(medium).program, [120], size_px=(192, 256))
    halved = large.reshape(96, 2, 128, 2, 3).mean((1, 3))
    assert large.shape == (192, 256, 3)
    assert psnr_db(halved.astype(np.float32), small) > 20


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_picture_of_one_colour_is_painted(medium: Medium, value: float) -> None:
    of = BRUSH.paint(np.full((64, 80, 3), value, np.float32), config(medium, 20), SEED)
    assert np.isfinite(of.program.strokes).all() and np.isfinite(of.distances).all()
    assert len(frames(of)) == 8


def test_ink_never_lightens_any_pixel() -> None:
    steps = range(len(painting("ink").program.strokes) + 1)
    canvases = np.stack(list(BRUSH.replay(painting("ink").program, steps)))
    assert (np.diff(canvases, axis=0) <= 0).all()


def test_ink_comes_in_five_tones_and_leaves_paper_empty() -> None:
    program = BRUSH.paint(landscape(96, 128), config("ink", pigments=False), SEED).program
    tones = program.strokes[:, RED] * program.arrays["density"] / DENSITY
    assert {round(float(tone), 4) for tone in tones} <= {round(tone, 4) for tone in TONES}
    canvases = frames(painting("ink"))
    assert (np.abs(canvases[-1] - canvases[0]).max(-1) < 8 / 255).mean() > 0.15


def test_ink_is_like_its_subject() -> None:
    luma = np.array([0.299, 0.587, 0.114])
    finished = frames(painting("ink"))[-1] @ luma
    assert np.corrcoef(finished.ravel(), (landscape(96, 128) @ luma).ravel())[0, 1] > 0.7


def test_ink_may_begin_with_lines() -> None:
    washes = BRUSH.paint(landscape(96, 128), config("ink"), SEED).program.strokes
    lines = BRUSH.paint(landscape(96, 128), config("ink", order="lines_first"), SEED).program.strokes
    assert washes[:5, 6:8].mean() > 1.5 * lines[:5, 6:8].mean()
    assert sorted(map(bytes, washes)) == sorted(map(bytes, lines))


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("more", [{"loss": "absolute"}, {"transport": 1.0}], ids=["absolute", "transport"])
def test_every_loss_paints_the_subject_and_its_own_way(medium: Medium, more: dict[str, Any]) -> None:
    of = BRUSH.paint(landscape(96, 128), config(medium, **more), SEED)
    assert of.program.to_bytes() != painting(medium).program.to_bytes()
    ours, usual = (psnr_db(frames(one)[-1], landscape(96, 128)) for one in (of, painting(medium)))
    assert ours > usual - 2


def test_oil_is_like_its_subject() -> None:
    assert psnr_db(frames(painting("oil"))[-1], landscape(96, 128)) > 20


def test_oil_is_mixed_from_so_many_colours() -> None:
    strokes = BRUSH.paint(landscape(96, 128), config("oil", palette=6), SEED).program.strokes
    ends = np.concatenate([strokes[:, RED : RED + 3], strokes[:, FAR_RED : FAR_RED + 3]])
    assert 2 <= len(np.unique(ends, axis=0)) <= 6


def test_oil_goes_on_thin_first_and_thick_last() -> None:
    thickness = painting("oil").program.strokes[:, THICKNESS]
    assert (np.diff(thickness) > 0).all()


def test_oil_may_go_from_darks_to_lights() -> None:
    def rises(dark_to_light: bool) -> float:
        strokes = BRUSH.paint(landscape(96, 128), config("oil", 300, dark_to_light=dark_to_light), SEED).program.strokes
        layer = strokes[120:210, RED : RED + 3].mean(1)
        return float(np.corrcoef(np.arange(len(layer)), layer)[0, 1])

    assert rises(True) > rises(False) + 0.3


def test_relief_shows_ridges() -> None:
    flat, thick = (BRUSH.paint(landscape(96, 128), config("oil", relief=relief), SEED) for relief in (0.0, 0.8))
    (smooth,), (ridged,) = (BRUSH.replay(of.program, [120], size_px=(384, 512)) for of in (flat, thick))
    roughness = [np.abs(np.diff(canvas, axis=1)).mean() for canvas in (smooth, ridged)]
    assert roughness[1] > 1.1 * roughness[0]


def paths_of(own: brush.Config) -> dict[str, str]:
    return {name: file.path for name, file in brush.RENDERER.asset_files(own).items()}


def test_own_brush_leaves_its_own_mark() -> None:
    mark = np.zeros((40, 120, 4), np.float32)
    mark[8:14, :, 3] = 1.0  # two prongs
    mark[26:32, :, 3] = 1.0
    own = config("oil", brush=BristleBrush(path="fork.png"))
    assert paths_of(own) == {"brush": "fork.png"}
    program = BRUSH.paint(landscape(96, 128), own, SEED, {"brush": mark}).program
    cover = program.arrays["brush_cover"].astype(float).mean((0, 2))
    assert cover[: len(cover) // 2].max() > 2 * cover[len(cover) // 2]


def test_height_map_of_an_own_brush_is_its_relief() -> None:
    mark, height = np.zeros((40, 120, 4), np.float32), np.zeros((40, 120), np.float32)
    mark[8:32, 4:-4, 3], height[:, 60:] = 1.0, 1.0
    own = config("oil", brush=BristleBrush(path="bar.png", height_path="step.png"))
    assert paths_of(own) == {"brush": "bar.png", "brush_height": "step.png"}
    program = BRUSH.paint(landscape(96, 128), own, SEED, {"brush": mark, "brush_height": height}).program
    relief = program.arrays["brush_relief"][0].astype(float).mean(0)
    assert relief[-20:].mean() > relief[:20].mean() + 100


@pytest.mark.parametrize("slot", ["brush", "line_brush", "dry_brush", "wash_brush"])
def test_every_brush_slot_changes_the_painting_of_its_medium(slot: str) -> None:
    medium: Medium = "oil" if slot == "brush" else "ink"
    other = replace(config(medium), **{slot: WashBrush(tone=0.8)})  # type: ignore[arg-type]
    changed = BRUSH.paint(landscape(96, 128), other, SEED).program
    assert (changed.arrays["brush_cover"] != painting(medium).program.arrays["brush_cover"]).any()
    assert (
        frames(BRUSH.paint(landscape(96, 128), config(medium), SEED))[-1]
        != next(iter(BRUSH.replay(changed, [len(changed.strokes)])))
    ).any()


def test_ink_takes_an_own_picture_for_all_its_brushes_or_none() -> None:
    with pytest.raises(ConfigError) as caught:
        config("ink", dry_brush=BristleBrush(path="fork.png"))
    assert caught.value.key == "dry_brush.path" and "brush.path" in caught.value.allowed


def test_style_gives_its_colours() -> None:
    style = np.zeros((64, 64, 3), np.float32)
    style[..., 0], style[..., 2] = 0.8, np.linspace(0, 0.3, 64)
    styled = config("oil", style=StyleChoice(path="red.png", strength=1.0))
    of = BRUSH.paint(landscape(96, 128), styled, SEED, {"style": style})
    finished = frames(of)[-1]
    assert finished[..., 0].mean() > 2 * finished[..., 1].mean()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loss", "huber"), ("transport", -1.0), ("transport", 101.0),
        ("medium", "gouache"), ("preset", "ultra"), ("num_strokes", 9), ("num_strokes", 5001),
        ("canvas", (1.0, 2.0, 0.0)),
        ("relief", 1.5), ("palette", 1), ("palette", 65), ("order", "random"), ("empty", 0.9),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        brush.Config(**{key: value})  # type: ignore[arg-type]
    assert caught.value.key == key


def test_frames_are_pictures() -> None:
    for medium in MEDIA:
        for canvas in frames(painting(medium)):
            assert canvas.shape == (96, 128, 3) and canvas.dtype == np.float32
            assert canvas.min() >= 0.0 and canvas.max() <= 1.0
            assert to_uint8(canvas).dtype == np.uint8


@pytest.mark.parametrize(
    ("luma", "painted"), [(1.0, 0.93), (0.97, 0.93), (0.85, 0.93), (0.7, 0.8), (0.45, 0.5), (0.2, 0.3), (0.0, 0.2)]
)
def test_ink_on_a_picture_without_contrast_keeps_its_tone(luma: float, painted: float) -> None:
    picture = np.full((96, 128, 3), luma, np.float32)
    picture[40:44, 30:60] = 0.0  # as a word on a page: less than a fiftieth
    finished = BRUSH.paint(picture, config("ink"), SEED)
    (canvas,) = BRUSH.replay(finished.program, [len(finished.program.strokes)])
    assert abs(float(np.median(canvas)) - painted) < 0.05
