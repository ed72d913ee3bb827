"""What each process metric promises of any process."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import deltaE_cie76, rgb2lab

from pipelines.evaluation import controls, curves
from pipelines.evaluation.metrics import METRICS
from pipelines.evaluation.pairs import diversity_profile, dtw, region_iou, warped
from pipelines.evaluation.process import Frames, Process, mates
from tests.pipelines.processes import drawn

numbers = st.integers(0, 10_000)
lengths = st.integers(3, 9)
few = settings(max_examples=20)
fewest = settings(max_examples=5)
RNG = np.random.default_rng(0)


def of(frames: Frames) -> Process:
    return Process(name="one", frames=frames)


def noise(number: int, num_frames: int) -> Process:
    return of(np.random.default_rng(number).integers(0, 256, (num_frames, 32, 40, 3), np.uint8))


def fade(number: int, num_frames: int) -> Process:
    return of(controls.cross_fade(drawn(number, num_frames).frames, RNG))


def reveal(number: int, num_frames: int) -> Process:
    return of(controls.random_reveal(drawn(number, num_frames).frames, np.random.default_rng(number)))


@few
@given(numbers, lengths)
def test_a_process_that_only_comes_nearer_violates_nothing_and_backwards_it_does(number: int, length: int) -> None:
    monotone = reveal(number, length)
    assert curves.canvas_violation(monotone) == 0
    assert not curves.progress_violation(monotone).any()
    there_and_back = of(np.concatenate([monotone.frames, monotone.frames[::-1], monotone.frames[-1:]]))
    assert curves.canvas_violation(there_and_back) > 0
    assert curves.progress_violation(there_and_back).sum() > 0
    ended_as_begun = of(np.concatenate([monotone.frames, monotone.frames[:1]]))
    assert curves.canvas_violation(ended_as_begun) == pytest.approx(20)
    assert curves.progress_violation(ended_as_begun).sum() == pytest.approx(20)


@few
@given(numbers, lengths)
def test_a_process_overlaps_wholly_with_itself_and_is_no_way_from_itself(number: int, length: int) -> None:
    for one in (noise(number, length), drawn(number, length)):
        assert region_iou(one, one) == 1
        assert dtw(one, one) == 0


@few
@given(numbers, numbers, lengths, lengths)
def test_dtw_and_overlap_are_the_same_from_both_sides(one: int, two: int, length: int, other: int) -> None:
    assert dtw(noise(one, length), noise(two, other)) == pytest.approx(dtw(noise(two, other), noise(one, length)))
    same_length = noise(one, length), noise(two, length)
    assert region_iou(*same_length) == pytest.approx(region_iou(*reversed(same_length)))
    assert 0 <= region_iou(*same_length) <= 1


@few
@given(numbers, st.integers(2, 7), st.integers(2, 7))
def test_dtw_is_the_cheapest_of_all_warping_paths(number: int, n: int, m: int) -> None:
    distances = np.random.default_rng(number).random((n, m))

    def cheapest(i: int, j: int) -> float:
        if i < 0 or j < 0:
            return float("inf")
        before = 0.0 if i == j == 0 else min(cheapest(i - 1, j), cheapest(i, j - 1), cheapest(i - 1, j - 1))
        return float(distances[i, j] ** 2 + before)

    assert warped(distances) == pytest.approx(np.sqrt(cheapest(n - 1, m - 1) / max(n, m)))


@few
@given(numbers, lengths)
def test_pausing_costs_dtw_nothing(number: int, length: int) -> None:
    one = noise(number, length)
    assert dtw(one, of(np.repeat(one.frames, 2, axis=0))) == pytest.approx(0, abs=1e-6)


@few
@given(numbers, lengths)
def test_coverage_never_falls_while_a_picture_is_revealed_and_ends_at_what_is_painted(number: int, length: int) -> None:
    frames = drawn(number, length).frames.copy()
    frames[0] = 255
    one = of(controls.random_reveal(frames, np.random.default_rng(number)))
    shares = curves.coverage(one).reshape(4, length)
    assert (np.diff(shares, axis=1) >= 0).all()
    assert (np.diff(shares, axis=0) <= 0).all()  # thick paint is also thin paint
    painted = deltaE_cie76(rgb2lab(one.frames[-1]), np.median(rgb2lab(one.frames[0]).reshape(-1, 3), axis=0))
    assert shares[0, -1] == pytest.approx((painted > 5).mean(), abs=2e-3)


@few
@given(numbers, lengths)
def test_all_pixels_commit_by_the_last_frame_and_none_takes_it_back(number: int, length: int) -> None:
    shares = curves.commit_times(noise(number, length))
    assert (np.diff(shares) >= 0).all() and shares[-1] == 1
    assert 0 <= curves.commit_entropy(noise(number, length)) <= 1


def test_commit_entropy_is_nothing_for_one_moment_and_full_for_an_even_pace() -> None:
    at_once = np.zeros((4, 32, 32, 3), np.uint8)
    at_once[3] = 200
    even = np.zeros((4, 32, 32, 3), np.uint8)
    even[0, :8] = even[1:, :16] = even[2:, :24] = even[3] = 200
    assert curves.commit_entropy(of(at_once)) == 0
    assert curves.commit_entropy(of(even)) == pytest.approx(1)


@few
@given(numbers, lengths)
def test_nothing_is_revised_nor_flickers_where_tiles_are_revealed_once(number: int, length: int) -> None:
    one = reveal(number, length)
    assert curves.revised_share(one) == 0 and not curves.revisions(one).any()
    assert not curves.flicker(one).any()


def test_a_pixel_painted_again_after_a_pause_is_a_revision_and_one_still_wet_is_not() -> None:
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    frames[1:3, :8], frames[3:, :8] = 100, 200  # changed, left alone, changed again
    frames[1, 8:16], frames[2:, 8:16] = 100, 200  # changed twice running
    assert curves.revised_share(of(frames)) == 0.25
    assert curves.revisions(of(frames)).tolist() == [0, 0, 0.25, 0]


def test_a_change_too_small_to_see_is_flicker_only_away_from_the_brush() -> None:
    frames = np.full((3, 64, 64, 3), 100, np.uint8)
    frames[1:, :32] = 220
    frames[1:, 33] = 104  # beside the brush
    assert curves.flicker(of(frames)).tolist() == [0, 0]
    frames[1:, 40:] = 104
    assert curves.flicker(of(frames))[0] > 0


def test_two_equal_patches_are_half_as_local_as_one() -> None:
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    frames[1:, :8, :8] = 255
    frames[2, 40:48, :8] = frames[2, 40:48, 40:48] = 255
    assert curves.locality(of(frames)).tolist() == [1, 0.5]


def test_finer_and_finer_changes_go_from_coarse_to_fine() -> None:
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    frames[1:, :32] = 255  # halves, then stripes of 8, then of 1
    frames[2:, 32::16] = frames[2:, 33::16] = 255
    frames[3, 40::2, ::2] = 255
    assert curves.coarse_to_fine(of(frames)) == 1
    assert curves.coarse_to_fine(of(frames[::-1])) < 0


def test_the_order_of_what_stands_out_is_told() -> None:
    frames = np.full((3, 64, 64, 3), 255, np.uint8)
    frames[1:, 16:48, 16:48] = (200, 0, 0)  # the subject, then a ground that is nearly the paper's colour
    frames[2][(frames[2] == 255).all(-1)] = 225
    assert curves.salient_first(of(frames)) > 0.9
    late = frames.copy()
    late[1] = np.where((frames[2] == 225).all(-1)[..., None], frames[2], 255)
    assert curves.salient_first(of(late)) < -0.9


@few
@given(numbers, lengths)
def test_tiles_in_random_order_have_no_neighbourhood_and_a_sweep_has(number: int, length: int) -> None:
    sweep = drawn(number, 8).frames.copy()
    for t in range(7):
        sweep[t] = np.where(np.arange(64)[:, None, None] < 8 * t, 255 - sweep[0], sweep[0])
    sweep[7] = 255 - sweep[0]
    assert curves.order(of(sweep))[1] > 0.5


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@fewest
@given(number=numbers)
def test_every_description_is_finite_and_repeats(metric, number) -> None:  # type: ignore[no-untyped-def]
    for make in (noise, drawn, fade, reveal):
        one, other = make(number, 6), make(number + 1, 6)
        vector, value = metric.describe(one, [other], [other])
        assert np.isfinite(vector).all() and np.isfinite(value)
        again, _ = metric.describe(of(one.frames), [other], [other])
        np.testing.assert_array_equal(vector, again)


@pytest.mark.parametrize("frames", [np.full((4, 32, 32, 3), 90, np.uint8), np.zeros((3, 32, 32, 3), np.uint8)])
def test_a_process_in_which_nothing_happens_can_be_described(frames: NDArray[np.uint8]) -> None:
    still = of(frames)
    for metric in METRICS:
        described = metric.describe(still, [still], [still])
        assert described is not None and np.isfinite(described[0]).all() and np.isfinite(described[1])


@few
@given(numbers)
def test_every_control_ends_at_the_picture_except_the_one_that_runs_backwards(number: int) -> None:
    frames = drawn(number).frames
    for name, make in controls.CONTROLS.items():
        made = make(frames, np.random.default_rng(0))
        assert made.shape == frames.shape and made.dtype == np.uint8
        np.testing.assert_array_equal(made[-1], frames[0] if name == "reversed" else frames[-1])
    for make in (controls.cross_fade, controls.random_reveal):
        np.testing.assert_array_equal(make(frames, np.random.default_rng(0))[0], frames[0])


def test_blur_to_sharp_gets_sharper_at_every_frame() -> None:
    frames = controls.blur_to_sharp(noise(0, 6).frames, RNG)
    contrast = frames.astype(float).std((1, 2, 3))
    assert (np.diff(contrast) > 0).all()


def test_paintings_that_begin_alike_differ_more_and_more() -> None:
    one, two = drawn(1, 6), drawn(2, 6)
    two = of(np.concatenate([one.frames[:1], two.frames[1:]]))
    profile = diversity_profile(one, [two])
    assert profile[0] == 0 and profile[-1] > 0


def test_processes_pair_by_source_then_caption_then_name() -> None:
    def named(name: str, caption: str = "", source: str | None = None) -> Process:
        return Process(name=name, frames=np.zeros((2, 8, 8, 3), np.uint8), caption=caption, source=source)

    oil, ink = named("a", "a boat, oil", "s"), named("b", "a boat, ink", "s")
    others = [oil, ink, named("c", "a hill", "t"), named("d", "in sks style"), named("e", "in sks style")]

    def found(process: Process) -> list[str]:
        return [mate.name for mate in mates(process, others)]

    assert found(named("x", "a boat, ink", "s")) == ["b"]  # in its own medium
    assert found(named("x", "a boat, pencil", "s")) == ["a", "b"]
    assert found(named("x", "a hill")) == ["c"]
    assert found(named("x", "in sks style")) == []  # says nothing of the picture
    assert found(named("e", "other words")) == ["e"]
    assert found(named("c", "a hill", "u")) == []  # another hill, in a data set with the same keys


@pytest.mark.parametrize(("length", "shown"), [(15, [0, 2, 4, 6, 8, 10, 12, 14]), (3, [0, 0, 1, 1, 1, 1, 2, 2])])
def test_frames_are_those_nearest_to_equal_steps_of_time(length: int, shown: list[int]) -> None:
    frames = np.repeat(np.arange(length, dtype=np.uint8), 96 * 128 * 3).reshape(length, 96, 128, 3)
    prepared = of(frames).prepared(8, 64)
    assert prepared.frames.shape == (8, 64, 64, 3)
    assert prepared.frames[:, 0, 0, 0].tolist() == shown


def test_colour_difference_is_cie76() -> None:
    one = noise(3, 3)
    lab = rgb2lab(one.frames)
    np.testing.assert_allclose(one.to_end, deltaE_cie76(lab, lab[-1:].repeat(3, axis=0)), rtol=1e-3, atol=1e-3)


@few
@given(numbers)
def test_backwards_does_not_go_from_coarse_to_fine(number: int) -> None:
    one = of(controls.blur_to_sharp(drawn(number).frames, RNG))
    assert curves.coarse_to_fine(of(one.frames[::-1])) == pytest.approx(-curves.coarse_to_fine(one))
    assert curves.coarse_to_fine(one) > 0
