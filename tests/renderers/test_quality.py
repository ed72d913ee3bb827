"""The quality of paintings. Floors are one dB below measured values: they guard against regressions."""

import numpy as np
import pytest

from renderers.bezier import RENDERER, Config
from renderers.painting import FrameSchedule, Image, to_uint8
from renderers.quality import coverage, progress_violation, psnr_db, sequence_quality, ssim
from tests.renderers.pictures import landscape, plain

paint, replay = RENDERER.paint, RENDERER.replay

NUM_STROKES = 200
EARLY = NUM_STROKES // 5


def qualities(preset: str) -> tuple[float, float]:
    """dB of the finished painting, and after a fifth of the strokes."""
    image = landscape(128, 128)
    painting = paint(image, Config(preset=preset, num_strokes=NUM_STROKES), np.random.SeedSequence(0))  # type: ignore[arg-type]
    early, finished = replay(painting.program, [EARLY, NUM_STROKES])
    return psnr_db(finished, image), psnr_db(early, image)


# Measured over four seeds: fast 31.0 to 31.3 dB, 25.0 to 26.1 dB early; std 34.3 to 35.1 dB, 26.7 to 27.8 dB early.
@pytest.mark.parametrize(("preset", "finished_db", "early_db"), [("fast", 30.0, 24.0), ("std", 33.3, 25.7)])
def test_painting_reaches_its_floor_early_and_late(preset: str, finished_db: float, early_db: float) -> None:
    finished, early = qualities(preset)
    assert finished > finished_db
    assert early > early_db


def test_more_effort_paints_better() -> None:
    assert qualities("std")[0] > qualities("fast")[0] + 1


def test_more_strokes_paint_better() -> None:
    image = landscape(128, 128)
    levels = []
    for num_strokes in (25, 100, 400):
        painting = paint(image, Config(preset="fast", num_strokes=num_strokes), np.random.SeedSequence(0))
        levels.append(psnr_db(next(iter(replay(painting.program, [num_strokes]))), image))
    assert levels[0] + 2 < levels[1] < levels[2] - 2


def test_frames_of_a_painting_draw_nearer_to_the_end_and_to_the_picture() -> None:
    image = landscape(96, 128)
    painting = paint(image, Config(preset="fast", num_strokes=150), np.random.SeedSequence(0))
    steps = FrameSchedule(num_frames=8).steps(painting.distances)
    frames = list(replay(painting.program, steps))
    assert (np.diff(painting.distances[list(steps)]) < 0).all()
    assert (np.diff([psnr_db(frame, image) for frame in frames]) > 0).all()
    metrics = sequence_quality(
        np.stack([to_uint8(frame) for frame in frames]), image, list(painting.distances[list(steps)])
    )
    assert metrics["progress_violation"] == 0
    covered = metrics["coverage"]
    assert isinstance(covered, list) and covered[0] == 0 and covered[-1] > 0.95


def test_metrics_of_known_pictures() -> None:
    picture: Image = landscape(64, 64)
    assert psnr_db(picture, picture) == 99.0 and ssim(picture, picture) == pytest.approx(1)
    assert psnr_db(plain(8, 8, (0.5, 0.5, 0.5)), plain(8, 8, (0.6, 0.6, 0.6))) == pytest.approx(20, abs=1e-4)
    assert ssim(np.ascontiguousarray(picture[::-1]), picture) < 0.6
    assert progress_violation([1.0, 0.5, 0.75, 0.0]) == pytest.approx(0.25)
    assert progress_violation([1.0, 0.5, 0.0]) == 0 and progress_violation([0.0, 0.0]) == 0
    for first in (0.0, 1e-9):  # it ends as it began
        assert progress_violation([first, 0.5, 0.0]) == pytest.approx(20)
    blank, frame = np.zeros((2, 4, 8, 3), np.uint8)
    frame[:2, :, 1] = 9
    frame[2:, :, 2] = 8  # not enough to be seen
    assert coverage(frame, blank) == 0.5
