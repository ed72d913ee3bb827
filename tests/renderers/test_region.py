"""What every painting made region by region promises."""

import itertools
from dataclasses import replace
from typing import Literal, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from renderers import families
from renderers.painting import FrameSchedule, Image, Knowledge, Painting, StrokeProgram, to_uint8
from renderers.quality import psnr_db
from renderers.region import RENDERER, Config
from renderers.region.config import SegmentChoice
from renderers.region.region_map import REGION, SHARE, unpacked
from renderers.region.wash import amounts, washed
from tests.renderers.pictures import landscape, plain
from tests.renderers.region_scenes import FEW_STROKES, TRUTH, canvases, painted, scene

paint, replay = RENDERER.paint, RENDERER.replay

Fill = Literal["reveal", "wash", "flat", "strokes"]
FILLS: tuple[Fill, ...] = get_args(Fill)
scenes = st.integers(0, 30)
segmenters = st.sampled_from([TRUTH, SegmentChoice(), SegmentChoice(min_regions=2, tolerance=60)])
few = settings(max_examples=6)


def by_label(labels: np.ndarray, order: tuple[int, ...]) -> list[np.ndarray]:
    return [labels == label for label in order]


def test_it_is_a_family_of_renderers() -> None:
    assert "region" in families()


@pytest.mark.parametrize("fill", FILLS)
@few
@given(index=scenes, segment=segmenters, data=st.data())
def test_regions_partition_and_nothing_finished_changes(
    fill: str, index: int, segment: SegmentChoice, data: st.DataObject
) -> None:
    painting = painted(index, fill=fill, segment=segment)
    regions, rows = painting.regions, painting.program.strokes
    assert regions is not None
    assert sorted(regions.order) == list(range(int(regions.labels.max()) + 1))
    assert sum(regions.areas_px) == regions.labels.size and min(regions.areas_px) > 0
    assert regions.saliency[regions.order[0]] == max(regions.saliency) == 1
    shown = canvases(painting)
    for step, (before, after) in enumerate(itertools.pairwise(shown)):
        changed = (before != after).any(-1)
        assert not changed[regions.labels != rows[step, REGION]].any()  # only the region at work


@few
@given(index=scenes, segment=segmenters)
def test_revealed_pixels_never_change_again(index: int, segment: SegmentChoice) -> None:
    shown = canvases(painted(index, segment=segment, canvas=(0.31, 0.62, 0.17)))
    finished = shown[-1]
    for canvas in shown:
        painted_already = (canvas != shown[0]).any(-1)
        np.testing.assert_array_equal(canvas[painted_already], finished[painted_already])


@pytest.mark.parametrize("fill", ["reveal", "wash", "flat"])
@few
@given(index=scenes, segment=segmenters)
def test_last_frame_is_the_picture_and_coverage_rises(fill: str, index: int, segment: SegmentChoice) -> None:
    painting = painted(index, fill=fill, segment=segment)
    image, _ = scene(index)
    steps = FrameSchedule(num_frames=5).steps(painting.distances)
    frames = list(replay(painting.program, steps))
    np.testing.assert_array_equal(to_uint8(frames[-1]), to_uint8(image))
    rows, (height, width) = painting.program.strokes, image.shape[:2]
    assert painting.regions is not None
    areas = np.array(painting.regions.areas_px) / (height * width)
    done = np.zeros((len(rows) + 1, len(areas)))
    for step, (label, share) in enumerate(rows[:, [REGION, SHARE]], 1):
        done[step] = done[step - 1]
        done[step, int(label)] = share
    coverage = (done @ areas)[list(steps)]
    assert coverage[0] == 0 and coverage[-1] == pytest.approx(1)
    assert (np.diff(coverage) > 0).all()
    assert (np.diff(painting.distances[list(steps)]) < 0).all()


@pytest.mark.parametrize("fill", FILLS)
def test_same_arguments_give_the_same_bytes(fill: str) -> None:
    one, two = (painted(3, seed=9, fill=fill) for _ in range(2))
    assert one.program.to_bytes() == two.program.to_bytes()
    assert one.distances.tobytes() == two.distances.tobytes()


def test_another_seed_gives_other_strokes() -> None:
    one, two = (painted(3, seed=seed, fill="strokes") for seed in (1, 2))
    assert one.program.to_bytes() != two.program.to_bytes()


