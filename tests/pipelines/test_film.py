"""One picture in, a film of how it is painted out."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conf.command import command
from pipelines.exports.placing import placed
from pipelines.film import film_config, run
from pipelines.inference import video
from tests.pipelines.runs import REPOSITORY
from training.data.claim import sole_writer

FAST = ("renderer=bezier", "renderer.num_strokes=12", "renderer.preset=fast", "canvas_px=64", "seconds=1", "hold=0.5")


def picture(path: Path, width: int = 96, height: int = 64) -> Path:
    """A smooth picture of some shape."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def make(*overrides: object) -> int:
    return command("film", film_config, run, "A test.", [str(word) for word in overrides])


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.parametrize("ending", ["mp4", "webm", "gif"])
def test_a_film_begins_bare_ends_finished_and_lasts_as_long_as_was_asked(tmp_path: Path, ending: str) -> None:
    source, out = picture(tmp_path / "a.png"), tmp_path / "new" / f"film.{ending}"
    assert make(f"picture={source}", f"out={out}", "frames_per_s=20", *FAST) == 0
    if ending == "gif":  # where equal frames are one that lasts longer
        with Image.open(out) as animation:
            duration_ms, shown = 0, []
            for number in range(animation.n_frames):  # type: ignore[attr-defined]
                animation.seek(number)
                duration_ms += animation.info["duration"]
                shown.append(np.asarray(animation.convert("RGB")))
        assert duration_ms == pytest.approx(1500, abs=60)
    else:
        shown = frames_of(out)
        assert len(shown) == 20 + 10
    assert all(frame.shape == (64, 96, 3) for frame in shown)
    assert shown[0].min() > 245  # the bare canvas is white
    wanted = np.asarray(Image.open(source).convert("RGB"), np.float64)
    distances = [np.abs(frame - wanted).mean() for frame in shown]
    assert distances[-1] < 0.5 * distances[0]
    np.testing.assert_allclose(shown[-1].astype(int), shown[-2].astype(int), atol=6)  # held


@pytest.mark.parametrize(("size", "expected"), [("null", (50, 202)), ("128", (32, 128)), ("640", (158, 640))])
def test_a_film_has_the_shape_of_its_picture_at_any_size(tmp_path: Path, size: str, expected: tuple[int, int]) -> None:
    source, out = picture(tmp_path / "a.png", 202, 50), tmp_path / "film.mp4"
    assert make(f"picture={source}", f"out={out}", f"size={size}", "frames_per_s=4", *FAST) == 0
    assert frames_of(out)[0].shape[:2] == expected


def test_a_file_that_is_there_is_replaced_only_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = picture(tmp_path / "a.png"), tmp_path / "film.mp4"
    out.write_bytes(b"holidays")
    assert make(f"picture={source}", f"out={out}", *FAST) == 2
    assert out.read_bytes() == b"holidays" and "overwrite=true" in capsys.readouterr().err
    assert make(f"picture={source}", f"out={out}", "overwrite=true", "frames_per_s=4", *FAST) == 0
    assert len(frames_of(out)) == 6


def test_a_second_film_of_the_same_name_leaves_the_first_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = picture(tmp_path / "a.png"), tmp_path / "film.mp4"
    with placed(out) as path:
        path.write_bytes(b"")
    out.unlink()
    work = path.parent
    work.mkdir()
    (work / work.name).touch()  # the mark of a folder that was made for this
    (work / "film.mp4").write_bytes(b"half of it")
    with sole_writer(work):
        assert make(f"picture={source}", f"out={out}", "frames_per_s=4", *FAST) == 2
    assert "another run is writing here" in capsys.readouterr().err
    assert not out.exists() and (work / "film.mp4").read_bytes() == b"half of it"
    assert make(f"picture={source}", f"out={out}", "frames_per_s=4", *FAST) == 0  # the first was killed
    assert not work.exists() and len(frames_of(out)) == 6


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("out=film.avi",), ".mp4, .webm, .gif"),
        (("out=film.gif", "frames_per_s=60"), "1 to 50"),
        (("size=8000",), "64 to 4096"),
        (("canvas_px=32",), "64 to 1024"),
        (("seconds=0",), "0.1 to 600"),
        (("spacing=slow",), "one of distance, log, uniform"),
        (("picture=missing.jpg",), "missing.jpg"),
        (("picture=notes.txt",), "not a picture"),
        (("picture=line.png",), "16 times"),
    ],
)
def test_what_cannot_be_filmed_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    picture(tmp_path / "line.png", 1200, 20)
    (tmp_path / "notes.txt").write_text("no picture")
    before = sorted(tmp_path.iterdir())
    assert make("picture=a.png", *FAST, *overrides) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("renderer=region", "renderer.segment.method=truth"), "renderer.segment.method=truth: not allowed; allowed: "),
        (("renderer=studio", "renderer.things.method=truth"), "renderer.things.method=truth: not allowed; allowed: "),
    ],
)
def test_a_renderer_that_needs_a_label_map_is_refused_before_the_picture_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    assert make("picture=missing.jpg", *overrides, f"out={tmp_path / 'film.mp4'}") == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_key_that_does_not_suit_the_picture_is_named_with_its_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("renderer=region", "renderer.order='the zebra first'", "canvas_px=64")
    assert make(f"picture={picture(tmp_path / 'a.png')}", *overrides, f"out={tmp_path / 'film.mp4'}") == 2
    assert "error: renderer.order=the zebra first: not allowed" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_mix_is_not_one_renderer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(f"picture={picture(tmp_path / 'a.png')}", f"out={tmp_path / 'film.mp4'}", "renderer=mix") == 2
    error = capsys.readouterr().err
    assert "renderer=a mix of bezier, ink, oil, region, studio: not allowed; allowed: one renderer" in error


def test_a_full_disk_in_the_middle_is_one_line_and_leaves_no_film(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.png")
    full = mock.Mock(side_effect=OSError(28, "No space left on device"))
    with mock.patch.object(video.VideoFile, "_encode", full):
        assert make(f"picture={source}", f"out={tmp_path / 'film.mp4'}", *FAST) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_killed_run_leaves_no_film_and_the_same_command_makes_it(tmp_path: Path) -> None:
    source, out = picture(tmp_path / "a.png"), tmp_path / "film.mp4"
    overrides = [f"picture={source}", f"out={out}", *FAST, "seconds=600", "frames_per_s=60", "size=1024"]
    run_alone = subprocess.Popen(
        [sys.executable, "-m", "pipelines.film", *overrides], cwd=REPOSITORY, stderr=subprocess.DEVNULL
    )
    while run_alone.poll() is None and not list(tmp_path.glob(".export-*.tmp")):
        pass
    os.kill(run_alone.pid, signal.SIGKILL)
    run_alone.wait()
    assert not out.exists()
    assert make(f"picture={source}", f"out={out}", *FAST) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "film.mp4"]


def test_colours_of_a_film_are_those_of_its_picture(tmp_path: Path) -> None:
    """RGB becomes YUV by the matrix that the file names, so that red is not orange."""
    Image.new("RGB", (96, 64), (200, 30, 60)).save(tmp_path / "red.png")
    out = tmp_path / "film.mp4"
    assert make(f"picture={tmp_path / 'red.png'}", f"out={out}", *FAST) == 0
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.colorspace == 1  # BT.709
        *_, last = container.decode(stream)
        pixels = last.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    np.testing.assert_allclose(pixels[20:40, 30:60].reshape(-1, 3).mean(0), (200, 30, 60), atol=6)
