"""What every Bézier painting promises, whatever the picture."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from renderers import families, renderer
from renderers.bezier import RENDERER, Config
from renderers.distance import canvas_distances
from renderers.painting import Image, Painting, StrokeProgram, to_uint8
from renderers.quality import psnr_db
from renderers.raster.ribbon import A0, A2, NUM_COLUMNS, R0, RED
from tests.renderers.pictures import landscape, plain

paint, replay = RENDERER.paint, RENDERER.replay

sizes = st.integers(64, 96)
counts = st.integers(10, 40)
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1, width=32)
colours = st.tuples(levels, levels, levels)
few = settings(max_examples=8)


def fast(num_strokes: int, **keys: Any) -> Config:
    return Config(preset="fast", num_strokes=num_strokes, **keys)


def painting_of(image: Image, config: Config, seed: int = 0) -> Painting:
    return paint(image, config, np.random.SeedSequence(seed))


def finished(painting: Painting) -> Image:
    return next(iter(replay(painting.program, [len(painting.program.strokes)])))


@few
@given(sizes, sizes, counts, seeds)
def test_same_image_config_and_seed_give_the_same_bytes(height: int, width: int, num_strokes: int, seed: int) -> None:
    image = landscape(height, width)
    one, two = (painting_of(image.copy(), fast(num_strokes), seed) for _ in range(2))
    assert one.program.to_bytes() == two.program.to_bytes()
    assert one.distances.tobytes() == two.distances.tobytes()


def test_another_seed_gives_another_painting() -> None:
    image = landscape(64, 64)
    one, two = (painting_of(image, fast(20), seed) for seed in (1, 2))
    assert one.program.to_bytes() != two.program.to_bytes()


@few
@given(sizes, sizes, counts, seeds)
def test_painting_holds_its_promises(height: int, width: int, num_strokes: int, seed: int) -> None:
    image = landscape(height, width)
    before = image.copy()
    painting = painting_of(image, fast(num_strokes), seed)
    program, distances = painting.program, painting.distances
    np.testing.assert_array_equal(image, before)
    assert (program.family, program.height_px, program.width_px) == ("bezier", height, width)
    assert program.strokes.shape == (num_strokes, NUM_COLUMNS) and program.strokes.dtype == np.float32
    tones = program.strokes[:, A0:]
    assert tones.min() >= 0 and tones.max() <= 1 and program.strokes[:, R0:A0].min() > 0
    assert distances.shape == (num_strokes + 1,)
    assert distances[0] == pytest.approx(1) and distances[-1] == 0
    assert distances.min() >= 0 and distances.max() <= 1


@pytest.mark.parametrize(("height", "width"), [(16, 160), (160, 16), (65, 97), (64, 1000), (20, 20)])
def test_any_shape_of_canvas_can_be_painted(height: int, width: int) -> None:
    image = landscape(height, width)
    painting = painting_of(image, fast(40))
    blank = plain(height, width, (1, 1, 1))
    assert finished(painting).shape == (height, width, 3)
    assert psnr_db(finished(painting), image) > psnr_db(blank, image) + 6


@few
@given(colours, sizes)
def test_uniform_picture_becomes_uniform(colour: tuple[float, float, float], width: int) -> None:
    image = plain(64, width, colour)
    painted = finished(painting_of(image, fast(30)))
    assert np.isfinite(painted).all()
    assert psnr_db(painted, image) > 22


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_black_and_white_pictures_stay_in_range(level: float, ground: float) -> None:
    image = plain(64, 80, (level, level, level))
    painting = painting_of(image, fast(60, canvas=(ground, ground, ground)))
    painted = finished(painting)
    assert painted.min() >= 0 and painted.max() <= 1
    assert np.isfinite(painting.distances).all()
    assert psnr_db(painted, image) > 24


@few
@given(counts, seeds)
def test_opaque_strokes_stay_opaque(num_strokes: int, seed: int) -> None:
    program = painting_of(landscape(64, 72), fast(num_strokes, opaque=True), seed).program
    assert (program.strokes[:, A0 : A2 + 1] == 1).all()


def test_strokes_are_translucent_unless_asked() -> None:
    program = painting_of(landscape(64, 72), fast(40)).program
    assert (program.strokes[:, A0 : A2 + 1] < 1).mean() > 0.5


@few
@given(colours)
def test_frame_zero_is_the_canvas_asked_for(colour: tuple[float, float, float]) -> None:
    program = painting_of(landscape(64, 64), fast(10, canvas=colour)).program
    (blank,) = replay(program, [0])
    np.testing.assert_array_equal(blank, plain(64, 64, colour))


@few
@given(sizes, sizes, counts, seeds)
def test_program_survives_its_bytes_and_rerenders_its_frames(height: int, width: int, count: int, seed: int) -> None:
    program = painting_of(landscape(height, width), fast(count), seed).program
    back = StrokeProgram.from_bytes(program.to_bytes())
    np.testing.assert_array_equal(back.strokes, program.strokes)
    assert back.to_bytes() == program.to_bytes()
    assert (back.family, back.height_px, back.width_px) == (program.family, height, width)
    steps = [0, 0, count // 2, count]
    again = renderer(back.family).replay(back, steps, (height, width))
    for one, two in zip(replay(program, steps), again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_frames_do_not_depend_on_which_others_are_asked_for() -> None:
    program = painting_of(landscape(64, 72), fast(30)).program
    every = list(replay(program, range(31)))
    for step in (0, 1, 17, 30):
        np.testing.assert_array_equal(next(iter(replay(program, [step]))), every[step])


@pytest.mark.parametrize("data", [b"no archive at all", b""])
def test_what_is_not_a_program_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a stroke program"):
        StrokeProgram.from_bytes(data)


@pytest.mark.parametrize("length", [10, 500, -10])
def test_program_cut_short_is_refused(length: int) -> None:
    whole = painting_of(landscape(64, 64), fast(10)).program.to_bytes()
    with pytest.raises(ValueError, match="not a stroke program"):
        StrokeProgram.from_bytes(whole[:length])


@few
@given(sizes, counts)
def test_program_at_twice_the_size_is_the_same_picture(width: int, num_strokes: int) -> None:
    program = painting_of(landscape(72, width), fast(num_strokes)).program
    (small,), (large,) = (
        replay(program, [num_strokes]),
        replay(program, [num_strokes], (144, 2 * width)),
    )
    halved = large.reshape(72, 2, width, 2, 3).mean((1, 3))
    assert psnr_db(halved, small) > 34
    assert psnr_db(large, small.repeat(2, 0).repeat(2, 1)) > 24


@pytest.mark.parametrize("num_strokes", [10, 300])
def test_so_many_strokes_as_asked_for(num_strokes: int) -> None:
    assert len(painting_of(landscape(64, 64), fast(num_strokes)).program.strokes) == num_strokes


def test_large_picture() -> None:
    image = landscape(1024, 1024)
    painting = painting_of(image, fast(50))
    assert psnr_db(finished(painting), image) > 17
    assert painting.distances[0] == pytest.approx(1) and painting.distances[-1] == 0


def test_distances_of_a_painting_are_those_of_its_frames() -> None:
    painting = painting_of(landscape(65, 90), fast(25))
    canvases = list(replay(painting.program, range(26)))
    np.testing.assert_allclose(painting.distances, canvas_distances(list(canvases), canvases[0]), atol=2e-4)


def test_strokes_paint_the_picture_and_are_no_paste_of_it() -> None:
    """Every frame is made of strokes alone: painted again from another blank canvas, bare canvas shows through."""
    painting = painting_of(landscape(64, 64), fast(10))
    assert to_uint8(finished(painting)).std() > 10
    assert np.abs(finished(painting) - landscape(64, 64)).max() > 0.1
    assert len(np.unique(painting.program.strokes[:, RED:], axis=0)) == 10


def test_bezier_is_a_family() -> None:
    assert "bezier" in families() and "raster" not in families()
    with pytest.raises(ValueError, match="watercolour"):
        renderer("watercolour")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_strokes", 9),
        ("num_strokes", 5001),
        ("preset", "ultra"),
        ("canvas", (1.0, 1.0)),
        ("canvas", (0.0, 0.0, 1.1)),
        ("canvas", (-0.1, 0.0, 0.0)),
        ("canvas", (float("nan"), 0.0, 0.0)),
    ],
)
def test_wrong_configuration_names_its_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        Config(**{key: value})
    assert refusal.value.key == key
    assert str(refusal.value).startswith(f"{key}=") and "allowed" in str(refusal.value)