@pytest.mark.parametrize("fill", FILLS)
def test_stored_programs_paint_the_same_frames(fill: str) -> None:
    painting = painted(2, fill=fill)
    stored = StrokeProgram.from_bytes(painting.program.to_bytes())
    steps = FrameSchedule().steps(painting.distances)
    for one, two in zip(replay(painting.program, steps), replay(stored, steps), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("size_px", [(144, 192), (54, 72), (216, 288)])
def test_programs_paint_at_any_size(fill: str, size_px: tuple[int, int]) -> None:
    painting = painted(1, fill=fill)
    middle = len(painting.program.strokes) // 2
    for step in (0, middle, len(painting.program.strokes)):
        (own,) = replay(painting.program, [step])
        (other,) = replay(painting.program, [step], size_px)
        assert other.shape == (*size_px, 3)
        back = cv2.resize(other, (own.shape[1], own.shape[0]), interpolation=cv2.INTER_AREA)
        assert np.abs(back - own).mean() < 0.04


def test_wash_is_soft_within_its_region_and_starts_at_its_core() -> None:
    image = plain(80, 80, (0.0, 0.0, 0.0))
    image[20:60, 20:60] = (1.0, 0.0, 0.0)
    painting = paint(image, Config(fill="wash", segment=SegmentChoice(min_regions=1)), np.random.SeedSequence(0))
    assert painting.regions is not None
    first = painting.regions.labels == painting.regions.order[0]
    assert first[40, 40]
    (canvas,) = replay(painting.program, [3])
    wet = (canvas != 1.0).any(-1)
    assert wet[40, 40] and not wet[first].all() and not wet[~first].any()
    greens = canvas[first][:, 1]
    assert ((greens > 0.05) & (greens < 0.95)).any()


def shaded(canvas: tuple[float, float, float]) -> tuple[Painting, Image]:
    """One region of three tones and white, washed."""
    image = plain(60, 80, (1.0, 1.0, 1.0))
    for column, tone in enumerate((0.75, 0.4, 0.1)):
        image[:, 20 * (column + 1) : 20 * (column + 2)] = (tone, 0.9 * tone, 0.7 * tone)
    labels = Knowledge(labels=np.zeros((60, 80), np.uint16))
    config = Config(fill="wash", segment=TRUTH, canvas=canvas)
    return paint(image, config, np.random.SeedSequence(0), known=labels), image


def test_washes_go_from_light_to_dark_and_leave_white_paper_bare() -> None:
    painting, image = shaded((1.0, 1.0, 1.0))
    shown = np.stack(canvases(painting))
    left = np.abs(shown - image).mean(-1) / np.maximum(1 - image.mean(-1), 1e-6)
    assert (shown[:, :, :20] == 1).all()
    light, middle, dark = (left[:, :, 20 * n + 4 : 20 * n + 16].mean((1, 2)) for n in (1, 2, 3))
    half = [int(np.argmax(tone < 0.5)) for tone in (light, middle, dark)]
    assert half[0] < half[1] < half[2]
    first = shown[
        int(np.argmax(light < 0.05))
    ]  # the light tone is there: the dark one is no darker than its first wash
    assert first[:, 64:76].mean() > 0.4


@few
@given(index=scenes, ground=st.sampled_from([(1.0, 1.0, 1.0), (0.96, 0.9, 0.8), (0.4, 0.4, 0.5), (0.0, 0.0, 0.0)]))
def test_a_wash_brings_every_pixel_only_nearer(index: int, ground: tuple[float, float, float]) -> None:
    shown = np.stack(canvases(painted(index, fill="wash", canvas=ground)))
    missing = np.abs(shown - shown[-1])
    assert (np.diff(missing, axis=0) <= 1e-5).all()


def test_wet_edges_are_soft_and_late_ones_hard() -> None:
    times = np.linspace(0, 1, 400, dtype=np.float32)
    tone, paper = np.full(400, 1.0, np.float32), np.ones(3, np.float32)
    goal = np.full((400, 3), 0.3, np.float32)

    def width(share: float) -> float:
        """Of the edge that runs through the region, as a share of it."""
        light = washed(goal, amounts(goal, paper), tone, tone, times, paper, share)[:, 0]
        assert light[0] < light[-1] - 0.05
        return float(((light > light[0] + 0.01) & (light < light[-1] - 0.01)).mean())

    assert width(0.2) > 0.15 and 0 < width(0.85) < 0.1


def test_programs_that_faded_in_are_replayed_as_they_were_stored() -> None:
    program = painted(2, fill="wash").program
    assert str(program.arrays["fill"]) == "washes"
    stored = replace(program, arrays={**program.arrays, "fill": np.array("wash")})  # of version 0.2
    step = 2
    label, share = program.strokes[step - 1, [REGION, SHARE]]
    (canvas,) = replay(stored, [step])
    sheet = unpacked(stored, 72, 96)
    own = sheet.members[int(label)]
    wet = np.clip((share * 1.25 - sheet.times[own]) / 0.25, 0, 1)[:, None]
    assert sheet.picture is not None
    np.testing.assert_allclose(canvas.reshape(-1, 3)[own], 1 + wet * (sheet.picture[own] - 1), atol=1e-5)


def test_flat_lays_the_mean_colour_before_the_detail() -> None:
    painting = painted(4, fill="flat")
    image, _ = scene(4)
    assert painting.regions is not None
    mask = painting.regions.labels == painting.regions.order[0]
    flat, detailed = replay(painting.program, [1, 2])
    np.testing.assert_allclose(flat[mask], np.broadcast_to(image[mask].mean(0), flat[mask].shape), atol=2 / 255)
    np.testing.assert_array_equal(to_uint8(detailed)[mask], to_uint8(image)[mask])


@pytest.mark.parametrize("medium", ["bezier", "oil"])
def test_strokes_are_strokes_and_like_the_picture(medium: str) -> None:
    strokes = type(FEW_STROKES)(medium=medium, num_strokes=200)  # type: ignore[arg-type]
    painting = painted(0, fill="strokes", strokes=strokes)
    image, _ = scene(0)
    assert "picture" not in painting.program.arrays  # nothing to paste
    assert painting.regions is not None and len(painting.program.strokes) >= 200
    (finished,) = replay(painting.program, [len(painting.program.strokes)])
    flat = painted(0, fill="flat")
    (masses,) = replay(flat.program, [len(flat.program.strokes) - 1])
    assert psnr_db(finished, image) > 22 and not np.array_equal(finished, masses)


def test_uniform_picture_is_painted() -> None:
    for fill in FILLS:
        painting = paint(plain(64, 70, (0.4, 0.4, 0.4)), Config(fill=fill), np.random.SeedSequence(0))
        (finished,) = replay(painting.program, [len(painting.program.strokes)])
        assert np.isfinite(painting.distances).all()
        np.testing.assert_allclose(finished, 0.4, atol=3 / 255)


def test_picture_in_the_colour_of_the_canvas_is_painted() -> None:
    painting = paint(plain(64, 64, (1.0, 1.0, 1.0)), Config(), np.random.SeedSequence(0))
    steps = FrameSchedule().steps(painting.distances)
    assert steps[0] == 0 and steps[-1] == len(painting.program.strokes)


@pytest.mark.parametrize(("height", "width"), [(16, 160), (160, 16), (65, 97), (300, 400)])
def test_any_shape_of_canvas_can_be_painted(height: int, width: int) -> None:
    image = landscape(height, width)
    for fill in FILLS:
        painting = paint(image, Config(fill=fill, strokes=FEW_STROKES), np.random.SeedSequence(0))
        (finished,) = replay(painting.program, [len(painting.program.strokes)])
        assert finished.shape == image.shape
        assert fill == "strokes" or np.array_equal(to_uint8(finished), to_uint8(image))


@few
@given(index=scenes, fill=st.sampled_from(["reveal", "wash", "flat"]))
def test_distance_measures_what_is_missing(index: int, fill: Fill) -> None:
    painting = painted(index, fill=fill)
    shown = canvases(painting)
    distances = RENDERER.distances(painting.program, shown)
    assert distances[0] == pytest.approx(1) and distances[-1] == 0
    assert (np.diff(distances) <= 1e-9).all()
    np.testing.assert_allclose(painting.distances, distances, atol=1e-9)


def test_damaged_maps_are_said_to_be_damaged() -> None:
    program = painted(0).program
    for name in ("labels", "picture"):
        arrays = {**program.arrays, name: program.arrays[name][:40]}
        broken = type(program)(
            family="region", strokes=program.strokes, canvas=program.canvas, height_px=72, width_px=96, arrays=arrays
        )
        with pytest.raises(ValueError, match="decoded"):
            list(replay(broken, [1]))
    other = StrokeProgram(
        family="region", strokes=program.strokes[:-1], canvas=(1, 1, 1), height_px=72, width_px=96,
        arrays=program.arrays,
    )  # fmt: skip
    with pytest.raises(ValueError, match="label map"):
        list(replay(other, [1]))


def test_truth_must_be_there_to_be_used() -> None:
    with pytest.raises(ConfigError, match=r"segment\.method"):
        paint(landscape(64, 64), Config(segment=TRUTH), np.random.SeedSequence(0))


def test_soft_image_is_left_as_it_was() -> None:
    image: Image = landscape(64, 64)
    before = image.copy()
    paint(image, Config(fill="wash"), np.random.SeedSequence(0))
    np.testing.assert_array_equal(image, before)
