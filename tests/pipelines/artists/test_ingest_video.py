"""Videos of artists at work: the hand goes, the camera stands still, cuts and pauses do not count."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.artists.alignment import camera_motion, motion_px
from pipelines.artists.cleaning import cleaned, consensus, without_returns
from pipelines.artists.footage import Footage, gather
from pipelines.artists.shots import longest_shot, without_pauses
from pipelines.artists.video import read_video
from tests.pipelines.artists.ingest_runs import ingest, refused, sequences, stages
from tests.pipelines.artists.time_lapse import HEIGHT, WIDTH, Frames, painting, shaken, with_hand, write_video

NUM_FRAMES = 72


@pytest.fixture(scope="module")
def truth() -> Frames:
    """The true canvas of every frame."""
    return painting(NUM_FRAMES)[0]


@pytest.fixture(scope="module")
def seen() -> Frames:
    """The frames that the camera films."""
    return shaken(with_hand(*painting(NUM_FRAMES)))


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory, seen: Frames) -> Path:
    """The data set that is made from a video of these frames."""
    root = tmp_path_factory.mktemp("lapse")
    write_video(root / "lapse.mkv", seen)
    assert ingest(f"source.path={root}", "layout=video", f"size={WIDTH}x{HEIGHT}", f"out={root / 'out'}") == 0
    return root / "out"


def test_the_hand_is_gone_and_the_camera_stands_still(ingested: Path, truth: Frames, seen: Frames) -> None:
    (sequence,) = sequences(ingested).values()
    frames, facts = sequence.frames(), sequence.facts
    steps = [frame["step"] for frame in facts["frames"]]
    errors = np.abs(frames - truth[steps].astype(float)).mean((1, 2, 3))
    untreated = np.abs(seen[steps] - truth[steps].astype(float)).mean((1, 2, 3))
    assert errors.max() <= 2.0, errors  # of 255
    assert untreated[:-1].min() > 5.0, untreated
    assert facts["footage"]["camera_px"] > 3 and facts["footage"]["shots"] == 1


def test_frames_show_the_painting_in_its_order_at_equal_steps_of_distance(ingested: Path, truth: Frames) -> None:
    (sequence,) = sequences(ingested).values()
    steps = [frame["step"] for frame in sequence.facts["frames"]]
    assert steps == sorted(set(steps)) and len(steps) == 8
    nearest = [int(np.argmin(np.abs(truth.astype(np.float32) - frame).mean((1, 2, 3)))) for frame in sequence.frames()]
    assert all(np.diff(nearest) > 0)
    falls = -np.diff([frame["distance"] for frame in sequence.facts["frames"]])
    assert falls.min() > 0.5 / 7 and falls.max() < 1.6 / 7


def test_a_shaking_camera_is_known_to_half_a_pixel(truth: Frames) -> None:
    still = truth[-6:]
    rng, centre = np.random.default_rng(3), (WIDTH / 2, HEIGHT / 2)
    motions = []
    for _ in range(5):
        motion = np.eye(3)
        motion[:2] = cv2.getRotationMatrix2D(centre, rng.uniform(-2, 2), rng.uniform(0.97, 1.03))
        motion[:2, 2] += rng.uniform(-8, 8, 2)
        motions.append(motion)
    moved = [
        cv2.warpPerspective(frame, motion, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT).astype(np.uint8)
        for frame, motion in zip(still, motions, strict=False)
    ]
    for found, motion in zip(camera_motion([*moved, still[-1]]), motions, strict=False):
        assert motion_px(motion, HEIGHT, WIDTH) > 3
        assert motion_px(found @ motion, HEIGHT, WIDTH) < 0.5


def test_a_camera_on_a_tripod_leaves_every_pixel_as_it_is(truth: Frames) -> None:
    from pipelines.artists.alignment import straightened

    frames = list(truth[40:46])
    footage = straightened(Footage(frames=frames, before=frames, numbers=range(6)))
    assert footage.notes["camera_px"] == 0.0
    assert all(np.array_equal(one, other) for one, other in zip(footage.frames, frames, strict=True))


def test_the_vote_is_for_a_state_and_never_for_a_colour_between_two() -> None:
    bare, hand, paint = (np.full((8, 8, 3), value, np.uint8) for value in (240, 170, 30))
    frames = [bare] * 4 + [hand] * 3 + [paint] * 4
    assert np.median(np.stack(frames), axis=0)[0, 0, 0] == 170  # what a median of each channel would show
    assert consensus(frames, 3)[0, 0, 0] == 240 and consensus(frames, 7)[0, 0, 0] == 30


def test_what_is_the_same_before_and_after_was_so_in_between_and_new_paint_stays() -> None:
    bare, sleeve, paint = (np.full((8, 8, 3), value, np.uint8) for value in (240, 90, 30))
    canvases = [bare, sleeve, bare, bare, paint, paint]
    firm = without_returns(canvases, [0, 10, 20, 30, 40, 50], window=10)
    assert [int(frame[0, 0, 0]) for frame in firm] == [240, 240, 240, 240, 30, 30]


def ends_of(frames: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The first and the last frame after hands are removed."""
    footage = Footage(frames=frames, before=frames, numbers=range(len(frames)))
    first, *_, last = cleaned(footage, range(len(frames)), window=15).frames
    return first, last


