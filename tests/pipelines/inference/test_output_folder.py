"""What the folder of a painted process promises, its page in a real browser included."""

import base64
import errno
import io
import itertools
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conf.errors import ConfigError
from pipelines.inference import output_folder, own_files
from pipelines.inference.output_folder import PROVENANCE, ProcessFolder, adherence, enlarged, in_rows, progress
from pipelines.inference.own_files import read_report
from tests.pipelines.pages.gallery_visit import a_chromium, set_range
from training.data.manifest import write_atomically

HOSTILE = '</script><script>hacked=1</script><img src=x onerror="hacked=2">'


def painted(count: int = 5, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    """A canvas that fills with colour from the left."""
    frames = np.full((count, height, width, 3), 255, np.uint8)
    for number in range(count):
        frames[number, :, : width * number // (count - 1)] = (200, 40 + number, 90)
    return frames


def report(**options: object) -> dict[str, object]:
    return {
        "note": PROVENANCE, "prompt": "a red house", "task": "generate", "seed": 3, "steps": 50, "guidance": 5.0,
        "painter": "tiny", "conditions": [{"frame": 4, "psnr_db": 31.25, "ssim": 0.9}], **options,
    }  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Path:
    ProcessFolder(root=tmp_path / "out", lossless=True).write(painted(), report())
    return tmp_path / "out"


def test_frames_are_kept_to_the_bit(written: Path) -> None:
    for number, frame in enumerate(painted()):
        assert np.array_equal(np.asarray(Image.open(written / "frames" / f"{number:02d}.png")), frame)


def _decoded(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_lossless_video_is_lossless_and_the_other_plays_everywhere(written: Path) -> None:
    lossless = _decoded(written / "process.mkv")
    assert np.array_equal(lossless[:5], painted())
    assert np.array_equal(lossless[5:], painted()[[4, 4]])  # the finished picture is held
    with av.open(str(written / "process.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert np.abs(_decoded(written / "process.mp4")[:5].astype(int) - enlarged(painted())).mean() < 8


def test_smoothing_is_seen_in_the_video_for_players_alone(written: Path, tmp_path: Path) -> None:
    smoothed = tmp_path / "smoothed"
    ProcessFolder(root=smoothed, lossless=True, smoothing="dissolve").write(painted(), report())
    assert len(_decoded(written / "process.mp4")) == 5 + 2
    video = _decoded(smoothed / "process.mp4")
    assert len(video) == 12 * (5 + 2)  # 24 a second instead of 2
    assert np.abs(video[:60:12].astype(int) - enlarged(painted())).mean() < 8
    assert np.array_equal(_decoded(smoothed / "process.mkv"), _decoded(written / "process.mkv"))
    for path in written.rglob("*.*"):
        if path.suffix not in (".mp4", ".json"):  # the report holds hashes of all
            assert (smoothed / path.relative_to(written)).read_bytes() == path.read_bytes()


def test_odd_sides_make_a_video_too(tmp_path: Path) -> None:
    ProcessFolder(root=tmp_path).write(painted(3, 257, 301), report())
    assert _decoded(tmp_path / "process.mp4").shape[1:3] == (256, 300)


def test_small_frames_are_enlarged_where_people_look(written: Path) -> None:
    large = enlarged(painted())
    assert large.shape == (5, 260, 390, 3)
    assert np.abs(large[:, 6::13, 6::13].astype(int) - painted()).max() <= 1
    assert np.array_equal(enlarged(large), large)
    assert np.array_equal(np.asarray(Image.open(written / "frames" / "04.png")), painted()[4])


@pytest.mark.parametrize("shape", [(2, 1024), (1024, 2), (3, 97), (8, 1024), (1024, 64)])
def test_slender_frames_are_enlarged_no_further_than_players_take(tmp_path: Path, shape: tuple[int, int]) -> None:
    """A factor of 256 over the short side would make 131,072 px of the first; WebP holds 16,383, H.264 16,384."""
    frames = np.random.default_rng(0).integers(0, 256, (3, *shape, 3), np.uint8)
    ProcessFolder(root=tmp_path, lossless=True).write(frames, report())
    height, width = enlarged(frames).shape[1:3]
    assert 3000 < max(height, width) <= 4096 and height * shape[1] == width * shape[0]
    with Image.open(tmp_path / "process.webp") as animation:
        assert animation.size == (width, height) and getattr(animation, "n_frames", 0) == 3
    assert _decoded(tmp_path / "process.mp4").shape[1:3] == (height // 2 * 2, width // 2 * 2)
    assert np.array_equal(_decoded(tmp_path / "process.mkv")[:3], frames)


@pytest.mark.parametrize("encoder", ["mp4", "png_of", "render_player"])
def test_an_encoder_that_fails_leaves_what_was_there(
    encoder: str, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in written.rglob("*.*")}

    def failing(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(output_folder, encoder, failing)
    for root in (written, tmp_path / "new"):
        with pytest.raises(ZeroDivisionError):
            ProcessFolder(root=root).write(painted(3), report())
    assert {path: path.read_bytes() for path in written.rglob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("calls", range(9))  # of the claim, three frames, video, animation, sheet, page and report
def test_a_full_disk_leaves_nothing_half_written(
    calls: int, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_after(path: Path, data: bytes) -> None:
        if next(counted) == calls:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_atomically(path, data)

    monkeypatch.setattr(output_folder, "write_atomically", full_after)
    monkeypatch.setattr(own_files, "write_atomically", full_after)
    (written / "notes.txt").write_bytes(b"mine")
    for root in (tmp_path / "new", written):
        counted = itertools.count()
        with pytest.raises(OSError, match="No space left"):
            ProcessFolder(root=root).write(painted(3), report())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if calls == 0:  # nothing was written yet, so the process of before is whole
        assert read_report(written)["prompt"] == "a red house"
    else:
        assert [path.name for path in written.rglob("*")] == ["notes.txt"]


def test_the_animation_has_every_frame_and_holds_the_last(written: Path) -> None:
    with Image.open(written / "process.webp") as animation:
        assert getattr(animation, "n_frames", 0) == 5
        for number, frame in enumerate(enlarged(painted())):
            animation.seek(number)
            assert np.array_equal(np.asarray(animation.convert("RGB")), frame)
            assert animation.info["duration"] == (500 if number < 4 else 2000)


def test_the_sheet_shows_all_frames_in_rows(written: Path) -> None:
    frames = enlarged(painted())
    sheet = np.asarray(Image.open(written / "sheet.png"))
    height, width = frames.shape[1:3]
    assert np.array_equal(sheet[:height, :width], frames[0])
    places = [(top, left) for top in (0, height + 8) for left in range(0, sheet.shape[1], width + 8)]
    for frame, (top, left) in zip(frames, places, strict=False):
        assert np.array_equal(sheet[top : top + height, left : left + width], frame)


@pytest.mark.parametrize("size", [(512, 512), (2, 1024), (1024, 30)])
@pytest.mark.parametrize("count", [2, 32, 256])
def test_frames_of_a_long_process_stay_large_and_smooth_on_their_sheet(count: int, size: tuple[int, int]) -> None:
    stripes = np.zeros((count, *size, 3), np.uint8)
    stripes[:, :, ::2] = 200
    sheet = in_rows(stripes)
    assert max(sheet.shape) <= 2400
    if size == (512, 512) and count == 32:
        assert min(sheet.shape[:2]) > 1500
        assert sheet[:200, 20:200].min() > 60 and sheet[:200, 20:200].max() < 140, "every n-th pixel was taken"


def test_the_page_shows_the_given_pictures(tmp_path: Path) -> None:
    given = np.full((20, 30, 3), (10, 200, 30), np.uint8)
    ProcessFolder(root=tmp_path).write(painted(), report(), {4: given})
    page = (tmp_path / "index.html").read_text()
    (encoded,) = re.findall(r'"frame":4,"src":"data:image/png;base64,([^"]+)"', page)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))), given)


def test_the_page_states_the_figures_of_the_strokes_that_it_shows_and_calls_the_painters_so(tmp_path: Path) -> None:
    ProcessFolder(root=tmp_path / "frames").write(painted(), report())
    strokes = {"psnr_db": 3.979, "ssim": 0.337, "arrival_agreement": 0.52}
    ProcessFolder(root=tmp_path / "strokes").write(painted(), report(strokes=strokes))
    painters = '["frame 4 against its picture","PSNR 31.25 dB, SSIM 0.900"]'
    assert painters in (tmp_path / "frames" / "index.html").read_text()
    page = (tmp_path / "strokes" / "index.html").read_text()
    assert painters not in page and painters.replace("frame 4", "painter's frame 4") in page
    assert '["strokes against their target","PSNR 3.98 dB, SSIM 0.337"]' in page
    assert '["arrival agreement of the strokes with the painter","0.52"]' in page


def test_the_report_is_written_last_and_says_what_it_was_told(written: Path) -> None:
    said = json.loads((written / "report.json").read_text())
    files = sorted(path.relative_to(written).as_posix() for path in written.rglob("*.*"))
    assert sorted(said.pop("files")) == files
    assert sorted(said.pop("sha256")) == [name for name in files if name != "report.json"]
    assert len(said.pop("checksum")) == 64
    assert said == report()
    assert max(path.stat().st_mtime_ns for path in written.rglob("*.*")) == (written / "report.json").stat().st_mtime_ns


def test_nothing_of_an_earlier_longer_process_stays(written: Path) -> None:
    ProcessFolder(root=written).write(painted(3), report())
    assert sorted(path.name for path in (written / "frames").iterdir()) == ["00.png", "01.png", "02.png"]
    assert not (written / "process.mkv").exists()


@pytest.mark.parametrize(
    "theirs",
    ["frames/07.png", "frames/00.png", "process.mkv", "index.html", "notes.txt", "report.json"],
)
def test_a_folder_of_other_things_is_refused_and_left_as_it_is(theirs: str, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / theirs).write_bytes(b"mine")
    with pytest.raises(ConfigError, match="out="):
        ProcessFolder(root=tmp_path).check(5)
    with pytest.raises(ConfigError, match="out="):
        ProcessFolder(root=tmp_path).write(painted(), report())
    assert [path.read_bytes() for path in tmp_path.rglob("*.*")] == [b"mine"]


@pytest.mark.parametrize("theirs", ["frames/07.png", "frames/holiday.png", "notes.txt"])
def test_what_others_put_beside_a_process_stays(theirs: str, written: Path) -> None:
    (written / theirs).write_bytes(b"mine")
    ProcessFolder(root=written).write(painted(3), report())
    assert (written / theirs).read_bytes() == b"mine"
    with pytest.raises(ConfigError, match=r"frames/07\.png"):  # which these eight frames would replace
        if theirs != "frames/07.png":
            (written / "frames" / "07.png").write_bytes(b"mine")
        ProcessFolder(root=written).write(painted(8), report())
    assert (written / "frames" / "07.png").read_bytes() == b"mine"


def test_a_report_that_lists_foreign_files_has_none_of_them_removed(tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept.txt"
    kept.write_text("mine")
    ProcessFolder(root=out).write(painted(), report())
    (out / "notes.txt").write_text("mine")
    listing = {"note": PROVENANCE, "files": ["../kept.txt", "notes.txt", str(kept), "frames/../../kept.txt"]}
    (out / "report.json").write_text(json.dumps(listing))
    with pytest.raises(ConfigError, match="not written by paint"):
        ProcessFolder(root=out).write(painted(), report())  # its own frames are no longer listed
    assert kept.read_text() == (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("calls", range(1, 9))  # the claim comes first
def test_the_same_process_again_ends_what_a_killed_one_began(
    calls: int, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = itertools.count()

    def killed(path: Path, data: bytes) -> None:
        if next(counted) == calls:
            raise KeyboardInterrupt
        write_atomically(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(output_folder, "write_atomically", killed)
        patched.setattr(own_files, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            ProcessFolder(root=written).write(painted(3), report())
    assert not (written / "report.json").exists()
    ProcessFolder(root=written).write(painted(3), report())
    assert sorted(path.name for path in (written / "frames").iterdir()) == ["00.png", "01.png", "02.png"]
    assert sorted(path.name for path in written.iterdir()) == [
        "frames", "index.html", "process.mp4", "process.webp", "report.json", "sheet.png",
    ]  # fmt: skip


def test_a_folder_of_the_first_version_is_painted_anew(written: Path) -> None:
    (written / "process.mkv").unlink()
    (written / "report.json").write_text(json.dumps(report()))  # with no list of files
    ProcessFolder(root=written).write(painted(3), report())
    assert sorted(path.name for path in (written / "frames").iterdir()) == ["00.png", "01.png", "02.png"]


def test_a_frame_that_is_its_picture_keeps_to_it() -> None:
    frame = painted()[2]
    same = adherence(frame, (frame / 255).astype(np.float32))
    assert same["mse"] < 1e-12 and same["l1"] < 1e-6 and same["ssim"] == pytest.approx(1)
    other = adherence(frame, np.ones(frame.shape, np.float32))
    assert other["mse"] == pytest.approx(float(np.square(1 - frame / 255).mean()), rel=1e-4)
    assert other["psnr_db"] == pytest.approx(-10 * np.log10(other["mse"]), abs=1e-3)


def test_progress_falls_from_1_to_0() -> None:
    curve = progress(painted())
    assert curve[0] == 1 and curve[-1] == 0
    assert curve == sorted(curve, reverse=True)


@pytest.mark.browser
def test_the_page_plays_scrubs_and_runs_nothing_of_strangers(tmp_path: Path) -> None:
    ProcessFolder(root=tmp_path).write(painted(), report(prompt=HOSTILE))
    with a_chromium() as browser:
        page = browser.new_context().new_page()
        troubles: list[str] = []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.clock.install(time=0)
        page.goto((tmp_path / "index.html").as_uri())
        page.clock.pause_at(1000)
        assert page.locator("h1").inner_text() == HOSTILE
        assert page.evaluate("typeof hacked") == "undefined"
        canvas, number = page.locator("#canvas"), page.locator("#number")
        assert number.inner_text() == "4 / 4"
        canvas.evaluate("picture => picture.decode()")
        assert canvas.evaluate("picture => picture.naturalWidth") == 30
        set_range(page.locator("#frame"), 1)
        assert number.inner_text() == "1 / 4"
        assert "01.png" in (canvas.get_attribute("src") or "")
        page.locator("#play").click()
        page.clock.run_for(500)
        assert number.inner_text() == "2 / 4"
        page.clock.run_for(5000)
        assert number.inner_text() == "4 / 4"
        assert page.locator("#play").inner_text() == "Play"
        page.keyboard.press("ArrowLeft")  # Play has the focus
        assert number.inner_text() == "3 / 4"
        page.set_viewport_size({"width": 1280, "height": 720})
        box = page.locator("#play").bounding_box()
        assert box is not None and box["y"] + box["height"] <= 720
        assert page.locator("#facts").inner_text().count("PSNR 31.25 dB") == 1
        assert page.locator("#note").inner_text() == PROVENANCE
        assert troubles == []
        page.screenshot(path=str(tmp_path / "page.png"))


@pytest.mark.parametrize("calls", range(4))
def test_a_folder_whose_run_was_killed_as_it_began_can_be_painted_into(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, left = tmp_path / "out", itertools.count()

    def until(made: Path, **options: bool) -> None:
        if next(left) >= calls:
            raise KeyboardInterrupt
        os.makedirs(made, exist_ok=True)  # noqa: PTH103  Path.mkdir is what is patched

    with monkeypatch.context() as context:
        context.setattr(Path, "mkdir", until)
        context.setattr(own_files, "write_atomically", lambda *_: until(root))
        with suppress(KeyboardInterrupt):
            ProcessFolder(root=root).write(painted(), report())
    ProcessFolder(root=root).write(painted(), report())
    assert read_report(root)["prompt"] == "a red house"
