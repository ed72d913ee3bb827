"""Films and frames: right pictures, for the right time."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from conf.errors import ConfigError
from pipelines.exports import animation, film, recorder
from tests.pipelines.exports.runs import grown, psnr, settings


def played(path: Path) -> tuple[list[int], list[Image.Image]]:
    """How long each picture of an animation is shown in ms, and the pictures."""
    with Image.open(path) as opened:
        durations, pictures = [], []
        for number in range(opened.n_frames):  # type: ignore[attr-defined]
            opened.seek(number)
            pictures.append(opened.convert("RGB"))
            durations.append(round(opened.info["duration"]))
    return durations, pictures


@pytest.mark.parametrize("ending", ["apng", "webp"])
def test_animations_keep_every_pixel_and_hold_the_last(tmp_path: Path, ending: str) -> None:
    process = grown()
    path = tmp_path / f"a.{ending}"
    animation.write(process, settings(seconds=2, hold=1), path)
    durations, pictures = played(path)
    assert sum(durations) == 3000 and durations[:3] == [400, 400, 400]
    for picture, frame in zip(pictures, process.frames, strict=False):  # equal frames may be one that lasts longer
        np.testing.assert_array_equal(np.asarray(picture), frame.picture)


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_videos_last_as_long_as_asked_and_end_finished(tmp_path: Path, ending: str) -> None:
    process = grown()  # of odd width
    path = tmp_path / f"a.{ending}"
    film.write(process, settings(seconds=2, hold=1), path)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 25
    assert len(frames) == 75 and frames[0].shape == (40, 62, 3)
    for number, frame in enumerate(process.frames):
        shown = frames[10 * number + 5][:, :61].astype(np.uint8)
        others = [psnr(shown, other.picture) for other in process.frames[:4]]
        assert int(np.argmax(others)) == min(number, 3)  # the last frame changes nothing
        assert psnr(shown, frame.picture) > 15  # noise, in 4:2:0


def test_a_gif_lasts_as_long_as_asked(tmp_path: Path) -> None:
    film.write(grown(), settings(seconds=2, hold=1), tmp_path / "a.gif")
    durations, pictures = played(tmp_path / "a.gif")
    assert sum(durations) == pytest.approx(3000, abs=50)
    assert psnr(np.asarray(pictures[-1])[:, :61], grown().frames[-1].picture) > 15


def test_a_gif_does_not_dither_colours_of_its_palette(tmp_path: Path) -> None:
    process = grown(width=60)  # a canvas of one colour, and patches of noise
    film.write(process, settings(seconds=1, hold=0.2), tmp_path / "a.gif")
    _, pictures = played(tmp_path / "a.gif")
    bare = (process.frames[-1].picture == 255).all(axis=2)
    assert (np.asarray(pictures[-1])[bare] == 255).all() and bare.mean() > 0.5


def test_more_frames_than_a_film_can_show_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seconds=0\.1: not allowed; allowed: 0\.2 or more for 5 frames"):
        film.write(grown(), settings(seconds=0.1), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_the_recorders_folder_is_numbered_from_nought_in_seven_digits_with_even_sides(tmp_path: Path) -> None:
    """As `recorder_writer.cpp` of Krita 5 names and cuts them."""
    process = grown()
    recorder.write(process, settings(), tmp_path / "frames")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"000000{number}.png" for number in range(5)]
    for name, frame in zip(names, process.frames, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "frames" / name)), frame.picture[:, :60])