def test_where_only_paint_moves_the_ends_are_the_first_and_the_last_frame(truth: Frames) -> None:
    painted = list(truth[8:60])  # from the bare sheet, a stroke a frame, up to a stroke
    first, last = ends_of(painted)
    assert np.array_equal(first, painted[0]) and np.array_equal(last, painted[-1])


@pytest.mark.parametrize(
    ("covered", "axes"),
    [((0, -1), (60, 40)), ((20, -1), (5, 5)), ((0, 20), (5, 5))],
    ids=["a hand that starts and stops the recording", "a finger seen before", "a finger seen later"],
)
def test_no_hand_gets_into_either_end(truth: Frames, covered: tuple[int, int], axes: tuple[int, int]) -> None:
    painted, skin = list(truth[8:60]), (224, 172, 140)
    filmed, hand = [frame.copy() for frame in painted], np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(hand, (150, 110), axes, 30, 0, 360, 1, -1)
    for number in covered:
        filmed[number][hand == 1] = skin
    for end, bare in zip(ends_of(filmed), (painted[0], painted[-1]), strict=True):
        assert np.median(np.abs(end.astype(float) - bare)[hand == 1]) < 5


def test_only_the_longest_shot_counts(truth: Frames) -> None:
    patches = np.random.default_rng(8).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    other = cv2.resize(patches, (WIDTH, HEIGHT)).astype(np.uint8)
    intro = [np.roll(other, shift, 1) for shift in range(10)]
    frames = [*intro, *truth[20:50], *intro[:6]]
    shot = longest_shot(Footage(frames=frames, before=frames, numbers=range(len(frames))))
    assert (shot.numbers[0], shot.numbers[-1]) == (10, 39)
    assert shot.notes["shots"] == 3


def test_pauses_are_left_out_except_at_both_ends(truth: Frames) -> None:
    frames = [truth[8]] * 7 + [truth[20]] * 9 + [truth[30], truth[40]] + [truth[50]] * 8
    kept = without_pauses(Footage(frames=frames, before=frames, numbers=range(len(frames))), ends=3)
    assert list(kept.numbers) == [4, 5, 6, 15, 16, 17, 23, 24, 25]


def test_a_video_of_any_length_is_looked_at_evenly_and_its_last_frame_always() -> None:
    frames = [np.full((16, 16, 3), number, np.uint8) for number in range(203)]
    footage = gather(iter(frames), canvas_px=64, num_frames=range(2, 21))
    numbers = np.array(footage.numbers)
    assert len(numbers) <= 21 and numbers[0] == 0 and numbers[-1] == 202
    assert len(set(np.diff(numbers)[:-1])) == 1
    assert all(int(frame[0, 0, 0]) == number for frame, number in zip(footage.frames, numbers, strict=True))


def test_a_telephone_held_upright_gives_an_upright_video(tmp_path: Path) -> None:
    path, lying = tmp_path / "phone.mp4", stages(3, height=64, width=96)
    write_video(path, lying, codec="libx264", pix_fmt="yuv420p")
    assert np.abs(read_video(str(path), 64, range(2, 9)).frames[2].astype(float) - lying[2]).mean() < 12
    # The matrix of a track header (ISO 14496-12, section 8.3.2), in 16.16 and 2.30: a quarter turn clockwise.
    flat, turned = (struct.pack(">9i", *(round(each) for each in matrix)) for matrix in (
        (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), (0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30),
    ))  # fmt: skip
    head, _, tail = path.read_bytes().partition(b"tkhd")
    assert flat in tail
    path.write_bytes(head + b"tkhd" + tail.replace(flat, turned, 1))
    upright = read_video(str(path), 64, range(2, 9)).frames[2]
    assert upright.shape == (96, 64, 3)
    assert np.abs(upright.astype(float) - np.rot90(lying[2], -1)).mean() < 12


def test_bad_videos_are_rows_that_say_why(tmp_path: Path) -> None:
    videos = tmp_path / "in"
    videos.mkdir()
    painted = [cv2.resize(stage, (96, 96)).astype(np.uint8) for stage in stages(24)]
    whole = write_video(videos / "good.mkv", painted).read_bytes()
    write_video(videos / "still.mkv", [painted[3]] * 24)
    write_video(videos / "short.mkv", painted[:5])
    (videos / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    (videos / "text.mp4").write_text("no video")
    (videos / "empty.mov").write_bytes(b"")
    out = tmp_path / "out"
    assert ingest(f"source.path={videos}", "layout=video", "treatment.straighten=never", f"out={out}") == 3
    assert set(sequences(out)) == {"good.mkv"}
    reasons = refused(out)
    assert set(reasons) == {"still.mkv", "short.mkv", "cut.mkv", "text.mp4", "empty.mov"}
    assert "one still picture" in reasons["still.mkv"]
    assert reasons["short.mkv"] == "5 frames, fewer than num_frames=8"
    assert reasons["cut.mkv"] == "damaged: the end of the file is missing"
    assert "not a video" in reasons["text.mp4"] and "not a video" in reasons["empty.mov"]
    assert all("\n" not in reason for reason in reasons.values())
